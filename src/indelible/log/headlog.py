"""The deployment's log of heads: one log in which every log's heads stand, so that one is watched for all.

Each of its events is one published head of one log, so that it can be shown to those who may read that log
and to nobody else. Its tree says nothing about them: an entry is a salted commitment.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

import msgspec
import structlog

from indelible import telemetry
from indelible.log.commit import Committer
from indelible.log.gate import Gate
from indelible.log.heads import Heads
from indelible.log.pending import AuditEvent, Change
from indelible.log.prove import Prover
from indelible.log.publish import Published, Publisher
from indelible.log.read import EventReader
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.model.names import HEAD_EVENT, HEAD_LOG
from indelible.model.types import SERVER_WRITER, LogInfo
from indelible.store.base import Reader, StoreError, Transaction
from indelible.store.paging import log_pages

CACHED_LISTED = 65_536


class Listed(NamedTuple):
    """Where the newest listed head of a log stands in the log of heads, and its size."""

    sequence: int
    size: int


class HeadProof(NamedTuple):
    """A listed head: the event's bytes, the size that it says, and the event's tlog-proof."""

    event: bytes
    size: int
    proof: bytes


def listed_key(log: int) -> str:
    """Names the stored value that says where a log's newest head is listed."""
    return f"head-listed/{log}"


def encode_listed(listed: Listed) -> bytes:
    """Write a place as it is stored: sequence and size, u64 each."""
    return listed.sequence.to_bytes(8, "big") + listed.size.to_bytes(8, "big")


def decode_listed(value: bytes | None) -> Listed | None:
    """Read a stored place; None where there is none."""
    if not value:
        return None
    return Listed(int.from_bytes(value[:8], "big"), int.from_bytes(value[8:], "big"))


def head_event(origin: str, published: Published) -> bytes:
    """Write the event that lists a head (formats.md, The log of heads)."""
    return msgspec.json.encode(
        {"type": HEAD_EVENT, "origin": origin, "size": published.size, "root": published.root.hex()}
    )


def _beyond(
    rows: Sequence[tuple[LogInfo, Published]], stored: Mapping[str, bytes]
) -> list[tuple[LogInfo, Published]]:
    """Of some heads those that go beyond what is listed of their logs, by another process too."""
    listed = [decode_listed(stored.get(listed_key(info.key))) for info, _ in rows]
    return [row for row, at in zip(rows, listed, strict=True) if at is None or at.size < row[1].size]


class HeadLog:
    """Lists the heads that were published since, now and then and when a proof needs one.

    All on the event loop, but `published`, which any thread may call.
    """

    def __init__(
        self,
        reader: Reader,
        heads: Heads,
        events: EventReader,
        prover: Prover,
        publisher: Publisher,
        gate: Gate,
        committer: Committer,
        limits: Limits,
    ) -> None:
        self._reader = reader
        self._heads = heads
        self._events = events
        self._prover = prover
        self._publisher = publisher
        self._gate = gate
        self._committer = committer
        self._interval = limits.heads_interval_seconds
        self._batch = max(1, limits.heads_batch_events)
        self._changed: set[int] = set()
        self._listed: OrderedDict[int, Listed] = OrderedDict()
        self._writing = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._info: LogInfo | None = None
        self._make: Callable[[], Awaitable[LogInfo]] | None = None

    # ------------------------------------------------------------------ life

    def start(self, make: Callable[[], Awaitable[LogInfo]]) -> None:
        """Begin to list heads; `make` finds the log, or makes it where there is none yet."""
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """List no more; what is left is found again at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def published(self, log: int) -> None:
        """A log has a new published head."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended: the next start finds it
                self._loop.call_soon_threadsafe(self._changed.add, log)

    async def info(self) -> LogInfo:
        """The log of heads itself.

        Raises:
            Problem: it is not there yet and cannot be made now (`read_only`, `clock_unsure`, …).
        """
        if self._info is None:
            if self._make is None:
                raise Problem("stopping", "the log of heads is not served", retry_after=1)
            self._info = await self._make()
        return self._info

    async def _run(self) -> None:
        found = False
        while True:
            try:
                if not found:
                    self._changed |= await asyncio.to_thread(self._unlisted)
                    found = True
                await self._list_all()
            except (Problem, OSError, StoreError, LookupError) as error:
                structlog.get_logger().warning("heads could not be listed; they wait", why=str(error))
            await asyncio.sleep(self._interval)

    def _unlisted(self) -> set[int]:
        """The logs whose head moved since it was listed last: what a stop or a crash left behind."""
        found: set[int] = set()
        for page in log_pages(self._reader):
            for info in page:
                if info.name == HEAD_LOG:
                    continue
                listed = decode_listed(self._reader.meta(listed_key(info.key)))
                if self._heads.get(info.key).size != (listed.size if listed else 0):
                    found.add(info.key)
        return found

    # ------------------------------------------------------------------ listing

    async def _list_all(self) -> None:
        due = list(self._changed)
        for at in range(0, len(due), self._batch):
            async with self._writing:
                await self._list([log for log in due[at : at + self._batch] if log in self._changed])

    async def _list(self, logs: Sequence[int]) -> None:
        """List the published heads of some logs in one commit. Under `_writing`: nobody else adds to it."""
        self._changed.difference_update(logs)
        try:
            places = await self._write(await self.info(), logs)
        except BaseException:
            self._changed.update(logs)
            raise
        for log, listed in places.items():
            self._remember(log, listed)
        telemetry.heads_listed_total.inc(len(places))

    async def _write(self, own: LogInfo, logs: Sequence[int]) -> dict[int, Listed]:
        rows: list[tuple[LogInfo, Published]] = []
        for info, listed in await asyncio.to_thread(self._open, own, logs):
            head = await self._publisher.signed(info)
            if listed is None or listed.size < head.size:
                rows.append((info, head))
        if not rows:
            return {}

        def apply(transaction: Transaction, _now: int) -> tuple[dict[int, Listed], Sequence[AuditEvent]]:
            locked = transaction.lock([], [own.key], [listed_key(info.key) for info, _ in rows])
            at, new = locked.heads[own.key].size, _beyond(rows, locked.values)
            places = {info.key: Listed(at + n, head.size) for n, (info, head) in enumerate(new, 1)}
            for log, listed in places.items():
                transaction.put_meta(listed_key(log), encode_listed(listed))
            payloads = [head_event(info.origin, head) for info, head in new]
            return places, [AuditEvent(own.key, SERVER_WRITER.bytes, payload) for payload in payloads]

        places: dict[int, Listed] = await self._committer.change(Change(apply, decides=False))
        return places

    def _open(self, own: LogInfo, logs: Sequence[int]) -> list[tuple[LogInfo, Listed | None]]:
        """Those of these logs that match their published heads, and where they are listed. In a thread."""
        found = []
        for log in logs:
            info = self._reader.log_by_key(log)
            if info is None or log == own.key:
                continue
            with suppress(Problem):  # that log is refused, and the others go on
                self._gate.open(info)
                found.append((info, decode_listed(self._reader.meta(listed_key(log)))))
        return found

    async def _placed(self, log: int) -> Listed | None:
        """Where a log's newest head is listed; of a shared store as it says now, since others list too."""
        if self._heads.shared:
            return decode_listed(await asyncio.to_thread(self._reader.meta, listed_key(log)))
        return self._place(log)

    def _place(self, log: int) -> Listed | None:
        listed = self._listed.get(log)
        if listed is None:
            listed = decode_listed(self._reader.meta(listed_key(log)))
            if listed is not None:
                self._remember(log, listed)
        return listed

    def _remember(self, log: int, listed: Listed) -> None:
        self._listed[log] = listed
        self._listed.move_to_end(log)
        if len(self._listed) > CACHED_LISTED:
            self._listed.popitem(last=False)

    # ------------------------------------------------------------------ proving

    async def proof(self, info: LogInfo, min_size: int = 0) -> HeadProof:
        """Prove a log's newest listed head; one of at least `min_size` events is listed now if need be.

        Raises:
            Problem: `beyond_head`, `log_behind_published_head`, `read_only`, `not_witnessed_yet`.
        """
        listed = await self._placed(info.key)
        if listed is None or listed.size < min_size:
            listed = await self._list_now(info, min_size)
        own = await self.info()
        published = await self._publisher.at_least(own, listed.sequence)
        return await asyncio.to_thread(self._prove, own, listed, published)

    async def _list_now(self, info: LogInfo, min_size: int) -> Listed:
        await self._publisher.signed(info, min_size)
        async with self._writing:
            listed = await self._placed(info.key)
            if listed is None or listed.size < min_size:
                others = islice(self._changed - {info.key}, self._batch - 1)
                await self._list([info.key, *others])
                listed = await self._placed(info.key)
        if listed is None or listed.size < min_size:
            raise Problem("log_behind_published_head", "this log's heads are not listed; see /readyz")
        return listed

    def _prove(self, own: LogInfo, listed: Listed, published: Published) -> HeadProof:
        event = self._events.event(own.key, listed.sequence)
        if event is None:
            raise LookupError(f"no event {listed.sequence} in {HEAD_LOG}")
        return HeadProof(
            event.payload, listed.size, self._prover.event_proof(own, listed.sequence, published)
        )
