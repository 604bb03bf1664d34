"""The server's time for events (DESIGN promise 2): a jump ahead is not believed until it has been steady."""

from collections.abc import Callable
from dataclasses import dataclass

from indelible.model.clock import Clock, Moment
from indelible.model.errors import Problem
from indelible.model.instants import MICROS_PER_SECOND, format_micros
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

    def __init__(
        self,
        clock: Clock,
        limits: Limits,
        on_jump: Callable[[int], None],
        *,
        last_alive: int = 0,
        noted: Moment | None = None,
        accept_start: bool = False,
    ) -> None:
        """Begin with the time that the clock shows, unless it is too far past `last_alive` (0: unknown).

        In the boot of the moment that was `noted` last, a start is no occasion to believe anything: the boot
        clock ran on, and the wall clock is judged as if the server had. In another, a long stop and a clock
        that is far ahead look the same. `accept_start` is the operator's word, past a day in either.
        """
        self._clock = clock
        self._limits = limits
        self._on_jump = on_jump
        self._last_alive = last_alive
        self._accept_start = accept_start
        shown = clock.moment()
        expected = None if noted is None else shown.wall_after(noted)
        self._same_boot = expected is not None
        trusted = max(last_alive, expected or 0)
        self._doubted = bool(trusted) and shown.wall - trusted > self._forbidden
        # The largest difference of the two clocks that was trusted.
        believed = trusted if self._doubted or self._same_boot else max(shown.wall, trusted)
        self._offset = believed - shown.boot
        self._jump: _Jump | None = None

    @property
    def _forbidden(self) -> int:
        return self._limits.clock_forbidden_seconds * MICROS_PER_SECOND

    def now(self, store_clock: int | None = None) -> int:
        """Microseconds since 1970, as the store's own clock has it where it has one.

        Raises:
            Problem: `clock_unsure` while a jump ahead of more than `clock_jump_seconds` has not been steady
                for `clock_steady_seconds`, and for as long as it is more than `clock_forbidden_seconds`; so
                far ahead of the last time alive at a start, too.
        """
        wall = self._clock.wall_micros() if store_clock is None else store_clock
        boot = self._clock.boot_micros()
        if self._doubted:
            self._judge_start(wall, wall - boot)
        ahead = wall - boot - self._offset
        if ahead <= self._limits.clock_jump_seconds * MICROS_PER_SECOND:
            self._offset = max(self._offset, wall - boot)
            self._jump = None
            return wall
        self._judge(wall - boot, boot, ahead)
        return wall

    def _judge_start(self, wall: int, offset: int) -> None:
        """Believe the clock once it is near enough to the last time alive, or if the operator says so."""
        ahead = offset - self._offset
        if ahead > self._forbidden and self._accept_start:
            self._on_jump(ahead)
            self._offset = offset
        elif not self._same_boot:  # there, it is judged as any jump is
            if ahead > self._forbidden:
                raise self._stopped_long(wall)
            self._offset = max(offset, self._offset)
        self._doubted = False

    def _stopped_long(self, wall: int) -> Problem:
        seconds = (wall - self._last_alive) / MICROS_PER_SECOND
        return Problem(
            "clock_unsure",
            f"the clock shows {format_micros(wall)}, and this deployment was last alive at "
            f"{format_micros(self._last_alive)}, {seconds / 86_400:.1f} days before. If the clock is wrong, "
            "set it right: appends then go on. If it is right, as after a long stop or in a restored copy, "
            "start the server once with --accept-clock",
            retry_after=60,
            ahead_seconds=round(seconds, 3),
        )

    def _judge(self, offset: int, boot: int, ahead: int) -> None:
        tolerance = self._limits.clock_jump_seconds * MICROS_PER_SECOND
        if self._jump is None or abs(offset - self._jump.offset) > tolerance:
            self._jump = _Jump(offset, boot)
        steady = self._limits.clock_steady_seconds * MICROS_PER_SECOND
        seconds = ahead / MICROS_PER_SECOND
        if ahead > self._forbidden:
            raise Problem(
                "clock_unsure",
                f"the clock jumped {seconds:.0f} s ahead; set it right, or restart the server once "
                "with --accept-clock",
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
