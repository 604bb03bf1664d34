"""The server's time for events (DESIGN promise 2): a jump ahead is not believed until it has been steady."""

from collections.abc import Callable
from dataclasses import dataclass

from indelible.model.clock import Clock
from indelible.model.errors import Problem
from indelible.model.instants import MICROS_PER_SECOND
from indelible.model.limits import Limits


@dataclass(slots=True)
class _Jump:
    offset: int  # wall less boot clock, after the jump
    seen: int  # boot clock when it was first seen so


class Timekeeper:
    """Tells the time, or says that it is unsure. Used by one thread, the committer's.

    A step back is not refused here: staging never dates an event before the one before it. Nor is the way
    back from one: a time ahead is compared with the furthest that was ever trusted, not with the last.
    """

    def __init__(self, clock: Clock, limits: Limits, on_jump: Callable[[int], None]) -> None:
        self._clock = clock
        self._limits = limits
        self._on_jump = on_jump
        self._offset = clock.wall_micros() - clock.boot_micros()  # the largest that was trusted
        self._jump: _Jump | None = None

    def now(self) -> int:
        """Microseconds since 1970.

        Raises:
            Problem: `clock_unsure` while a jump ahead of more than `clock_jump_seconds` has not been steady
                for `clock_steady_seconds`, and for as long as it is more than `clock_forbidden_seconds`.
        """
        wall, boot = self._clock.wall_micros(), self._clock.boot_micros()
        ahead = wall - boot - self._offset
        if ahead <= self._limits.clock_jump_seconds * MICROS_PER_SECOND:
            self._offset = max(self._offset, wall - boot)
            self._jump = None
            return wall
        self._judge(wall - boot, boot, ahead)
        return wall

    def _judge(self, offset: int, boot: int, ahead: int) -> None:
        tolerance = self._limits.clock_jump_seconds * MICROS_PER_SECOND
        if self._jump is None or abs(offset - self._jump.offset) > tolerance:
            self._jump = _Jump(offset, boot)
        steady = self._limits.clock_steady_seconds * MICROS_PER_SECOND
        seconds = ahead / MICROS_PER_SECOND
        if ahead > self._limits.clock_forbidden_seconds * MICROS_PER_SECOND:
            raise Problem(
                "clock_unsure",
                f"the clock jumped {seconds:.0f} s ahead; set it right, or restart the server to accept it",
                retry_after=60,
                ahead_seconds=round(seconds, 3),
            )
        if boot - self._jump.seen < steady:
            wait = (steady - (boot - self._jump.seen)) / MICROS_PER_SECOND
            raise Problem(
                "clock_unsure",
                f"the clock jumped {seconds:.1f} s ahead and is watched for {wait:.0f} s more; try then",
                retry_after=max(1, round(wait)),
                ahead_seconds=round(seconds, 3),
            )
        self._offset, self._jump = offset, None
        self._on_jump(ahead)
