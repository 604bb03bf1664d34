"""One answer from nothing: a fresh instance folds given events, then gets one question, and is thrown away.

Server and verifier run this very code, so that an answer that was attested can be recomputed elsewhere. The
result depends on component, configuration, facts, events and question alone: not on how events come in
batches, and on no state that was kept.
"""

import threading
import time
from collections.abc import Callable, Iterable

from indelible.fold.errors import Aborted, CodeLost, FoldError, GuestError, GuestTrap, reason_of
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Answer, Batch, Compiled, Pairs, Question

_RESTARTS = 3
"""How many batches may fail and be tried in single events: what a call may use counts for a batch as well."""

Batches = Callable[[], Iterable[Batch]]
"""Gives the events from the first one on, each time that it is called."""

Told = Callable[[int], object]
"""Is told the last event that was folded."""


class FoldFailed(FoldError):
    """The view cannot start (sequence 0), or cannot fold an event, on two fresh instances. Decided.

    `refused`: it said so itself. Otherwise it trapped, which may be a matter of limits.
    """

    def __init__(self, sequence: int, cause: GuestError | GuestTrap) -> None:
        super().__init__(reason_of(cause))
        self.sequence = sequence
        self.refused = isinstance(cause, GuestError)


class _Again(Exception):
    """A batch failed, which has to be tried in single events on another instance."""


class Afresh:
    """One run. `stop` may come from any thread; all else belongs to one.

    `seconds` bounds the whole of it; each call of the guest has its own limits of fuel, time and memory.
    """

    def __init__(self, host: Host, compiled: Compiled, config: str, facts: Pairs, seconds: float) -> None:
        self._host = host
        self._compiled = compiled
        self._config = config
        self._facts = facts
        self._seconds = seconds
        self._end = 0.0
        self._lock = threading.Lock()
        self._fold: Fold | None = None
        self._stopped = ""

    def answer(self, batches: Batches, question: Question, told: Told = lambda _last: None) -> Answer:
        """Fold, then ask.

        Raises:
            QueryRefused: the view's own refusal of the question.
            FoldFailed: it does not start, or cannot fold an event.
            GuestTrap: it traps on the question.
            AnswerTooLarge: as it says.
            Aborted: stopped, or over a limit of time; nothing is decided.
        """
        self._end = time.monotonic() + self._seconds
        suspects: set[int] = set()  # where the batches begin that failed once: they are folded singly
        for _ in range(_RESTARTS + 1):
            try:
                return self._once(batches, question, suspects, told)
            except _Again:
                continue
        raise Aborted("its batches failed, and their events did not")

    def stop(self, reason: str) -> None:
        """Abort; from any thread, and for good."""
        with self._lock:
            self._stopped = self._stopped or reason
            if self._fold is not None:
                self._fold.interrupt(reason)

    def _once(self, batches: Batches, question: Question, suspects: set[int], told: Told) -> Answer:
        with self._open() as fold:
            with self._lock:
                self._fold = fold
            try:
                for batch in batches():
                    self._append(fold, batch, suspects)
                    told(batch.first_sequence + len(batch.payloads) - 1)
                self._check()
                return fold.query(question)
            finally:
                with self._lock:
                    self._fold = None

    def _open(self) -> Fold:
        self._check()
        try:
            return self._host.open(self._compiled, self._config, self._facts)
        except (GuestError, GuestTrap) as error:
            raise FoldFailed(0, error) from error
        except CodeLost:
            raise Aborted("the compiled code was lost meanwhile; ask again") from None

    def _append(self, fold: Fold, batch: Batch, suspects: set[int]) -> None:
        suspect = batch.first_sequence in suspects
        for part in _singles(batch) if suspect else (batch,):
            self._check()
            try:
                fold.append(part)
            except (GuestError, GuestTrap) as error:
                if suspect:
                    raise FoldFailed(part.first_sequence, error) from error
                suspects.add(batch.first_sequence)
                raise _Again from error

    def _check(self) -> None:
        if self._stopped:
            raise Aborted(self._stopped)
        if time.monotonic() > self._end:
            raise Aborted(f"it did not end within {self._seconds:g} s")


def _singles(batch: Batch) -> Iterable[Batch]:
    for place, payload in enumerate(batch.payloads):
        writer = batch.writers[batch.writer_of[place] if batch.writer_of else 0]
        yield Batch(batch.first_sequence + place, batch.times[place : place + 1], (payload,), (writer,))
