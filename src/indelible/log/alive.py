"""When this deployment was last known to be alive: what the clock of a start is compared with.

Events alone would not tell: a server that nobody appends to is alive. So a running one notes the time in its
store now and then, through the committer, which gives no time that it does not trust.
"""

import asyncio
from collections.abc import Sequence

import structlog

from indelible.log.commit import Committer
from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import Reader, StoreError, Transaction

SEEN = "seen"
NOTE_SECONDS = 600


def last_alive(reader: Reader) -> int:
    """The newest time (µs) that the store shows: of an event, or noted; 0 where there is none."""
    noted = int.from_bytes(reader.meta(SEEN) or b"", "big")
    try:
        return max(noted, reader.newest_time())
    except StoreError:
        return noted  # a damaged head refuses its own log (`log/gate.py`), not the server


class Alive:
    """Notes at once, and then now and then, that the deployment is alive."""

    def __init__(self, committer: Committer, limits: Limits, last: int) -> None:
        self._committer = committer
        # Several notes in what may lie between the last one and the next start.
        self._seconds = min(NOTE_SECONDS, limits.clock_forbidden_seconds / 8)
        self._last = last

    async def run(self) -> None:
        """Note until cancelled. While the clock is not believed, the server's log says so instead."""
        while True:
            try:
                await self._committer.change(Change(self._note, decides=False))
            except Problem as problem:
                structlog.get_logger().warning(
                    "appends are refused", code=problem.code.name, reason=problem.detail
                )
            await asyncio.sleep(self._seconds)

    def _note(self, transaction: Transaction, now: int) -> tuple[None, Sequence[AuditEvent]]:
        """A time that was trusted stays noted, though the clock stepped back since."""
        self._last = max(self._last, now)
        transaction.put_meta(SEEN, self._last.to_bytes(8, "big"))
        return None, ()
