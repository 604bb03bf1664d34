"""Loads by turns: on a machine that others share, only what ran within the same seconds can be compared."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.load import Load, Result, run

WARM_SECONDS = 1.0


class Ratio(NamedTuple):
    """How many times as quick one is as the other, round by round: the middle one and the quartiles."""

    middle: float
    low: float
    high: float

    def says(self) -> str:
        """The ratio in words."""
        return f"{self.middle:.2f} times ({self.low:.2f} to {self.high:.2f})"


def by_turns(loads: Mapping[str, Load], rounds: int) -> dict[str, list[Result]]:
    """Each load once a round, every other round in the opposite order; results in the order of rounds."""
    found: dict[str, list[Result]] = {name: [] for name in loads}
    for load in loads.values():
        run(load._replace(seconds=WARM_SECONDS))
    for number in range(rounds):
        for name in list(loads) if number % 2 else list(loads)[::-1]:
            found[name].append(run(loads[name]))
    return found


def ratio(ones: Sequence[Result], others: Sequence[Result]) -> Ratio:
    """Compare results that were taken by turns."""
    pairs = zip(ones, others, strict=True)
    each = sorted(one.per_second / other.per_second for one, other in pairs)
    return Ratio(each[len(each) // 2], each[len(each) // 4], each[3 * len(each) // 4])


def middle(results: Sequence[Result]) -> Result:
    """The middle one of several results."""
    return sorted(results, key=lambda one: one.per_second)[len(results) // 2]
