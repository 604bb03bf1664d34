"""Idempotency keys where several processes append to one store: each is written into the index by its commit.

A key counts for a log, and is looked up after the log's head is locked. So a key that was used through one
process is known to the next one that locks the head, and two uses at once are one after the other. Nothing is
remembered here but how many keys there are, which is counted again now and then.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from indelible.log.idempotency import MERGE_KEYS, epoch_of
from indelible.model.limits import Limits
from indelible.store.base import Store, Transaction

COUNT_SECONDS = 30.0
"""So much later at most, and what comes meanwhile, is the limit noticed that all processes share."""


class SharedKeyIndex:
    """The keys of all logs. Used by the committer's thread alone."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._counted = dict(store.key_counts())
        self._own = 0  # written since they were counted
        self._count_at = time.monotonic() + COUNT_SECONDS

    def __len__(self) -> int:
        return self._own + sum(self._counted.values())

    def find(self, transaction: Transaction, digests: Sequence[bytes], now: int) -> Mapping[bytes, int]:
        """The first sequence that each known key made; the heads of their logs are locked."""
        if not digests:
            return {}
        # One epoch more: a clock of the database that stepped back has written ahead of what it shows now.
        return transaction.find_keys(digests, range(self._oldest_epoch(now), epoch_of(now) + 2))

    def room(self) -> int:
        """How many keys more can be remembered, about."""
        return self._limits.idempotency_keys - len(self)

    def write(self, transaction: Transaction, rows: list[tuple[bytes, int]], now: int) -> tuple[int, int]:
        """Write new keys in the commit that makes their events."""
        epoch = epoch_of(now)
        transaction.merge_keys(epoch, sorted(rows), 0)
        return 0, epoch

    def committed(self, _written: tuple[int, int], rows: list[tuple[bytes, int]]) -> None:
        """Count the keys that were just committed."""
        self._own += len(rows)

    def maintain(self, now: Callable[[], int], *, everything: bool = False) -> None:
        """Between commits: count again, and forget a slice of the expired. `now` asks the database."""
        if not everything and time.monotonic() < self._count_at:
            return
        oldest = self._oldest_epoch(now())
        dropped = 0
        if any(epoch < oldest for epoch in self._counted):
            with self._store.transaction() as transaction:
                transaction.alone()
                dropped = transaction.drop_epoch(oldest - 1, MERGE_KEYS)
        if dropped < MERGE_KEYS:
            self._counted, self._own = dict(self._store.key_counts()), 0
            self._count_at = time.monotonic() + COUNT_SECONDS

    def _oldest_epoch(self, now: int) -> int:
        return epoch_of(now - self._limits.idempotency_seconds * 1_000_000)
