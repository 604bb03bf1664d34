"""How much replays hold back while the process has something else to do. Not thread-safe."""

import time
from collections.abc import Callable

WINDOW_SECONDS = 0.05
"""What else the process does is measured over this long at least."""

BUSY_CORES = 0.25
"""So much of a core all else may use before replays hold back."""

PAUSE_SHARE = 5.0
"""How many times as long as it ran a replay pauses for each core that all else uses beyond that."""


class Yielding:
    """Says for how long no replay may begin, after the turns that replays had.

    On a quiet server replays never pause. Beside appends or questions that take a whole core of
    it, they have a fifth of the time of one thread, and one at a time.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self._now = now
        self._cpu_seconds = cpu_seconds
        self._since, self._cpu_since = now(), cpu_seconds()
        self._replays_cpu = 0.0
        self._others = 0.0  # cores that all else used, of late

    @property
    def is_busy(self) -> bool:
        """Whether anything but replays uses the processor."""
        return self._others > BUSY_CORES

    def took(self, seconds: float, cpu_seconds: float) -> float:
        """A replay's turn took so long, and so much of the processor; returns how long to pause."""
        self._replays_cpu += cpu_seconds
        self._measure()
        return PAUSE_SHARE * max(0.0, self._others - BUSY_CORES) * seconds

    def _measure(self) -> None:
        now = self._now()
        passed = now - self._since
        if passed < WINDOW_SECONDS:
            return
        cpu = self._cpu_seconds()
        self._others = max(0.0, cpu - self._cpu_since - self._replays_cpu) / passed
        self._since, self._cpu_since, self._replays_cpu = now, cpu, 0.0
