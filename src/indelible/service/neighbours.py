"""Noticing what other processes append to a shared store: for views that follow, and for long polls.

Nothing depends on it being quick, or on being told: a question reads the head itself. It is looked now and
then, and at once when another process rings.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from indelible.log.heads import Heads
from indelible.model.limits import Limits
from indelible.store.base import HeadRow, Reader, StoreError


class Neighbours:
    """Looks at the heads of the logs that are wanted here. On the event loop."""

    def __init__(
        self,
        reader: Reader,
        heads: Heads,
        limits: Limits,
        *,
        wanted: Callable[[], set[int]],
        moved: Callable[[Mapping[int, HeadRow]], None],
    ) -> None:
        self._reader = reader
        self._heads = heads
        self._seconds = limits.shared_poll_seconds
        self._wanted = wanted
        self._moved = moved
        self._rung = asyncio.Event()
        self._sizes: dict[int, int] = {}

    def ring(self) -> None:
        """Look at once."""
        self._rung.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), self._seconds)
            self._rung.clear()
            try:
                await self._look()
            except StoreError as error:
                structlog.get_logger().debug("heads could not be looked at", reason=str(error))
                await asyncio.sleep(self._seconds)

    async def _look(self) -> None:
        wanted = self._wanted()
        if not wanted:
            self._sizes.clear()
            return
        found = await asyncio.to_thread(self._reader.heads, sorted(wanted))
        self._heads.seen(found)
        moved = {log: head for log, head in found.items() if self._sizes.get(log) != head.size}
        self._sizes = {log: head.size for log, head in found.items()}
        if moved:
            self._moved(moved)
