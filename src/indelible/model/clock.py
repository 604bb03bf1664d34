"""The clock and the source of salts, injected everywhere so that tests can move them."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time and a clock that runs through suspend, both in microseconds."""

    wall_micros: Callable[[], int]
    boot_micros: Callable[[], int]


def _wall() -> int:
    return time.time_ns() // 1_000


def _boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


SYSTEM_CLOCK = Clock(wall_micros=_wall, boot_micros=_boot)

Randomness = Callable[[int], bytes]
"""Gives that many unpredictable bytes."""

SYSTEM_RANDOMNESS: Randomness = os.urandom
