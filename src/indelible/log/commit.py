"""The only writer: one thread that commits what waits, all logs together, one transaction at a time.

A cycle locks the heads it touches, checks keys and expectations, stages (pure), writes one chunk a log,
and commits. Only then is anything answered. What happens to each call:

- refused by a check: its own exception, nothing stored, the others of the group go on;
- the store is full: `disk_full` for the whole group, nothing stored;
- the store refused the group for another reason before COMMIT: it is cut, down to the call at fault;
- another process has a log: that log's calls go next, by themselves;
- the database does not answer: `store_unavailable`, nothing stored;
- its answer to COMMIT was lost: `commit_unknown`, and the server goes on;
- stable storage failed: `commit_unknown` for the group, `store_failed` for what still waited, and the
  process is told to stop. A commit is never retried over a failed fsync.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import structlog

from indelible import telemetry
from indelible.log.group import Group, GroupCommit, Known, Settled
from indelible.log.idempotency import KeyIndex
from indelible.log.idempotency_shared import SharedKeyIndex
from indelible.log.parts import Part
from indelible.log.pending import Append, AuditEvent, Base, Change, Pending, Ticket
from indelible.log.refusal import unavailable
from indelible.log.timekeeper import Timekeeper
from indelible.model.clock import Randomness
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import (
    HeadRow,
    Store,
    StoreBroken,
    StoreConflict,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnknown,
    Transaction,
)

Future = asyncio.Future[Any]

CONFLICT_ATTEMPTS = 3  # of a part that another process is in the way of, before it is cut


class Committer:
    """Takes appends and changes from the event loop, commits them on its own thread.

    `submit` and `change` are called on the loop; their futures end there. `on_committed` runs on the loop
    after each commit with the heads that moved, before any of the futures' waiters run. `on_fatal` and
    `may_append` (the number of a log that a change writes to; raises Problem) run on the committer's thread.
    """

    def __init__(
        self,
        store: Store,
        timekeeper: Timekeeper,
        limits: Limits,
        randomness: Randomness,
        *,
        on_committed: Callable[[dict[int, HeadRow]], None],
        on_fatal: Callable[[BaseException], None],
        may_append: Callable[[int], None] = lambda _log: None,
    ) -> None:
        self._store = store
        self._most_bytes = limits.pending_append_bytes
        self._share_bytes = int(limits.pending_append_bytes * limits.pending_workspace_fraction)
        self._on_committed = on_committed
        self._on_fatal = on_fatal
        self._keys = SharedKeyIndex(store, limits) if store.shared else KeyIndex(store, limits)
        self._timekeeper = timekeeper
        self._groups = GroupCommit(store, self._keys, timekeeper, randomness, may_append)
        self._inbox: SimpleQueue[list[Ticket] | None] = SimpleQueue()
        self._outbox: list[Ticket] = []
        self._pending = Pending(limits.commit_group_bytes, limits.commit_group_events)
        self._changes: deque[tuple[Change, Ticket]] = deque()
        self._contended: Group = {}
        self._waiting_bytes = 0
        self._waiting_of: dict[int, int] = {}
        self._refusing: Problem | None = None
        # On the loop, with the appends of a commit, also when nobody waits for them any more.
        self.on_settled: Callable[[Sequence[Append]], None] = lambda _appends: None
        # On the loop, before anybody is told that a commit is unknown.
        self.on_unknown: Callable[[], None] = lambda: None
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
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    # ------------------------------------------------------------------ on the event loop

    def submit(self, append: Append) -> Future:
        """Queue an append. The future's result is `Committed` or `Known`, or a Problem is raised from it.

        Raises:
            Problem: `saturated` when what waits is at its limit, `stopping`, `store_failed`.
        """
        self.reserve(append)
        return self._enqueue(append)

    def reserve(self, append: Append) -> None:
        """Count an append among what waits, as `submit` does; raises as it does."""
        weight = append.weight
        self.check_room(append.workspace, weight)
        self._waiting_bytes += weight
        self._waiting_of[append.workspace] = self._waiting_of.get(append.workspace, 0) + weight

    def release(self, append: Append) -> None:
        """Count an append no longer, which was reserved and then not submitted."""
        self._release(append.workspace, append.weight)

    def _release(self, workspace: int, weight: int) -> None:
        self._waiting_bytes -= weight
        left = self._waiting_of[workspace] - weight
        if left:
            self._waiting_of[workspace] = left
        else:
            del self._waiting_of[workspace]

    def _release_all(self, appends: Sequence[Append]) -> None:
        weights: dict[int, int] = {}
        for append in appends:
            weights[append.workspace] = weights.get(append.workspace, 0) + append.weight
        for workspace, weight in weights.items():
            self._release(workspace, weight)

    def submit_reserved(self, append: Append) -> Future:
        """Queue an append that was reserved before; raises as `submit` while the server stops."""
        self.check_taking()
        return self._enqueue(append)

    def check_taking(self) -> None:
        """Raise `stopping` or `store_failed` when nothing is taken any more."""
        if self._refusing:
            raise self._refusing

    def lay_after(self, append: Append) -> Future:
        """The head after which chunks of an append may be laid, or `Known`, and the time (µs).

        For one call a log at a time. Its keys and its expectation are checked as in a commit.
        """

        def apply(
            transaction: Transaction, now: int
        ) -> tuple[tuple[Base | Known, int], Sequence[AuditEvent]]:
            return (self._groups.lay(transaction, append, now), now), ()

        return self.change(Change(apply, decides=False))

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
        self._outbox.append(Ticket(item, future))
        return future

    def _flush(self) -> None:
        if self._outbox:
            self._inbox.put(self._outbox)
            self._outbox = []

    def check_room(self, workspace: int, weight: int) -> None:
        """Raise as `submit` would for an append of this weight in bytes; nothing is counted yet."""
        if self._refusing:
            raise self._refusing
        mine = self._waiting_of.get(workspace, 0)
        if self._waiting_bytes + weight > self._most_bytes or (mine and mine + weight > self._share_bytes):
            raise Problem("saturated", "too many appends are waiting; try again shortly", retry_after=1)

    def _deliver(self, settled: Settled) -> None:
        """Back on the loop: heads first, so that whoever is woken sees them."""
        if settled.unknown:
            self.on_unknown()
        if settled.heads:
            self._on_committed(settled.heads)
        appends = [item for (item, _), _ in settled.outcomes if isinstance(item, Append)]
        self._release_all(appends)
        for (_, future), outcome in settled.outcomes:
            if future.cancelled():
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self.on_settled(appends)
        telemetry.pending_bytes.set(self._waiting_bytes)

    # ------------------------------------------------------------------ on the committer's thread

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            # Without this thread nothing is ever answered again, so its end is the server's.
            self._break(Part({}, ()), (), error)
            raise

    def _work(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._receive(block=not self._waits())
            while self._waits():
                if not self._cycle():
                    return
                stopping = self._receive(block=False) or stopping

    def _waits(self) -> bool:
        return bool(self._pending or self._changes or self._contended)

    def _receive(self, *, block: bool) -> bool:
        """Take what the loop handed over; say whether a stop was asked for."""
        while block or not self._inbox.empty():
            tickets = self._inbox.get()
            if tickets is None:
                return True
            for ticket in tickets:
                if isinstance(ticket.item, Append):
                    self._pending.add(ticket.item, ticket)
                else:
                    self._changes.append((ticket.item, ticket))
            block = False
        return False

    def _cycle(self) -> bool:
        """Commit what is next; False when the store is broken and the thread must end."""
        parts = deque([self._next_part()])
        while parts:
            part = parts.popleft()
            started = time.perf_counter()
            try:
                settled = self._settle(part)
            except StoreBroken as error:
                self._break(part, parts, error)
                return False
            telemetry.commit_seconds.observe(time.perf_counter() - started)
            if settled is None:
                parts.extendleft(reversed(list(part.halves())))
                continue
            for log, waiting in settled.skipped.items():
                self._contended.setdefault(log, []).extend(waiting)
            self._post(settled)
        return self._maintain()

    def _next_part(self) -> Part:
        """What another process was in the way of goes by itself, so that nothing else waits for it."""
        if self._contended:
            contended, self._contended = self._contended, {}
            return Part(contended, (), wait=True)
        return Part(self._pending.take(), self._take_changes())

    def _settle(self, part: Part) -> Settled | None:
        """Commit a part, or refuse its calls; None when its halves are to be tried, as nothing is stored.

        Raises:
            StoreBroken: the process must stop.
        """
        try:
            return self._attempt(part)
        except StoreBroken:
            raise
        except StoreFull:
            problem = Problem("disk_full", "the server's disk is full; nothing of this call was stored")
        except StoreUnknown as error:
            structlog.get_logger().error("a commit is unknown", reason=str(error))
            problem = Problem(
                "commit_unknown", "the database's answer was lost; retry with the same Idempotency-Key"
            )
            return Settled(part.refused(problem), {}, unknown=True)
        except StoreUnavailable as error:
            problem = unavailable(error)
        except Problem as error:  # of the clock: it concerns the whole group
            problem = error
        except (StoreError, Exception) as error:  # noqa: BLE001 - undone, told, and the others' appends go on
            if part.calls > 1:
                return None
            problem = _failed(error)
        return Settled(part.refused(problem), {})

    def _attempt(self, part: Part) -> Settled:
        """Commit; where another process was in the way, again."""
        for _ in range(CONFLICT_ATTEMPTS - 1):
            with suppress(StoreConflict):
                return self._groups.commit(part.group, part.changes, wait=part.wait)
        return self._groups.commit(part.group, part.changes, wait=part.wait)

    def _take_changes(self) -> deque[tuple[Change, Ticket]]:
        """The changes that wait, up to the second one that decides by what is committed."""
        taken: deque[tuple[Change, Ticket]] = deque()
        decided = False
        while self._changes and not (decided and self._changes[0][0].decides):
            decided = decided or self._changes[0][0].decides
            taken.append(self._changes.popleft())
        return taken

    def _maintain(self) -> bool:
        try:
            with suppress(Problem):  # while the clock is unsure, no key expires by it
                self._keys.maintain(self._timekeeper.now)
            self._store.maintain()
        except StoreBroken as error:
            self._break(Part({}, ()), (), error)
            return False
        except StoreError:
            pass  # housekeeping comes round again after the next commit
        return True

    def _post(self, settled: Settled) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, settled)

    def _break(self, part: Part, others: Sequence[Part], error: BaseException) -> None:
        unknown = Problem("commit_unknown", "stable storage failed; retry with the same Idempotency-Key")
        lost = Problem("store_failed", "stable storage failed; the server stops, nothing of this was stored")
        self._refusing = lost
        outcomes = part.refused(unknown)
        for other in (*others, Part(self._contended, ())):
            outcomes += other.refused(lost)
        outcomes += [(ticket, lost) for _, ticket in (*self._pending.drain(), *self._changes)]
        self._post(Settled(outcomes, {}))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._refuse_rest, lost)
        self._on_fatal(error)

    def _refuse_rest(self, problem: Problem) -> None:
        """On the loop, when the thread takes nothing more: answer what was handed over, or is about to be."""
        self._flush()
        tickets: list[Ticket] = []
        while not self._inbox.empty():
            tickets += self._inbox.get() or ()
        self._deliver(Settled([(ticket, problem) for ticket in tickets], {}))


def _failed(error: Exception) -> Problem:
    """What is told to the one call that a commit failed for."""
    if isinstance(error, StoreConflict):
        return unavailable(error)
    if isinstance(error, StoreError):
        return Problem("store_failed", f"the store refused: {error}; nothing of this call was stored")
    structlog.get_logger().error("a commit failed", exc_info=error)
    return Problem("internal", "the append failed inside the server; nothing of it was stored")
