"""Which idempotency keys a log has seen, for at least `idempotency_seconds`.

A row for each key in a commit would cost nine tenths of the throughput. So a commit writes its keys as one
journal row; the newest keys are also held in memory, up to a limit, and merged from there into a sorted
index, a slice a transaction. The journal rebuilds the memory at start. The index is cut into epochs, so
that forgetting is a range delete.

What a key's answer was stands in the chunk it made; here is only where that chunk begins.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID

from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import Store, Transaction

DIGEST_BYTES = 16
EPOCH_SECONDS = 6 * 3600
MERGE_KEYS = 2_048
_ROW = struct.Struct(">16sQ")
_EPOCH = struct.Struct(">I")


def key_digest(log_id: UUID, key: str) -> bytes:
    """Digest (16 bytes) of an idempotency key within its log."""
    return hashlib.sha256(b"key\0" + log_id.bytes + key.encode()).digest()[:DIGEST_BYTES]


def fingerprint(operation: str, framing: str, body: bytes) -> bytes:
    """Digest (16 bytes) of what makes two requests the same: the operation, the framing, the body."""
    head = f"{operation}\0{framing}\0".encode()
    return hashlib.sha256(head + hashlib.sha256(body).digest()).digest()[:DIGEST_BYTES]


def epoch_of(micros: int) -> int:
    """The epoch of a time."""
    return micros // (EPOCH_SECONDS * 1_000_000)


def keys_full() -> Problem:
    """What an append with a new key is told when no more can be remembered."""
    return Problem(
        "saturated",
        "too many idempotency keys are remembered; append without one or wait for old ones to expire",
        retry_after=60,
    )


class KeyIndex:
    """The keys of all logs. Used by the committer's thread alone."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._recent: dict[bytes, int] = {}
        self._journal: list[tuple[int, int, list[tuple[bytes, int]]]] = []  # number, epoch, rows
        self._merged = dict(store.key_counts())
        for number, body in store.key_journal():
            epoch, rows = _decode(body)
            self._remember(number, epoch, rows)

    def __len__(self) -> int:
        return len(self._recent) + sum(self._merged.values())

    def _remember(self, number: int, epoch: int, rows: list[tuple[bytes, int]]) -> None:
        self._journal.append((number, epoch, rows))
        self._recent.update(rows)

    def find(self, transaction: Transaction, digests: Sequence[bytes], now: int) -> Mapping[bytes, int]:
        """The first sequence that each known key made."""
        found = {digest: self._recent[digest] for digest in digests if digest in self._recent}
        oldest = self._oldest_epoch(now)
        epochs = [epoch for epoch in self._merged if epoch >= oldest]
        others = [digest for digest in digests if digest not in found]
        if epochs and others:
            found.update(transaction.find_keys(others, epochs))
        return found

    def room(self) -> int:
        """How many keys more can be remembered."""
        return self._limits.idempotency_keys - len(self)

    def write(self, transaction: Transaction, rows: list[tuple[bytes, int]], now: int) -> tuple[int, int]:
        """Write new keys in the commit that makes their events; give the result to `committed` after it."""
        epoch = epoch_of(now)
        return transaction.journal_keys(_encode(epoch, rows)), epoch

    def committed(self, written: tuple[int, int], rows: list[tuple[bytes, int]]) -> None:
        """Know the keys that were just committed."""
        self._remember(written[0], written[1], rows)

    def maintain(self, now: Callable[[], int], *, everything: bool = False) -> None:
        """Between commits: merge a slice of what is over the memory limit, forget a slice of the expired.

        `now` is asked for the time only where it matters: it may ask the database.
        """
        while len(self._recent) > self._limits.idempotency_keys_in_memory or (everything and self._journal):
            self._merge_slice()
            if not everything:
                break
        oldest = self._oldest_epoch(now())
        if any(epoch < oldest for epoch in self._merged):
            with self._store.transaction() as transaction:
                dropped = transaction.drop_epoch(oldest - 1, MERGE_KEYS)
            if dropped < MERGE_KEYS:
                self._merged = {epoch: keys for epoch, keys in self._merged.items() if epoch >= oldest}

    def _merge_slice(self) -> None:
        taken, epoch = 0, self._journal[0][1]
        rows: list[tuple[bytes, int]] = []
        for _, row_epoch, journal_rows in self._journal:
            if row_epoch != epoch or (rows and len(rows) + len(journal_rows) > MERGE_KEYS):
                break
            rows += journal_rows
            taken += 1
        upto = self._journal[taken - 1][0]
        with self._store.transaction() as transaction:
            transaction.merge_keys(epoch, sorted(dict(rows).items()), upto)
        del self._journal[:taken]
        self._merged[epoch] = self._merged.get(epoch, 0) + len(rows)
        for digest, first in rows:
            if self._recent.get(digest) == first:
                del self._recent[digest]

    def _oldest_epoch(self, now: int) -> int:
        return epoch_of(now - self._limits.idempotency_seconds * 1_000_000)


def _encode(epoch: int, rows: Iterable[tuple[bytes, int]]) -> bytes:
    return _EPOCH.pack(epoch) + b"".join([_ROW.pack(digest, first) for digest, first in rows])


def _decode(body: bytes) -> tuple[int, list[tuple[bytes, int]]]:
    (epoch,) = _EPOCH.unpack_from(body)
    return epoch, list(_ROW.iter_unpack(body[_EPOCH.size :]))
