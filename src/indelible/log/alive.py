"""When this deployment was last known to be alive: what the clock of a start is compared with.

Events alone would not tell: a server that nobody appends to is alive. So a running one notes the time in its
store now and then, through the committer, which gives no time that it does not trust. Beside it stands the
boot clock at that moment, and of which boot: while the machine stays up, that tells how long a stop was.
"""

import asyncio
import struct
from collections.abc import Sequence

import structlog

from indelible.log.commit import Committer
from indelible.log.pending import AuditEvent, Change
from indelible.model.clock import Clock, Moment
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import Reader, StoreError, Transaction

SEEN = "seen"
NOTE_SECONDS = 600
NOTHING_NOTED = Moment(0, 0, "")

_FORM = 2  # the first byte
_OLD_BYTES = 8  # the form before it: the wall time alone
_FIXED = struct.Struct(">BQQ")  # form, wall and boot clock in µs; the boot's name follows


def encode(moment: Moment) -> bytes:
    """A moment as it is noted."""
    return _FIXED.pack(_FORM, moment.wall, moment.boot) + moment.boot_id.encode()


def decode(value: bytes) -> Moment:
    """What was noted, in this form or the one before. In any other, nothing was: then events alone tell."""
    if len(value) == _OLD_BYTES:
        return Moment(int.from_bytes(value, "big"), 0, "")
    if len(value) < _FIXED.size or value[0] != _FORM:
        return NOTHING_NOTED
    _, wall, boot = _FIXED.unpack_from(value)
    return Moment(wall, boot, value[_FIXED.size :].decode(errors="replace"))


def noted(reader: Reader) -> Moment:
    """The moment that was noted last."""
    return decode(reader.meta(SEEN) or b"")


def last_alive(reader: Reader) -> int:
    """The newest time (µs) that the store shows: of an event, or noted; 0 where there is none."""
    wall = noted(reader).wall
    try:
        return max(wall, reader.newest_time())
    except StoreError:
        return wall  # a damaged head refuses its own log (`log/gate.py`), not the server


class Alive:
    """Notes at once, and then now and then, that the deployment is alive."""

    def __init__(self, committer: Committer, limits: Limits, clock: Clock, last: Moment) -> None:
        self._committer = committer
        self._clock = clock
        # Several notes in what may lie between the last one and the next start.
        self._seconds = min(NOTE_SECONDS, limits.clock_forbidden_seconds / 8)
        self._last = last

    async def run(self) -> None:
        """Note until cancelled. While the clock is not believed, the server's log says so instead."""
        while True:
            seconds = self._seconds
            try:
                await self._committer.change(Change(self._note, decides=False))
            except Problem as problem:
                structlog.get_logger().warning(
                    "appends are refused", code=problem.code.name, reason=problem.detail
                )
                # A jump that is believed meanwhile is noted soon, or the next start would meet it again.
                after = problem.facts.get("retry_after")
                seconds = min(seconds, after) if isinstance(after, int) else seconds
            await asyncio.sleep(seconds)

    def _note(self, transaction: Transaction, now: int) -> tuple[None, Sequence[AuditEvent]]:
        """A time that was trusted stays noted, though the clock stepped back since."""
        boot_id = self._clock.boot_id()
        if now > self._last.wall or boot_id != self._last.boot_id:
            self._last = Moment(max(now, self._last.wall), self._clock.boot_micros(), boot_id)
        transaction.put_meta(SEEN, encode(self._last))
        return None, ()
