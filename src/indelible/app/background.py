"""What a server does by itself while it serves: it looks at every log once, and lets old events leave."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from indelible import telemetry
from indelible.app.opening import while_unreachable
from indelible.log.archive_manifest import ArchiveError, load_chain
from indelible.log.core import Core
from indelible.log.trim import Trimmer
from indelible.model.instants import MICROS_PER_SECOND
from indelible.store.base import Store, StoreBroken, StoreError
from indelible.store.paging import log_pages


async def sweep(core: Core) -> None:
    """Check every log against its published head, a few at a time."""
    pages = log_pages(core.reader)
    while page := await asyncio.to_thread(next, pages, None):
        for info in page:
            await while_unreachable(partial(core.gate.check, info))
    telemetry.logs_refused.set(len(core.gate.refused()))


class Trimming:
    """Takes archived events that are old enough out of the store, again and again.

    Args:
        core: the parts of the log.
        store: of this process alone; where nodes share one, none of them may remove an event.
        key: that seals the archive's manifests.
        on_fatal: called on a thread when stable storage fails.
    """

    def __init__(
        self, core: Core, store: Store, key: bytes, on_fatal: Callable[[BaseException], None]
    ) -> None:
        self._core = core
        self._trimmer = Trimmer(store, core.objects, core.events, core.limits)
        self._key = key
        self._on_fatal = on_fatal
        # Answers to idempotency keys are read from the store as long as the keys are remembered.
        self._age = max(core.limits.trim_after_seconds, core.limits.idempotency_seconds)
        self._stopping = False

    async def run(self) -> None:
        """Trim until cancelled; the step that is under way is done first, as the store is closed after."""
        while True:
            trimming = asyncio.get_running_loop().run_in_executor(None, self._trim)
            try:
                await asyncio.shield(trimming)
                await asyncio.sleep(self._core.limits.trim_interval_seconds)
            except asyncio.CancelledError:
                self._stopping = True
                await asyncio.gather(trimming, return_exceptions=True)
                raise

    def _trim(self) -> None:
        try:
            self._trim_all()
        except _Stopping:
            pass
        except StoreBroken as error:
            self._on_fatal(error)
        except (ArchiveError, StoreError, OSError, LookupError, ValueError) as error:
            structlog.get_logger().error("trimming failed, and is tried again", found=str(error))

    def _trim_all(self) -> None:
        core = self._core
        chain = load_chain(core.objects, self._key)
        before = core.clock.wall_micros() - self._age * MICROS_PER_SECOND
        for page in log_pages(core.reader):
            for info in page:
                archived = chain.logs.get(str(info.log_id))
                reach = self._trimmer.reach(info, archived, before)
                if archived is None or reach.size == reach.trimmed or not core.gate.is_open(info.key):
                    continue
                events = self._trimmer.trim(info, archived, reach, self._check_stopping)
                structlog.get_logger().info("trimmed", log_id=str(info.log_id), events=events)

    def _check_stopping(self, _done: int) -> None:
        if self._stopping:
            raise _Stopping


class _Stopping(Exception):
    """Leave a trimming between two steps."""
