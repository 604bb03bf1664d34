"""One group commit: the heads it touches are locked, calls are checked, staged, written, committed.

Everything here runs on the committer's thread, inside one transaction. What a check refuses is settled with
its own Problem and the rest of the group goes on; any other exception leaves the transaction undone.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from indelible import telemetry
from indelible.log.chunk import SALT_BYTES
from indelible.log.idempotency import KeyIndex, keys_full
from indelible.log.idempotency_shared import SharedKeyIndex
from indelible.log.pending import Append, AuditEvent, Base, Change, Laid, Ticket
from indelible.log.stage import Call, Sealed, Staged, join, seal, stage
from indelible.log.timekeeper import Timekeeper
from indelible.model.clock import Randomness
from indelible.model.errors import Problem
from indelible.store.base import HeadRow, Locked, Store, StoreError, Transaction

LAYING_BYTES = 16  # that tell one large batch from another


def laying_mark(log: int) -> str:
    """Names the stored value that is not empty while chunks may stand beyond a log's head."""
    return f"laying/{log}"


Waiting = list[tuple[Append, Ticket]]
Group = dict[int, Waiting]
Changes = Sequence[tuple[Change, Ticket]]
Outcomes = list[tuple[Ticket, object]]


class Committed(NamedTuple):
    """An append that is on stable storage; `leaves` are its leaf hashes in order, `salts` joined."""

    first: int
    time: int
    leaves: Sequence[bytes]
    salts: bytes


class Known(NamedTuple):
    """The idempotency key was used before, by the append whose first event is `first`."""

    first: int


class Settled(NamedTuple):
    """What to tell the waiting calls (ticket and result or exception), and which heads moved.

    `skipped` are appends to logs that another process had locked: nothing is known of them yet.
    """

    outcomes: Outcomes
    heads: dict[int, HeadRow]
    skipped: Mapping[int, Waiting] = MappingProxyType({})
    unknown: bool = False  # whether it was committed


class _Tally(NamedTuple):
    """What one group adds to one log."""

    appends: int
    events: int
    payload_bytes: int
    clamped: bool


class GroupCommit:
    """Commits one group at a time; `commit` is the only place where anything is ever stored.

    `may_append` gets the number of each log that a change writes to, and refuses with a Problem.
    """

    def __init__(
        self,
        store: Store,
        keys: KeyIndex | SharedKeyIndex,
        timekeeper: Timekeeper,
        randomness: Randomness,
        may_append: Callable[[int], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._timekeeper = timekeeper
        self._randomness = randomness
        self._may_append = may_append
        # Logs that surely hold no chunks beyond their head, of a large batch that was cut short.
        self._clean: set[int] = set()
        self._cleaned: set[int] = set()  # those of the transaction that is open
        self._tallies: list[_Tally] = []  # of the transaction that is open
        self._marks: Mapping[str, bytes] = {}  # the same: of laying, where other processes set them too

    def lay(self, transaction: Transaction, append: Append, now: int) -> Base | Known:
        """Return a log's head, after which chunks may now be laid inside changes, by one call at a time.

        The mark is of this call alone: another process that lays there, or drops what is laid, changes it.

        A known key and a wrong expectation are found here, before anything is laid for nothing.
        """
        log, digest = append.log, append.digest
        head = transaction.lock_heads([log])[log]
        if digest is not None:
            known = self._keys.find(transaction, [digest], now)
            if digest in known:
                return Known(known[digest])
        if append.expected not in {None, head.size}:
            raise _mismatch(append, head.size)
        self._drop_leavings(transaction, log, head)
        mark = head.size.to_bytes(8, "big") + self._randomness(LAYING_BYTES)
        transaction.put_meta(laying_mark(log), mark)
        self._clean.discard(log)
        return Base(head, mark)

    def _drop_leavings(self, transaction: Transaction, log: int, head: HeadRow) -> None:
        """Drop what a large batch that was cut short laid beyond the head; nothing else may stand there.

        Without the mark nothing is dropped: chunks beyond a head are then evidence, and the gate refuses.
        """
        if self._store.reader.meta(laying_mark(log)):
            transaction.drop_beyond(log, head.size)
            transaction.put_meta(laying_mark(log), b"")

    def commit(self, group: Group, changes: Changes, *, wait: bool = False) -> Settled:
        """Commit a group. With `wait`, heads that another process has locked are waited for, not skipped.

        Raises:
            StoreError: as the store's contract has it.
            Problem: `clock_unsure`, for the group as a whole; nothing is stored.
        """
        outcomes: Outcomes = []
        heads: dict[int, HeadRow] = {}
        new_keys: list[tuple[bytes, int]] = []
        written = None
        self._cleaned.clear()
        self._tallies.clear()
        with self._store.transaction() as transaction:
            changed = self._now(transaction, changes)
            audits = self._apply(transaction, changes, changed, outcomes)
            locked = self._lock(transaction, group, audits, wait=wait)
            now = changed if locked.clock is None else self._timekeeper.now(locked.clock)
            skipped = {log: waiting for log, waiting in group.items() if log not in locked.heads}
            group = self._appendable(group, skipped, outcomes)
            known = self._known(transaction, group, now)
            room = self._keys.room()
            for log, waiting in group.items():
                head = heads[log] = locked.heads[log]
                accepted = _accept(head, waiting, known, new_keys, outcomes, room)
                if accepted:
                    heads[log], done = self._append(transaction, log, head, now, accepted)
                    outcomes += done
            for log, events in audits.items():  # dated as the rows that they tell of
                head = heads.get(log, locked.heads[log])
                heads[log] = self._append_audits(transaction, log, head, changed, events)
            if new_keys:
                written = self._keys.write(transaction, new_keys, now)
        self._clean |= self._cleaned
        _count(self._tallies)
        if written:
            self._keys.committed(written, new_keys)
        moved = {log: head for log, head in heads.items() if head is not locked.heads[log]}
        return Settled(outcomes, moved, skipped)

    def _now(self, transaction: Transaction, changes: Changes) -> int:
        """The time for changes; before them all others that decide by what is committed are waited for."""
        if not self._store.shared:
            return self._timekeeper.now()
        if not changes:
            return 0  # the time of events is that after their heads are locked
        if any(change.decides for change, _ in changes):
            transaction.alone()
        return self._timekeeper.now(transaction.clock())

    def _lock(
        self, transaction: Transaction, group: Group, audits: Mapping[int, object], *, wait: bool
    ) -> Locked:
        """Lock the heads of a group; those of `_audit` are waited for, since their changes are made."""
        waited, skippable = list(audits), [log for log in group if log not in audits]
        if wait or not self._store.shared:
            waited, skippable = waited + skippable, []
        names = [laying_mark(log) for log in (*waited, *skippable)] if self._store.shared else ()
        locked = transaction.lock(skippable, waited, names)
        missing = [log for log in waited if log not in locked.heads]
        if missing:
            raise LookupError(f"no log {missing[0]}")
        self._marks = locked.values
        return locked

    def _appendable(self, group: Group, skipped: Group, outcomes: Outcomes) -> Group:
        """Of a group, the logs that are locked and, where another server may answer by now, still match."""
        if not self._store.shared:
            return group
        appendable: Group = {}
        for log, waiting in group.items():
            if log in skipped:
                continue
            try:
                self._may_append(log)
            except Problem as problem:
                outcomes += [(ticket, problem) for _, ticket in waiting]
            else:
                appendable[log] = waiting
        return appendable

    def _apply(
        self,
        transaction: Transaction,
        changes: Changes,
        now: int,
        outcomes: Outcomes,
    ) -> dict[int, list[AuditEvent]]:
        audits: dict[int, list[AuditEvent]] = {}
        for change, ticket in changes:
            try:
                with transaction.savepoint():
                    result, events = change.apply(transaction, now)
                    for log in {event.log for event in events}:
                        self._may_append(log)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - told to the one who asked for the change; it alone is undone
                outcomes.append((ticket, error))
                continue
            outcomes.append((ticket, result))
            for event in events:
                audits.setdefault(event.log, []).append(event)
        return audits

    def _known(self, transaction: Transaction, group: Group, now: int) -> dict[bytes, int]:
        digests = [
            append.digest for waiting in group.values() for append, _ in waiting if append.digest is not None
        ]
        return dict(self._keys.find(transaction, digests, now)) if digests else {}

    def _append(
        self,
        transaction: Transaction,
        log: int,
        head: HeadRow,
        now: int,
        accepted: Waiting,
    ) -> tuple[HeadRow, Outcomes]:
        appends = [append for append, _ in accepted]
        laid = appends[0].laid if len(appends) == 1 else None
        if laid is not None and self._is_laid(log, laid, head):
            staged = laid.staged
            _write_head(transaction, log, staged)
            transaction.put_meta(laying_mark(log), b"")
            self._cleaned.add(log)
        else:
            staged = stage(head, now, self._sealed(appends), [append.call for append in appends])
            self._write(transaction, log, head, staged)
        size = sum([append.size for append in appends])
        self._tallies.append(_Tally(len(appends), len(staged.leaves), size, clamped=now < head.time))
        return staged.head, _committed(accepted, staged)

    def _is_laid(self, log: int, laid: Laid, head: HeadRow) -> bool:
        mine = not self._store.shared or self._marks.get(laying_mark(log)) == laid.base.mark
        return mine and laid.base.head == head

    def _sealed(self, appends: Sequence[Append]) -> Sealed:
        """Seal what is not sealed yet; what comes in single events, as most does, all at once."""
        if any(append.sealed is not None for append in appends):
            return join([a.sealed or seal(a.payloads, self._randomness) for a in appends])
        return seal([payload for append in appends for payload in append.payloads], self._randomness)

    def _append_audits(
        self, transaction: Transaction, log: int, head: HeadRow, now: int, events: Sequence[AuditEvent]
    ) -> HeadRow:
        sealed = seal([event.payload for event in events], self._randomness)
        staged = stage(head, now, sealed, [Call(event.writer, 1) for event in events])
        self._write(transaction, log, head, staged)
        return staged.head

    def _write(self, transaction: Transaction, log: int, head: HeadRow, staged: Staged) -> None:
        if self._store.shared:
            if self._marks.get(laying_mark(log)):
                transaction.drop_beyond(log, head.size)
                transaction.put_meta(laying_mark(log), b"")
        elif log not in self._clean and log not in self._cleaned:
            self._drop_leavings(transaction, log, head)
            self._cleaned.add(log)
        for chunk in staged.chunks:
            transaction.put_chunk(log, chunk)
        _write_head(transaction, log, staged)


def _count(tallies: Sequence[_Tally]) -> None:
    """Add a group to the metrics; after its COMMIT, since they tell of what is stored."""
    if tallies:
        events = sum(tally.events for tally in tallies)
        telemetry.appends_total.inc(sum(tally.appends for tally in tallies))
        telemetry.events_total.inc(events)
        telemetry.commit_groups_events.observe(events)
        telemetry.payload_bytes_total.inc(sum(tally.payload_bytes for tally in tallies))
        telemetry.clock_clamps_total.inc(sum(tally.clamped for tally in tallies))


def _accept(
    head: HeadRow,
    waiting: Waiting,
    known: dict[bytes, int],
    new_keys: list[tuple[bytes, int]],
    outcomes: Outcomes,
    room: int,
) -> Waiting:
    """Check keys, then expectations, in the order of arrival; settle what is refused or known.

    `room` is how many keys more can be remembered; a key is never forgotten early.
    """
    size = head.size
    accepted: Waiting = []
    for append, ticket in waiting:
        if append.digest is not None and append.digest in known:
            outcomes.append((ticket, Known(known[append.digest])))
            continue
        if append.expected is not None and append.expected != size:
            outcomes.append((ticket, _mismatch(append, size)))
            continue
        if append.digest is not None and len(new_keys) >= room:
            outcomes.append((ticket, keys_full()))
            continue
        if append.digest is not None:
            known[append.digest] = size + 1
            new_keys.append((append.digest, size + 1))
        accepted.append((append, ticket))
        size += len(append.payloads)
    return accepted


def _committed(accepted: Waiting, staged: Staged) -> Outcomes:
    """What to tell each call: its own part of what was staged for all."""
    leaves, salts, time = staged.leaves, staged.salts, staged.head.time
    first = staged.head.size - len(leaves) + 1
    outcomes: Outcomes = []
    at = 0
    for append, ticket in accepted:
        end = at + len(append.payloads)
        mine = salts[at * SALT_BYTES : end * SALT_BYTES]
        outcomes.append((ticket, Committed(first + at, time, leaves[at:end], mine)))
        at = end
    return outcomes


def _mismatch(append: Append, size: int) -> Problem:
    return Problem(
        "sequence_mismatch",
        f"the head is {size}, not {append.expected}; read what came before and decide again",
        head=size,
    )


def _write_head(transaction: Transaction, log: int, staged: Staged) -> None:
    if staged.nodes:
        transaction.put_nodes(log, staged.nodes)
    transaction.put_head(log, staged.head)
