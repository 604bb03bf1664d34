"""The only writer: one thread that commits what waits, all logs together, one transaction at a time.

A cycle locks the heads it touches, checks keys and expectations, stages (pure), writes one chunk a log,
and commits. Only then is anything answered. What happens to each call:

- refused by a check: its own exception, nothing stored, the others of the group go on;
- the store is full: `disk_full` for the whole group, nothing stored;
- stable storage failed: `commit_unknown` for the group, `store_failed` for what still waited, and the
  process is told to stop. A commit is never retried over a failed fsync.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple

from indelible import telemetry
from indelible.log.idempotency import KeyIndex
from indelible.log.pending import Append, AuditEvent, Change, Pending
from indelible.log.stage import Input, Sealed, Staged, seal, stage
from indelible.log.timekeeper import Timekeeper
from indelible.model.clock import Randomness
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import HeadRow, Store, StoreBroken, StoreError, StoreFull, Transaction

Future = asyncio.Future[Any]
Group = dict[int, list[tuple[Append, object]]]


class Committed(NamedTuple):
    """An append that is on stable storage; `leaves` are its leaf hashes in order, `salts` joined."""

    first: int
    time: int
    leaves: Sequence[bytes]
    salts: bytes


class Known(NamedTuple):
    """The idempotency key was used before, by the append whose first event is `first`."""

    first: int


class _Settled(NamedTuple):
    """What to tell the waiting calls, and which heads moved."""

    outcomes: list[tuple[object, object]]
    heads: dict[int, HeadRow]


_STOP = object()


class Committer:
    """Takes appends and changes from the event loop, commits them on its own thread.

    `submit` and `change` are called on the loop; their futures end there. `on_committed` runs on the loop
    after each commit with the heads that moved, before any of the futures' waiters run. `on_fatal` runs on
    the committer's thread.
    """

    def __init__(
        self,
        store: Store,
        timekeeper: Timekeeper,
        limits: Limits,
        randomness: Randomness,
        on_committed: Callable[[dict[int, HeadRow]], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._store = store
        self._timekeeper = timekeeper
        self._limits = limits
        self._randomness = randomness
        self._on_committed = on_committed
        self._on_fatal = on_fatal
        self._keys = KeyIndex(store, limits)
        self._inbox: SimpleQueue[list[tuple[object, object]] | object] = SimpleQueue()
        self._outbox: list[tuple[object, object]] = []
        self._pending = Pending(limits.commit_group_bytes, limits.commit_group_events)
        self._changes: deque[tuple[Change, object]] = deque()
        self._waiting_bytes = 0
        self._waiting_of: dict[int, int] = {}
        self._refusing: Problem | None = None
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Start the thread; called on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Commit what waits, then end the thread. What is submitted from now on is refused."""
        self._refusing = self._refusing or Problem("stopping", "the server is stopping; try again elsewhere")
        self._flush()
        self._inbox.put(_STOP)
        while self._thread.is_alive():
            await asyncio.sleep(0.005)

    # ------------------------------------------------------------------ on the event loop

    def submit(self, append: Append) -> Future:
        """Queue an append. The future's result is `Committed` or `Known`, or a Problem is raised from it.

        Raises:
            Problem: `saturated` when what waits is at its limit, `stopping`, `store_failed`.
        """
        self._admit(append)
        self._waiting_bytes += append.size
        self._waiting_of[append.workspace] = self._waiting_of.get(append.workspace, 0) + append.size
        return self._enqueue(append)

    def change(self, change: Change) -> Future:
        """Queue a change of state; the future's result is what its `apply` returned first."""
        if self._refusing:
            raise self._refusing
        return self._enqueue(change)

    def _enqueue(self, item: Append | Change) -> Future:
        loop = self._loop
        if loop is None:
            raise RuntimeError("the committer was not started")
        future = loop.create_future()
        if not self._outbox:
            # One hand-over for all that is submitted in this turn of the loop: that makes the groups.
            loop.call_soon(self._flush)
        self._outbox.append((item, future))
        return future

    def _flush(self) -> None:
        if self._outbox:
            self._inbox.put(self._outbox)
            self._outbox = []

    def _admit(self, append: Append) -> None:
        if self._refusing:
            raise self._refusing
        limit = self._limits.pending_append_bytes
        mine = self._waiting_of.get(append.workspace, 0)
        share = int(limit * self._limits.pending_workspace_fraction)
        if self._waiting_bytes + append.size > limit or (mine and mine + append.size > share):
            raise Problem("saturated", "too many appends are waiting; try again shortly", retry_after=1)

    def _deliver(self, settled: _Settled) -> None:
        """Back on the loop: heads first, so that whoever is woken sees them."""
        if settled.heads:
            self._on_committed(settled.heads)
        for ticket, outcome in settled.outcomes:
            item, future = ticket  # type: ignore[misc]  # tickets are ours: (item, future)
            if isinstance(item, Append):
                self._waiting_bytes -= item.size
                left = self._waiting_of[item.workspace] - item.size
                self._waiting_of[item.workspace] = left
                if not left:
                    del self._waiting_of[item.workspace]
            if future.cancelled():
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        telemetry.pending_bytes.set(self._waiting_bytes)

    # ------------------------------------------------------------------ on the committer's thread

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._receive(block=not (self._pending or self._changes))
            while self._pending or self._changes:
                if not self._cycle():
                    return
                stopping = self._receive(block=False) or stopping
        self._keys.maintain(0, everything=False)

    def _receive(self, *, block: bool) -> bool:
        """Take what the loop handed over; say whether a stop was asked for."""
        while block or not self._inbox.empty():
            items = self._inbox.get()
            if items is _STOP:
                return True
            for item in items:  # type: ignore[attr-defined]  # all but the stop are lists
                if isinstance(item[0], Append):
                    self._pending.add(item[0], item)
                else:
                    self._changes.append((item[0], item))
            block = False
        return False

    def _cycle(self) -> bool:
        """Commit one group; False when the store is broken and the thread must end."""
        group = self._pending.take()
        changes, self._changes = self._changes, deque()
        started = time.perf_counter()
        try:
            settled = self._commit(group, changes)
        except StoreBroken as error:
            self._break(group, changes, error)
            return False
        except StoreFull:
            problem = Problem("disk_full", "the server's disk is full; nothing of this call was stored")
            settled = _Settled(_refuse(group, changes, problem), {})
        except StoreError as error:
            problem = Problem("store_failed", f"the store refused: {error}; nothing of this call was stored")
            settled = _Settled(_refuse(group, changes, problem), {})
        except Problem as error:  # of the clock: it concerns the whole group
            settled = _Settled(_refuse(group, changes, error), {})
        telemetry.commit_seconds.observe(time.perf_counter() - started)
        self._post(settled)
        return self._maintain()

    def _maintain(self) -> bool:
        try:
            self._keys.maintain(int(time.time() * 1_000_000))
            self._store.maintain()
        except StoreBroken as error:
            self._break({}, (), error)
            return False
        except StoreError:
            pass  # housekeeping comes round again after the next commit
        return True

    def _post(self, settled: _Settled) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._deliver, settled)

    def _break(self, group: Group, changes: Sequence[tuple[Change, object]], error: BaseException) -> None:
        unknown = Problem("commit_unknown", "stable storage failed; retry with the same Idempotency-Key")
        lost = Problem("store_failed", "stable storage failed; the server stops, nothing of this was stored")
        self._refusing = lost
        outcomes = _refuse(group, changes, unknown)
        outcomes += [(ticket, lost) for _, ticket in self._pending.drain()]
        self._post(_Settled(outcomes, {}))
        self._on_fatal(error)

    def _commit(self, group: Group, changes: Sequence[tuple[Change, object]]) -> _Settled:
        outcomes: list[tuple[object, object]] = []
        heads: dict[int, HeadRow] = {}
        new_keys: list[tuple[bytes, int]] = []
        written = None
        with self._store.transaction() as transaction:
            now = self._timekeeper.now()
            audits = self._apply(transaction, changes, now, outcomes)
            known = self._known(transaction, group, now)
            locked = transaction.lock_heads([*group, *(log for log in audits if log not in group)])
            for log, waiting in group.items():
                head = heads[log] = locked[log]
                accepted = _accept(head, waiting, known, new_keys, outcomes)
                if accepted:
                    heads[log] = self._append(transaction, log, head, now, accepted, outcomes)
            for log, events in audits.items():
                head = heads.get(log, locked[log])
                heads[log] = self._append_audits(transaction, log, head, now, events)
            if new_keys:
                self._keys.check_room(len(new_keys))
                written = self._keys.write(transaction, new_keys, now)
        if written:
            self._keys.committed(written, new_keys)
        return _Settled(outcomes, {log: head for log, head in heads.items() if head is not locked[log]})

    def _apply(
        self,
        transaction: Transaction,
        changes: Sequence[tuple[Change, object]],
        now: int,
        outcomes: list[tuple[object, object]],
    ) -> dict[int, list[AuditEvent]]:
        audits: dict[int, list[AuditEvent]] = {}
        for change, ticket in changes:
            try:
                with transaction.savepoint():
                    result, events = change.apply(transaction, now)
            except Problem as problem:
                outcomes.append((ticket, problem))
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
        accepted: list[tuple[Append, object]],
        outcomes: list[tuple[object, object]],
    ) -> HeadRow:
        inputs = [
            Input(append.writer, append.sealed, append.digest, append.fingerprint) for append, _ in accepted
        ]
        staged = stage(head, now, inputs)
        _write(transaction, log, staged)
        if now < head.time:
            telemetry.clock_clamps_total.inc()
        at = 0
        for (append, ticket), first in zip(accepted, staged.firsts, strict=True):
            events = len(append.sealed.payloads)
            leaves = staged.leaves[at : at + events]
            outcomes.append((ticket, Committed(first, staged.head.time, leaves, append.sealed.salts)))
            at += events
        telemetry.appends_total.inc(len(accepted))
        telemetry.events_total.inc(at)
        telemetry.commit_groups_events.observe(at)
        telemetry.payload_bytes_total.inc(sum(append.size for append, _ in accepted))
        return staged.head

    def _append_audits(
        self, transaction: Transaction, log: int, head: HeadRow, now: int, events: Sequence[AuditEvent]
    ) -> HeadRow:
        inputs = [Input(event.writer, seal([event.payload], self._randomness)) for event in events]
        staged = stage(head, now, inputs)
        _write(transaction, log, staged)
        return staged.head


def _accept(
    head: HeadRow,
    waiting: Sequence[tuple[Append, object]],
    known: dict[bytes, int],
    new_keys: list[tuple[bytes, int]],
    outcomes: list[tuple[object, object]],
) -> list[tuple[Append, object]]:
    """Check keys, then expectations, in the order of arrival; settle what is refused or known."""
    size = head.size
    accepted = []
    for append, ticket in waiting:
        if append.digest is not None and append.digest in known:
            outcomes.append((ticket, Known(known[append.digest])))
            continue
        if append.expected is not None and append.expected != size:
            problem = Problem(
                "sequence_mismatch",
                f"the head is {size}, not {append.expected}; read what came before and decide again",
                head=size,
            )
            outcomes.append((ticket, problem))
            continue
        if append.digest is not None:
            known[append.digest] = size + 1
            new_keys.append((append.digest, size + 1))
        accepted.append((append, ticket))
        size += len(append.sealed.payloads)
    return accepted


def _write(transaction: Transaction, log: int, staged: Staged) -> None:
    for chunk in staged.chunks:
        transaction.put_chunk(log, chunk)
    if staged.nodes:
        transaction.put_nodes(log, staged.nodes)
    transaction.put_head(log, staged.head)


def _refuse(
    group: Group, changes: Sequence[tuple[Change, object]], problem: Problem
) -> list[tuple[object, object]]:
    outcomes: list[tuple[object, object]] = [
        (ticket, problem) for waiting in group.values() for _, ticket in waiting
    ]
    return outcomes + [(ticket, problem) for _, ticket in changes]


__all__ = ["Append", "AuditEvent", "Change", "Committed", "Committer", "Known", "Sealed"]
