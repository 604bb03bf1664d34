"""The clock and the source of salts, injected everywhere so that tests can move them."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Moment(NamedTuple):
    """What both clocks showed together, and in which boot of which machine (empty: unknown)."""

    wall: int
    boot: int
    boot_id: str

    def wall_after(self, earlier: "Moment") -> int | None:
        """The wall time that an earlier moment and the boot clock since give; None in another boot."""
        passed = self.boot - earlier.boot
        same = bool(self.boot_id) and self.boot_id == earlier.boot_id
        return earlier.wall + passed if same and passed >= 0 else None


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time and a clock that runs through suspend, in microseconds, and the boot that it counts from."""

    wall_micros: Callable[[], int]
    boot_micros: Callable[[], int]
    boot_id: Callable[[], str] = str  # unknown: it compares with no other

    def moment(self) -> Moment:
        """What they show now."""
        return Moment(self.wall_micros(), self.boot_micros(), self.boot_id())


def _wall() -> int:
    return time.time_ns() // 1_000


def _boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


def _boot_id() -> str:
    """The kernel's name for this boot, with the shift of its clock in this time namespace."""
    shift = ""
    with suppress(OSError):  # a kernel without them
        shift = Path("/proc/self/timens_offsets").read_text()
    try:
        return " ".join([Path("/proc/sys/kernel/random/boot_id").read_text().strip(), *shift.split()])
    except OSError:
        return ""


SYSTEM_CLOCK = Clock(wall_micros=_wall, boot_micros=_boot, boot_id=_boot_id)

Randomness = Callable[[int], bytes]
"""Gives that many unpredictable bytes."""

SYSTEM_RANDOMNESS: Randomness = os.urandom
