"""`indelible view bench`: how fast a view folds and answers here, and what a million events would take."""

import json
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from indelible.author.play import batches
from indelible.author.subject import Ask, Subject
from indelible.author.trail import Trail
from indelible.fold.errors import QueryRefused, SnapshotUnsupported
from indelible.fold.fold import Fold

MILLION = 1_000_000
_ASKED = 5  # times that each question is asked
_ACTORS, _RESOURCES = 1_000, 10_000
_TYPES = ("record.created", "record.updated", "record.viewed", "record.deleted", "login.succeeded")


class Timed(NamedTuple):
    """A question: the median of its times, and what it takes everywhere."""

    query: str
    milliseconds: float
    fuel: int
    bytes: int
    refused: str


class Figures(NamedTuple):
    """What was measured on this machine. `million_bytes` is extrapolated where fewer events were folded.

    It is None where memory did not grow with them, which says nothing about a million.
    """

    events: int
    events_per_second: float
    fuel_per_event: float
    memory_bytes: int
    million_bytes: int | None
    extrapolated: bool
    snapshot: dict[str, Any]
    questions: Sequence[Timed]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {**self._asdict(), "questions": [asked._asdict() for asked in self.questions]}


def generate(events: int, start: int) -> Trail:
    """Make events like those of products: a thousand actors, ten thousand resources, the same every time."""
    payloads = []
    for number in range(events):
        mixed = number * 2_654_435_761 % (1 << 32)  # Knuth's multiplier: spread, without a random generator
        event = {
            "type": _TYPES[mixed % len(_TYPES)],
            "actor": f"user_{mixed % _ACTORS:04x}",
            "resource": f"invoice_{mixed // _ACTORS % _RESOURCES}",
            "changes": {"status": ["draft", "sent"]},
            "ip": f"192.168.{mixed % 256}.{mixed // 256 % 256}",
        }
        payloads.append(json.dumps(event).encode())
    return Trail(payloads, start)


def measure(subject: Subject) -> Figures:
    """Fold everything as a server does, ask every question a few times, and keep and restore the state.

    Raises:
        GuestError, GuestTrap: the view fails; `view test` says at which event.
        Aborted: this machine was too slow, or lacks memory.
    """
    with subject.open() as fold:
        marks, seconds, fuel = _fold_all(subject, fold)
        questions = [_ask(fold, ask, len(subject.trail.payloads)) for ask in subject.asks]
        memory = fold.memory_bytes
        snapshot = _keep(subject, fold)
    events = len(subject.trail.payloads)
    return Figures(
        events=events,
        events_per_second=round(events / seconds, 1),
        fuel_per_event=round(fuel / events, 1),
        memory_bytes=memory,
        million_bytes=_million(marks),
        extrapolated=events < MILLION,
        snapshot=snapshot,
        questions=questions,
    )


def _fold_all(subject: Subject, fold: Fold) -> tuple[list[tuple[int, int]], float, int]:
    """Return memory after some numbers of events, the seconds spent in the view, and its fuel."""
    events = len(subject.trail.payloads)
    marks = [(0, fold.memory_bytes)]
    seconds, fuel = 0.0, 0
    for first, last in batches(subject, (), events):
        batch = subject.trail.batch(first, last)
        began = time.perf_counter()
        fold.append(batch)
        seconds += time.perf_counter() - began
        fuel += fold.fuel_used
        if first <= events // 2 <= last or first <= MILLION <= last or last == events:
            marks.append((last, fold.memory_bytes))
    return marks, seconds, fuel


def _million(marks: Sequence[tuple[int, int]]) -> int | None:
    """Return the memory after a million events: as it was, or along the line through the last two marks."""
    for events, memory in marks:
        if events >= MILLION:
            return memory
    (one, less), (other, more) = ([marks[0], *marks])[-2:]
    slope = (more - less) / max(1, other - one)
    return None if slope <= 0 else round(more + slope * (MILLION - other))


def _ask(fold: Fold, ask: Ask, sequence: int) -> Timed:
    times, size, refused = [], 0, ""
    for _ in range(_ASKED):
        began = time.perf_counter()
        try:
            size = len(fold.query(ask.at(sequence)).body)
        except QueryRefused as refusal:
            refused = f"{refusal.kind}: {refusal.text}"
        times.append((time.perf_counter() - began) * 1000)
    return Timed(ask.text, round(statistics.median(times), 3), fold.fuel_used, size, refused)


def _keep(subject: Subject, fold: Fold) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        parts = list(fold.snapshot())
    except SnapshotUnsupported as error:
        return {"none": str(error)}
    taken = time.perf_counter()
    subject.reopen(parts).close()
    size = sum(len(part.encode() if isinstance(part, str) else part) for part in parts)
    return {
        "bytes": size,
        "parts": len(parts),
        "milliseconds": round((taken - began) * 1000, 3),
        "restore_milliseconds": round((time.perf_counter() - taken) * 1000, 3),
    }
