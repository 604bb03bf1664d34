"""Find the one event of a batch that a view cannot fold.

A batch that failed says only that something in it fails. The search folds it again in ever smaller pieces,
on fresh instances, until one event fails; and that event is believed only when it fails a second time, on
another fresh instance, in the same place. A failure that does not repeat is none.
"""

from collections.abc import Callable
from typing import NamedTuple

from indelible.fold.errors import Aborted, GuestError, GuestTrap
from indelible.fold.fold import Fold
from indelible.fold.types import Batch

Reopen = Callable[[], Fold]
"""Gives a new instance in the state before the batch."""

_SURPRISES = 8
"""How often events that were folded before may fail on another instance before the search gives up."""


class Culprit(NamedTuple):
    """The event that fails the view, and why."""

    sequence: int
    reason: str


def reason_of(failure: GuestError | GuestTrap) -> str:
    """Say a failure in one line."""
    if isinstance(failure, GuestError):
        return f"the view refused the event: {failure.text}"
    return f"the view failed ({failure.kind}): {failure.text}"


class _Search:
    """Where the search stands: which pieces of the batch are folded, or must be on the next instance.

    A new instance folds them in the same pieces as before, so that a view for which the size of a batch
    matters, against its contract, still behaves the same each time.
    """

    def __init__(self, reopen: Reopen, batch: Batch) -> None:
        self._reopen = reopen
        self._batch = batch
        self._surprises = 0
        self._pieces: list[int] = []
        self._fold: Fold | None = None

    @property
    def done(self) -> int:
        """How many events are folded."""
        return sum(self._pieces)

    def attempt(self, count: int) -> GuestError | GuestTrap | None:
        """Fold the next `count` events; return the failure, after which a new instance is needed."""
        fold = self.ready()
        start = self.done
        try:
            fold.append(self._batch.cut(start, start + count))
        except (GuestError, GuestTrap) as failure:
            self.drop()
            return failure
        self._pieces.append(count)
        return None

    def drop(self) -> None:
        """Close the instance."""
        if self._fold is not None:
            self._fold.close()
            self._fold = None

    def ready(self) -> Fold:
        """Return an instance with `done` events folded."""
        while self._fold is None:
            fold = self._reopen()
            try:
                self._catch_up(fold)
            except (GuestError, GuestTrap) as failure:
                fold.close()
                self._surprised(failure)
                continue
            except BaseException:
                fold.close()
                raise
            self._fold = fold
        return self._fold

    def _catch_up(self, fold: Fold) -> None:
        start = 0
        for count in self._pieces:
            fold.append(self._batch.cut(start, start + count))
            start += count

    def _surprised(self, failure: GuestError | GuestTrap) -> None:
        """What went well before fails now: go on with the first half of it."""
        self._surprises += 1
        if self._surprises > _SURPRISES:
            raise Aborted(f"the view behaves differently from one run to the next ({reason_of(failure)})")
        del self._pieces[len(self._pieces) // 2 :]


def find(reopen: Reopen, batch: Batch) -> Culprit | Fold:
    """Return the event that fails, or, when none does alone, a fold with the whole batch folded.

    Takes about log2 of the batch's length instances. A view that fails for the size of a batch and not for
    one of its events is thus folded on in smaller pieces.

    Raises:
        Aborted: time, memory of the host, an interruption, or a view that is not deterministic.
        GuestError, GuestTrap, ValueError: what `reopen` raises.
    """
    search = _Search(reopen, batch)
    try:
        return _run(search, len(batch.payloads), batch.first_sequence)
    except BaseException:
        search.drop()
        raise


def _run(search: _Search, total: int, first_sequence: int) -> Culprit | Fold:
    size = max(1, total // 2)
    while True:
        if search.done == total:
            fold = search.ready()
            if search.done == total:
                return fold
        size = min(size, total - search.done)
        failure = search.attempt(size)
        if failure is None:
            continue
        if size > 1:
            size //= 2
            continue
        place = search.done
        again = search.attempt(1)
        if again is not None and search.done == place:
            return Culprit(first_sequence + place, reason_of(again))
