"""Whether what comes out depends on the events alone: the same on every way, or the first difference."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from indelible.author.play import RUN, Outcome, Player, Way
from indelible.author.subject import Subject

_POINTS = 6  # at which a way asks or restores
_AROUND = 40  # bytes shown on each side of a difference
_SINGLE = 100  # events that are folded one by one
_SIZES = (1, 2, 3, 7, 20, 90, 300)
STRAIGHT = Way()


class Difference(NamedTuple):
    """The first byte at which two runs differ, and after how many events they first do."""

    event: int
    what: str
    offset: int
    expected: bytes
    found: bytes


class Check(NamedTuple):
    """A property, and a difference where it does not hold; `skipped` says why it could not be looked at."""

    name: str
    says: str
    difference: Difference | None
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether no difference was found."""
        return self.difference is None


def check_all(subject: Subject, expected: Outcome, seed: int) -> Iterator[Check]:
    """Run a view on ways that must not show, against what came out straight.

    Raises:
        Aborted: this machine was too slow.
    """
    events = len(subject.trail.payloads)
    for name, says, ways in _plans(events, seed):
        skipped = expected.no_snapshot if name == "restored" else ""
        found = None if skipped else _first_of(subject, expected, ways)
        yield Check(name, says, found, skipped)


def _plans(events: int, seed: int) -> Iterator[tuple[str, str, list[Way]]]:
    chance = random.Random(seed)  # noqa: S311 - a seed names a run, so that it can be repeated
    yield "repeated", "a second run gives the same bytes", [STRAIGHT]
    batches = [Way(_single(events)), *(Way(_cuts(events, chance)) for _ in range(2))]
    yield "batches", "other batch sizes give the same bytes", batches
    asks = frozenset(_points(events, chance))
    asking = Way(sorted(asks), asks=asks, asks_last=True)
    yield "questions", "questions and snapshots in between change nothing", [asking]
    restores = frozenset(_points(events, chance))
    restoring = Way(sorted(restores), restores=restores, restores_last=True)
    yield "restored", "a state that was snapshotted and restored goes on in the same way", [restoring]


def _cuts(events: int, chance: random.Random) -> list[int]:
    cuts, at = [], 0
    while (at := at + chance.choice(_SIZES)) < events:
        cuts.append(at)
    return cuts


def _single(events: int) -> list[int]:
    """Cut after each of the first events: what depends on batches is found where it begins."""
    return list(range(1, min(events, _SINGLE)))


def _points(events: int, chance: random.Random) -> list[int]:
    return sorted(chance.sample(range(1, events + 1), min(_POINTS, events)))


def _first_of(subject: Subject, expected: Outcome, ways: Sequence[Way]) -> Difference | None:
    events = len(subject.trail.payloads)
    for way in ways:
        found = compare(events, expected, Player(subject).play(way, events))
        if found is not None:
            return first_difference(partial(_differs, subject, way), found)
    return None


def _differs(subject: Subject, way: Way, upto: int) -> Difference | None:
    return compare(upto, Player(subject).play(STRAIGHT, upto), Player(subject).play(way, upto))


def first_difference(differs: Callable[[int], Difference | None], found: Difference) -> Difference:
    """Halve the events until the first is found after which two ways differ; `found` is of all of them."""
    fine, best = 0, found
    while best.event - fine > 1:
        middle = (fine + best.event) // 2
        seen = differs(middle)
        if seen is None:
            fine = middle
        else:
            best = seen
    return best


def compare(upto: int, expected: Outcome, found: Outcome) -> Difference | None:
    """Return the first byte that differs, in the order in which things came out."""
    for what in dict.fromkeys([RUN, *expected.texts, *found.texts]):
        one, other = expected.texts.get(what), found.texts.get(what)
        if one != other:
            return _at(upto, what, one or b"", other or b"")
    return None


def _at(upto: int, what: str, one: bytes, other: bytes) -> Difference:
    offset = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    start = max(0, offset - _AROUND)
    return Difference(upto, what, offset, one[start : offset + _AROUND], other[start : offset + _AROUND])
