"""One node among several on a store: what it asks before it answers, and how it hears of the others."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from indelible.log.archiver import Archiver
from indelible.log.confirm import Confirmation
from indelible.log.core import Core
from indelible.model.errors import Problem
from indelible.service.access import Access
from indelible.service.arrivals import Arrivals
from indelible.service.deployments import Deployments
from indelible.service.neighbours import Neighbours
from indelible.service.wakeups import Wakeups
from indelible.store.base import HeadRow
from indelible.store.shared import SharedStore
from indelible.views.residence import Residence


def guard_signing(store: SharedStore, core: Core, archiver: Archiver | None) -> None:
    """Let no two processes sign for one log at once, and none a head without a clean commit of its own.

    One archives at a time.

    When another session stands for the store, each log is compared with its published head again.
    """
    core.publisher.confirm = Confirmation(core.heads, core.committer).confirm
    core.publisher.guard = store.exclusively
    if archiver is not None:
        archiver.guard = store.exclusively
    core.committer.on_unknown = core.heads.forget

    def reconnected() -> None:
        core.heads.forget()
        core.gate.check_again()

    store.on_reconnect = reconnected


class Sharing:
    """Ties a node to its neighbours. On the event loop."""

    def __init__(
        self,
        store: SharedStore,
        core: Core,
        access: Access,
        deployments: Deployments,
        residence: Residence,
        wakeups: Wakeups,
    ) -> None:
        self._access = access
        self._deployments = deployments
        self._residence = residence
        self._wakeups = wakeups
        self._look = store.registry_look()
        self.arrivals = Arrivals(core.reader, self._look.read, self._reload)
        self._neighbours = Neighbours(
            core.reader,
            core.heads,
            core.limits,
            wanted=lambda: residence.logs() | wakeups.logs(),
            moved=self._moved,
        )
        self._seconds = core.limits.shared_poll_seconds
        self._loop = asyncio.get_running_loop()
        self._bell = store.bell(self._heard)

    def committed(self) -> None:
        """Let the others know that heads moved here."""
        self._bell.ring()

    async def run(self) -> None:
        """Follow the others until cancelled."""
        self._bell.start()
        following = asyncio.ensure_future(self._neighbours.run())
        try:
            while True:
                await asyncio.sleep(self._seconds)
                with suppress(Problem):  # what others deployed is followed though nobody asks here
                    await self.arrivals.arrive()
        finally:
            following.cancel()
            self._look.close()
            await asyncio.to_thread(self._bell.stop)

    async def _reload(self) -> None:
        self._access.forget()
        await self._deployments.follow_others()

    def _heard(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody follows any more
            self._loop.call_soon_threadsafe(self._neighbours.ring)

    def _moved(self, heads: Mapping[int, HeadRow]) -> None:
        self._wakeups.committed(heads)
        for log, head in heads.items():
            self._residence.notify(log, head.size)
