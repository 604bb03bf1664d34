"""The archive's background work: what is committed and published becomes segments, tiles, states, manifests.

A pass takes the logs that are due, seals their events up to a published head, then the rows of their
workspaces with `_audit` up to a head of the same moment, and last one manifest that names all of it: until
that stands, nothing of the pass counts. What is due is a log whose oldest event outside the archive is
`archive_age_seconds` old; what has a full segment is sealed before.

Of several nodes on one store one archives at a time, whatever any of them committed. Were two to do it, the
first manifest of a number would stand and the other's pass would not count.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import structlog

from indelible import telemetry
from indelible.log.alone import Guard, alone
from indelible.log.archive import Sealed, Sealer
from indelible.log.archive_manifest import (
    ArchivedLog,
    ArchivedWorkspace,
    ArchiveError,
    Chain,
    encode_manifest,
    followed,
    load_chain,
    manifest_key,
    next_manifest,
)
from indelible.log.archive_state import encode_state, read_state, state_key
from indelible.log.mirror import Mirror
from indelible.log.publish import Published, Publisher
from indelible.log.segment import Ref, ref_of
from indelible.model.clock import Clock
from indelible.model.errors import Problem
from indelible.model.instants import MICROS_PER_SECOND, format_micros
from indelible.model.limits import Limits
from indelible.model.names import AUDIT_LOG
from indelible.model.types import LogInfo
from indelible.store.base import HeadRow, Reader, StoreConflict, StoreError, WorkspaceRow
from indelible.store.objects import Objects, ObjectsDiffer, create_same
from indelible.store.paging import log_pages

TRIES = 20  # for rows that nobody changes while a head is published
Result = TypeVar("Result")


class Status(NamedTuple):
    """How the archive is: events that wait, the newest manifest, and what failed in the last pass.

    Anybody may see it: it does not say where the bucket is.
    """

    backlog_events: int
    manifest: int
    written: str | None
    failed: str | None


class _Done(NamedTuple):
    """A log that is sealed up to a published head."""

    info: LogInfo
    sealed: Sealed
    head: Published


class Archiver:
    """Archives the logs of a store into its objects. Lives on the event loop; the work is done on threads."""

    def __init__(
        self,
        reader: Reader,
        objects: Objects,
        sealer: Sealer,
        mirror: Mirror,
        publisher: Publisher,
        limits: Limits,
        clock: Clock,
        *,
        deployment: str,
        key: bytes,
    ) -> None:
        self._reader = reader
        self._objects = objects
        self._sealer = sealer
        self._mirror = mirror
        self._publisher = publisher
        self._limits = limits
        self._clock = clock
        self._deployment = deployment
        self._key = key
        self._chain: Chain | None = None
        self._sealed: dict[int, Sealed] = {}  # by log: what is sealed and in no manifest yet
        self._behind: dict[int, int] = {}  # logs that may have events outside of the archive: their sizes
        self._held: dict[int, int] = {}  # by log: how many events the archive is known to hold
        self._failed: str | None = None
        self._free_at = 0.0  # on the loop's clock: when the next segment may be sealed
        self._threads = ThreadPoolExecutor(max(1, limits.archive_parallel_puts), thread_name_prefix="archive")
        self._failures: list[str] = []  # of this pass, log by log
        self.guard: Guard | None = None  # where the store is shared

    def committed(self, heads: Mapping[int, HeadRow]) -> None:
        """Note that these logs have a new head. On the event loop."""
        self._behind.update((log, head.size) for log, head in heads.items())

    def status(self) -> Status:
        """How the archive is."""
        chain = self._chain
        number, written = (chain.number, chain.written) if chain else (0, None)
        failed = self._failed and self._failed.replace(self._objects.place, "the objects")
        return Status(self._backlog(), number, written, failed)

    def _backlog(self) -> int:
        return sum(max(0, size - self._held.get(log, 0)) for log, size in self._behind.items())

    async def run(self) -> None:
        """Archive until cancelled."""
        while True:
            await self.archive()
            await asyncio.sleep(self._limits.archive_interval_seconds)

    async def finish(self, seconds: float) -> None:
        """Archive all that is published, whatever its age; what is not done in time is done after a start."""
        if self._objects.failure is not None:
            return
        try:
            await asyncio.wait_for(self.archive(everything=True), seconds)
        except TimeoutError:
            structlog.get_logger().warning("the archive is behind; it goes on after the next start")

    async def archive(self, *, everything: bool = False) -> bool:
        """One pass, unless another process is at one; False where it failed, of which it was told."""
        if self.guard is None:
            return await self._archive(everything=everything)
        try:
            async with alone(self.guard("archive"), self._threads):
                return await self._archive(everything=everything)
        except StoreConflict:
            return True  # another process archives
        except StoreError as error:
            self._tell(str(error))
            return False

    async def _archive(self, *, everything: bool) -> bool:
        self._failures.clear()
        try:
            if self._chain is None or (self.guard and await self._thread(self._is_followed, self._chain)):
                await self._thread(self._load)
            elif self.guard:
                await self._thread(self._look_around)
            await self._pass(everything=everything)
        except (OSError, StoreError, ObjectsDiffer, ArchiveError, LookupError, ValueError) as error:
            self._failures.append(str(error))
            self._chain = None  # another may have written a manifest
        self._tell(self._failures[0] if self._failures else None)
        self._forget_held()
        telemetry.archive_backlog_events.set(self._backlog())
        telemetry.objects_failing.set(self._objects.failure is not None)
        return self._failed is None

    def _forget_held(self) -> None:
        """Look no more at logs that the archive holds in whole; on the loop, where they grow."""
        for log, size in list(self._behind.items()):
            if self._held.get(log) == size:
                del self._behind[log]

    def _tell(self, failed: str | None) -> None:
        if failed is not None:
            telemetry.archive_failures_total.inc()
            if failed != self._failed:
                structlog.get_logger().error("archiving failed, and is tried again", found=failed)
        self._failed = failed

    def close(self) -> None:
        """End the threads; nothing is archived after that."""
        self._threads.shutdown()
        self._mirror.close()

    async def _thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Do blocking work on a thread, to its end also when cancelled: the store is closed after that."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.gather(running, return_exceptions=True)
            raise

    # ------------------------------------------------------------------ a pass

    async def _pass(self, *, everything: bool) -> None:
        looked = await self._thread(self._look, everything)
        sealed = await self._some_at_a_time(self._seal, looked)
        by_age = {info.key for info, by_age in looked if by_age}
        due = [
            done
            for done in sealed
            if done and done.info.key in by_age and done.sealed.size > self._archived_size(done.info)
        ]
        workspaces = sorted({done.info.workspace for done in due})
        due = [done for done in due if done.info.name != AUDIT_LOG]
        settled = await self._some_at_a_time(self._settle, [(workspace,) for workspace in workspaces])
        states = {done.info.workspace: ref for ref, done in filter(None, settled)}
        due += [done for _, done in filter(None, settled)]
        due = [done for done in due if done.info.workspace in states]
        if due:
            await self._thread(self._write, due, states)

    async def _some_at_a_time(
        self, work: Callable[..., Awaitable[Result]], items: Sequence[tuple[Any, ...]]
    ) -> list[Result]:
        """Do the work of several logs beside each other, since most of it waits for the bucket."""
        left, results = iter(items), []
        while some := list(islice(left, max(1, self._limits.archive_parallel_puts))):
            tasks = [asyncio.ensure_future(work(*item)) for item in some]
            try:
                results += await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return results

    def _look(self, everything: bool) -> list[tuple[LogInfo, bool]]:  # noqa: FBT001 - for a thread
        """The logs with something to seal, and whether all of it is due."""
        old = self._clock.wall_micros() - int(self._limits.archive_age_seconds * MICROS_PER_SECOND)
        found: list[tuple[LogInfo, bool]] = []
        for log in sorted(self._behind.copy()):
            info, head = self._reader.log_by_key(log), self._reader.head(log)
            if info is None or head is None:
                continue
            size = self._progress(info).size
            archived = self._archived_size(info)
            self._held[log] = archived
            if head.size == archived:
                continue
            oldest = self._reader.chunk_time(log, archived + 1)
            by_age = everything or oldest is None or oldest[2] <= old
            if by_age or head.size - size >= self._limits.archive_segment_events:
                found.append((info, by_age))
        return found

    async def _seal(self, info: LogInfo, by_age: bool) -> _Done | None:  # noqa: FBT001 - one of a row
        """Seal a log's events up to its published head; None where none is signed now."""
        try:
            published = await self._publisher.latest(info)
        except Problem:  # it is refused, or its key does not sign: nothing of it is archived
            return None
        return await self._try_seal(info, published, by_age=by_age)

    async def _try_seal(self, info: LogInfo, head: Published, *, by_age: bool) -> _Done | None:
        """As `_seal_to`; what is wrong with one log keeps the others from nothing."""
        try:
            return await self._seal_to(info, head, by_age=by_age)
        except (StoreError, ObjectsDiffer, ArchiveError, LookupError, ValueError) as error:
            self._failures.append(f"log {info.log_id}: {error}")
            return None

    async def _seal_to(self, info: LogInfo, head: Published, *, by_age: bool) -> _Done:
        sealed = self._progress(info)
        if sealed.size > head.size:
            raise ArchiveError(
                f"the archive holds {sealed.size} events of log {info.log_id}, and {head.size} are published:"
                " this store is an older copy, or another one writes to the same archive"
            )
        await self._thread(self._mirror.catch_up, info, self._archived_size(info), head.size)
        while sealed.size < head.size:
            more = await self._thread(self._next, info, sealed, head, by_age)
            if more is None:
                break
            events = more.size - sealed.size
            telemetry.archive_events_total.inc(events)
            sealed = self._sealed[info.key] = more
            await self._pace(events)
        return _Done(info, sealed, head)

    async def _pace(self, events: int) -> None:
        """Wait as long as these events may take, all logs together."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + events / max(1.0, self._limits.archive_events_per_second)
        await asyncio.sleep(self._free_at - now)

    def _next(self, info: LogInfo, sealed: Sealed, head: Published, by_age: bool) -> Sealed | None:  # noqa: FBT001 - for a thread
        return self._sealer.next(info, sealed, head, by_age=by_age)

    async def _settle(self, workspace: int) -> tuple[Ref, _Done] | None:
        """Archive the rows of a workspace as they are at a head of its `_audit`, and `_audit` up to there.

        Rows only ever change with an event in `_audit`: so rows that are the same before and after a head was
        published are those of that head. None while others change them all the time: then the next pass.
        """
        row = await self._thread(self._reader.workspace_by_key, workspace)
        audit = await self._thread(self._reader.log_by_name, workspace, AUDIT_LOG)
        if row is None or audit is None:
            return None
        before = await self._thread(self._rows, row)
        for _ in range(TRIES):
            head = await self._thread(self._reader.head, audit.key)
            try:
                published = await self._publisher.at_least(audit, head.size if head else 0)
            except Problem:
                return None
            after = await self._thread(self._rows, row)
            if before == after:
                ref = await self._thread(self._store_rows, row, after)
                done = await self._try_seal(audit, published, by_age=True)
                return None if done is None else (ref, done)
            before = after
        return None

    def _rows(self, row: WorkspaceRow) -> bytes:
        return encode_state(read_state(self._reader, row))

    def _store_rows(self, row: WorkspaceRow, data: bytes) -> Ref:
        key = state_key(row.workspace_id, hashlib.sha256(data).hexdigest())
        create_same(self._objects, key, data)
        return ref_of(key, data, self._objects.version(key))

    # ------------------------------------------------------------------ the manifests; on threads

    def _load(self) -> None:
        """Read what is archived, and find the logs that are behind."""
        chain = load_chain(self._objects, self._key)
        if chain.deployment not in {None, self._deployment}:
            raise ArchiveError(f"{self._objects.place} holds the archive of {chain.deployment}")
        self._chain = chain
        self._sealed.clear()
        self._look_around()

    def _is_followed(self, chain: Chain) -> bool:
        return self._objects.start(manifest_key(chain.number + 1), 1) is not None

    def _look_around(self) -> None:
        """Find the logs that are behind, whoever appended to them."""
        for page in log_pages(self._reader):
            heads = self._reader.heads([info.key for info in page])
            for info in page:
                self._held[info.key] = self._archived_size(info)
                self._behind.setdefault(info.key, heads[info.key].size)

    def _archived(self, info: LogInfo) -> ArchivedLog | None:
        return self._chain.logs.get(str(info.log_id)) if self._chain else None

    def _archived_size(self, info: LogInfo) -> int:
        archived = self._archived(info)
        return archived.size if archived else 0

    def _progress(self, info: LogInfo) -> Sealed:
        archived = self._archived(info)
        known = Sealed(archived.size, archived.last, ()) if archived else Sealed(0, None, ())
        return self._sealed.get(info.key, known)

    def _write(self, done: list[_Done], states: dict[int, Ref]) -> None:
        """Write the next manifest: from then on all of the pass counts."""
        if self._chain is None:
            raise ArchiveError("the archive was not read")
        ids = {key: self._workspace_id(key) for key in states}
        logs = [self._named(each, ids[each.info.workspace]) for each in done]
        workspaces = [ArchivedWorkspace(ids[key], ref) for key, ref in states.items()]
        manifest = next_manifest(
            self._chain,
            deployment=self._deployment,
            written=format_micros(self._clock.wall_micros()),
            workspaces=workspaces,
            logs=logs,
            whole_every=self._limits.archive_whole_manifests,
        )
        data = encode_manifest(manifest, self._key)
        create_same(self._objects, manifest_key(manifest.number), data)
        self._chain = followed(self._chain, manifest, data)
        for each in done:
            self._sealed.pop(each.info.key, None)
            self._held[each.info.key] = each.sealed.size

    def _workspace_id(self, key: int) -> str:
        row = self._reader.workspace_by_key(key)
        if row is None:
            raise LookupError(f"workspace {key} is gone")
        return str(uuid.UUID(bytes=row.workspace_id))

    def _named(self, done: _Done, workspace_id: str) -> ArchivedLog:
        head = self._reader.head(done.info.key)
        if head is None or done.sealed.last is None or done.sealed.size != done.head.size:
            raise LookupError(f"log {done.info.log_id} is not sealed up to its published head")
        return ArchivedLog(
            log_id=str(done.info.log_id),
            workspace_id=workspace_id,
            origin=done.info.origin,
            size=done.sealed.size,
            time_floor=head.time_floor,
            checkpoint=done.head.note.decode(),
            last=done.sealed.last,
            segments=done.sealed.segments,
        )
