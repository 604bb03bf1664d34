"""What waits for a commit, and whose turn it is. Used by the committer's thread alone; no I/O."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from indelible.log.stage import Call, Sealed, Staged
from indelible.store.base import HeadRow, Transaction

EVENT_WEIGHT = 256  # bytes: the objects around a payload, its salt, its commitment


class AuditEvent(NamedTuple):
    """An event for a workspace's `_audit` log, by the key that caused it."""

    log: int
    writer: bytes
    payload: bytes


class Base(NamedTuple):
    """A log's head, after which chunks may be laid for as long as the log's mark is `mark`."""

    head: HeadRow
    mark: bytes


class Laid(NamedTuple):
    """Events that were staged after `base`, with their chunks stored but no head that covers them yet."""

    base: Base
    staged: Staged


class Append(NamedTuple):
    """Events for one log, all or nothing. Small ones are sealed with their group: `sealed` is None."""

    log: int
    workspace: int
    writer: bytes
    payloads: Sequence[bytes]
    size: int  # payload bytes
    digest: bytes | None  # of the idempotency key within its log
    fingerprint: bytes  # of the request's bytes
    expected: int | None  # the head before
    sealed: Sealed | None = None
    laid: Laid | None = None

    @property
    def call(self) -> Call:
        """Whose events they are, as staging takes it."""
        return Call(self.writer, len(self.payloads), self.digest, self.fingerprint)

    @property
    def weight(self) -> int:
        """Bytes of memory that it holds while it waits, about: small events weigh more than their bytes."""
        return self.size + EVENT_WEIGHT * len(self.payloads)


class Change(NamedTuple):
    """A change of state, and what `_audit` says of it, in one transaction.

    `apply` gets the transaction and the time (µs) and returns its result and the events to log. It may
    raise: then nothing of it is stored, and the exception is the outcome.

    A change decides by what a reader shows, and readers show what is committed: so no two that decide share
    a transaction. One that looks at nothing says `decides=False`.
    """

    apply: Callable[[Transaction, int], tuple[Any, Sequence[AuditEvent]]]
    decides: bool = True


class Ticket(NamedTuple):
    """Where the answer of a call goes."""

    item: Append | Change
    future: asyncio.Future[Any]


class Pending:
    """Appends by log, handed out round-robin, about as much at a time as one commit should hold."""

    def __init__(self, group_bytes: int, group_events: int) -> None:
        self._group_bytes = group_bytes
        self._group_events = group_events
        self._lanes: OrderedDict[int, deque[tuple[Append, Ticket]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def add(self, append: Append, ticket: Ticket) -> None:
        """Queue an append behind the others of its log; `ticket` comes back with it."""
        lane = self._lanes.get(append.log)
        if lane is None:
            self._lanes[append.log] = lane = deque()
        lane.append((append, ticket))

    def take(self) -> dict[int, list[tuple[Append, Ticket]]]:
        """Take a group: one append a log in turn, until a limit is reached or nothing waits.

        A single append over the limit is taken alone, so that no others wait for it in one commit.
        """
        group: dict[int, list[tuple[Append, Ticket]]] = {}
        size = events = 0
        while self._lanes:
            log, lane = next(iter(self._lanes.items()))
            append = lane[0][0]
            size += append.size
            events += len(append.payloads)
            if group and (size > self._group_bytes or events > self._group_events):
                break
            group.setdefault(log, []).append(lane.popleft())
            if lane:
                self._lanes.move_to_end(log)
            else:
                del self._lanes[log]
        return group

    def drain(self) -> list[tuple[Append, Ticket]]:
        """Take everything, for a stop."""
        everything = [item for lane in self._lanes.values() for item in lane]
        self._lanes.clear()
        return everything
