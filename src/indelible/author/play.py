"""Runs a view over the first events of its trail, on one of many ways, and says what came out of it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from indelible.author.subject import Ask, Subject
from indelible.fold.errors import (
    AnswerTooLarge,
    GuestError,
    GuestTrap,
    QueryRefused,
    SnapshotUnsupported,
    reason_of,
)
from indelible.fold.fold import Fold

RUN = "the run"
"""Under this name an outcome has the reason why there is nothing else."""


class Way(NamedTuple):
    """How events are folded, which must not show in what comes out: sequences after which something happens.

    Batches also end where the server's limits end them. The two `last` do the same after the last event.
    """

    cuts: Sequence[int] = ()
    asks: frozenset[int] = frozenset()
    restores: frozenset[int] = frozenset()
    asks_last: bool = False
    restores_last: bool = False


@dataclass(slots=True)
class Outcome:
    """What came out: texts under their names, in order. `failed_at`: where the batch began that failed."""

    texts: dict[str, bytes] = field(default_factory=dict)
    failed_at: int | None = None
    reason: str = ""
    no_snapshot: str = ""


@dataclass(slots=True)
class Cost:
    """What a run used. Fuel is about one an instruction; times are of this machine."""

    events: int = 0
    batches: int = 0
    fold_fuel: int = 0
    fold_seconds: float = 0.0
    memory_bytes: int = 0
    snapshot_parts: int = 0
    snapshot_bytes: int = 0
    snapshot_seconds: float = 0.0


class Asked(NamedTuple):
    """A question and what came back: a body, or why there is none."""

    query: str
    body: bytes
    refused: str  # what the view or the host said; empty where there is an answer
    fuel: int  # 0 where the instance did not survive it
    seconds: float
    failed: bool  # whether the view, and not the question, is to blame


def batches(subject: Subject, cuts: Sequence[int], upto: int) -> Iterator[tuple[int, int]]:
    """Give first and last of every batch: they end at cuts, and where the server's limits end them."""
    limits, payloads = subject.limits, subject.trail.payloads
    ends = sorted({0, upto, *(cut for cut in cuts if cut < upto)})
    for begin, end in pairwise(ends):
        first, size = begin + 1, 0
        for sequence in range(begin + 1, end + 1):
            size += len(payloads[sequence - 1])
            full = sequence - first >= limits.fold_batch_events or size > limits.fold_batch_bytes
            if full and sequence > first:
                yield first, sequence - 1
                first, size = sequence, len(payloads[sequence - 1])
        yield first, end


class Player:
    """One run. Not to be used twice."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._fold: Fold | None = None
        self.cost = Cost()
        self.asked: list[Asked] = []
        self.outcome = Outcome()

    def play(self, way: Way, upto: int) -> Outcome:
        """Fold the events up to `upto` on a way, ask every question, and take a snapshot.

        Raises:
            Aborted: wall time or memory of this machine ran out, which says nothing about the view.
        """
        try:
            self._walk(way, upto)
        except (GuestError, GuestTrap) as error:
            self.outcome.reason = (
                reason_of(error) if self.outcome.failed_at else f"{type(error).__name__}: {error}"
            )
            self.outcome.texts["the run"] = f"failed: {self.outcome.reason}".encode()
        finally:
            if self._fold is not None:
                self._fold.close()
        return self.outcome

    def _walk(self, way: Way, upto: int) -> None:
        self._fold = self._subject.open()
        for first, last in batches(self._subject, way.cuts, upto):
            self._append(first, last)
            if last in way.asks or (last == upto and way.asks_last):
                for ask in self._subject.asks:
                    self._ask(ask, last)
                self._parts()
            if last in way.restores or (last == upto and way.restores_last):
                self._restore()
        for ask in self._subject.asks:
            asked = self._ask(ask, upto)
            self.asked.append(asked)
            self.outcome.texts[f"the answer to ?{ask.text}"] = asked.body or asked.refused.encode()
        self._finish()

    def _append(self, first: int, last: int) -> None:
        fold, cost = self._instance(), self.cost
        batch = self._subject.trail.batch(first, last)
        self.outcome.failed_at = first
        began = time.perf_counter()
        fold.append(batch)
        cost.fold_seconds += time.perf_counter() - began
        self.outcome.failed_at = None
        cost.fold_fuel += fold.fuel_used
        cost.events += last - first + 1
        cost.batches += 1

    def _ask(self, ask: Ask, sequence: int) -> Asked:
        fold = self._instance()
        body, refused, failed = b"", "", False
        began = time.perf_counter()
        try:
            body = fold.query(ask.at(sequence)).body
        except QueryRefused as refusal:
            refused, failed = f"{refusal.kind}: {refusal.text}", refusal.kind == "failed"
        except AnswerTooLarge as error:
            refused, failed = str(error), True
        seconds = time.perf_counter() - began
        return Asked(ask.text, body, refused, fold.fuel_used, seconds, failed=failed)

    def _restore(self) -> None:
        parts = self._parts()
        if parts is None:
            return
        self._instance().close()
        self._fold = None
        self._fold = self._subject.reopen(parts)

    def _parts(self) -> list[str | bytes] | None:
        """Take the state out; None where the view gives none, with its reason."""
        fold = self._instance()
        try:
            return list(fold.snapshot())
        except SnapshotUnsupported as error:
            self.outcome.no_snapshot = str(error)
            return None

    def _finish(self) -> None:
        fold, cost = self._instance(), self.cost
        cost.memory_bytes = fold.memory_bytes
        began = time.perf_counter()
        parts = self._parts()
        cost.snapshot_seconds = time.perf_counter() - began
        if parts is None:
            self._ask_why(fold)
            return
        raw = [part.encode() if isinstance(part, str) else part for part in parts]
        cost.snapshot_parts, cost.snapshot_bytes = len(raw), sum(map(len, raw))
        self.outcome.texts["the snapshot"] = b"\n".join(raw)

    def _ask_why(self, fold: Fold) -> None:
        """A view that gave no part may say why when it is handed one: ours do."""
        if not fold.usable:
            return
        try:
            fold.restore([""])
        except GuestError as error:
            self.outcome.no_snapshot = error.text
        except GuestTrap:
            pass

    def _instance(self) -> Fold:
        if self._fold is None or not self._fold.usable:
            raise GuestTrap("other", "a question or a snapshot ended the instance")
        return self._fold


def find_failure(subject: Subject, first: int) -> tuple[int, str] | None:
    """Fold one event at a time from `first` on, as the server does after a batch failed.

    Returns which event fails and why; None where none does by itself.
    """
    step = subject.limits.fold_batch_events
    with subject.open() as fold:
        for start in range(1, first, step):
            fold.append(subject.trail.batch(start, min(first, start + step) - 1))
        for sequence in range(first, len(subject.trail.payloads) + 1):
            try:
                fold.append(subject.trail.batch(sequence, sequence))
            except (GuestError, GuestTrap) as error:
                return sequence, reason_of(error)
    return None
