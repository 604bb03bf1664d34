"""How fast the machine is while it is measured: others may share its cores, and then every rate is lower."""

import time

_ADDITIONS = 3_000_000


class Pace:
    """Times one loop of plain Python now and then, between the loads."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def look(self) -> None:
        """Time the loop once."""
        started = time.perf_counter()
        total = 0
        for number in range(_ADDITIONS):
            total += number
        self._seconds.append(time.perf_counter() - started)

    def says(self) -> str:
        """Say what was seen, in a sentence."""
        seen = sorted(self._seconds)
        return (
            f"between the loads, a loop of {_ADDITIONS // 1_000_000} million additions in Python took "
            f"{seen[0]:.2f} to {seen[-1]:.2f} s, {seen[len(seen) // 2]:.2f} s in the middle"
        )
