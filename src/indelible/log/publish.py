"""Publishing checkpoints: a head is signed after it is durable, once, and served when stored outside.

A signed head goes to the object store before anybody gets it, and is never replaced by a smaller one or by
another root of the same size. So whoever restores the database alone is found out by what stands there.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar
from weakref import WeakValueDictionary

import structlog

from indelible import telemetry
from indelible.log.alone import Guard, alone
from indelible.log.heads import Heads
from indelible.log.keyring import Histories, Keyring
from indelible.log.refusal import unavailable
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.statements import open_checkpoint_with
from indelible.store.base import HeadRow, Reader, StoreConflict, StoreError, StoreUnavailable
from indelible.store.objects import Objects, ObjectsDiffer, ObjectsUnreachable

CACHED_CHECKPOINTS = 16_384
Result = TypeVar("Result")
PUBLISHING_TRIES = 8  # while other processes publish the same log
PASSING = frozenset({"objects_unreachable", "signer_failed", "store_unavailable", "commit_unknown"})
"""Problems of publishing that pass by themselves: what meets one waits, and is tried again."""
SIGNING_THREADS = 4  # of their own, so that a key that answers slowly keeps no reader waiting


class Published(NamedTuple):
    """A checkpoint that is stored outside the database: `note` is the signed text as served."""

    size: int
    root: bytes
    note: bytes


def checkpoint_key(info: LogInfo) -> str:
    """Where a log's checkpoint stands in the object store (formats.md, Archive)."""
    return f"proofs/{info.log_id}/checkpoint"


def load_published(objects: Objects, keys: Histories, info: LogInfo) -> Published | None:
    """Read and verify the last published checkpoint of a log.

    Raises:
        ValueError: what stands there is not a checkpoint of this log signed with its key of that size.
    """
    note = objects.get(checkpoint_key(info))
    if note is None:
        return None
    checkpoint, _ = open_checkpoint_with(keys.history(info), note)
    return Published(checkpoint.size, checkpoint.root, note)


class Witnessing(Protocol):
    """Decides what is served of the logs whose heads others cosign (`log/witnesses.py`)."""

    def applies(self, info: LogInfo) -> bool:
        """Whether this log's heads need cosignatures."""

    async def latest(self, info: LogInfo) -> Published:
        """The newest checkpoint that may be served; raises Problem."""

    async def at_least(self, info: LogInfo, size: int) -> Published:
        """A checkpoint of at least `size` that may be served; raises Problem."""


class Publisher:
    """Signs and stores the heads of logs that are open. The only one who signs heads."""

    def __init__(self, reader: Reader, objects: Objects, heads: Heads, keys: Keyring, limits: Limits) -> None:
        self._reader = reader
        self._objects = objects
        self._heads = heads
        self.keys = keys
        self._interval = limits.publish_interval_seconds
        self._published: OrderedDict[int, Published] = OrderedDict()
        self._keeping = threading.Lock()
        self._dirty: set[int] = set()
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._working: set[asyncio.Future[Any]] = set()
        self._threads = ThreadPoolExecutor(SIGNING_THREADS, thread_name_prefix="publisher")
        self._task: asyncio.Task[None] | None = None
        self._refused: set[int] = set()
        self._away = False  # the object store did not answer, which was told once
        self.on_mismatch: Callable[[LogInfo, str], object] = lambda info, _found: self.refuse(info.key)
        self.read_only: str | None = None  # why nothing at all is signed
        self.witnessing: Witnessing | None = None
        # In a thread, after a new head was signed and stored outside: the log's number.
        self.on_published: Callable[[int], object] = lambda _log: None
        # Gets a log, the size published last and the one that is to be: what must stand there first.
        self.before_signing: Callable[[LogInfo, int, int], object] = lambda _info, _last, _size: None
        # Where the store is shared: makes a head this process's own, and holds a name alone among all.
        self.confirm: Callable[[int], Awaitable[None]] | None = None
        self.guard: Guard | None = None
        self._guards = asyncio.Semaphore(SIGNING_THREADS)
        self._guard_threads = ThreadPoolExecutor(SIGNING_THREADS, thread_name_prefix="guard")

    def start(self) -> None:
        """Begin to publish what commits leave behind, at most once an interval a log."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Publish what is left, then end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._publish_dirty()
        await asyncio.gather(*self._working, return_exceptions=True)

    def committed(self, logs: set[int]) -> None:
        """Note that these logs have a new head. On the event loop."""
        self._dirty |= logs - self._refused

    def refuse(self, log: int) -> None:
        """Sign nothing for this log any more: its store does not match what was published."""
        self._refused.add(log)
        self._dirty.discard(log)

    async def latest(self, info: LogInfo) -> Published:
        """The last checkpoint to serve; one of the present head is made where there is none yet.

        Raises:
            Problem: as `at_least`.
        """
        if self.witnessing is not None and self.witnessing.applies(info):
            return await self.witnessing.latest(info)
        return await self.newest(info)

    async def newest(self, info: LogInfo) -> Published:
        """The last checkpoint that any process stored, cosigned or not; one is made where there is none yet.

        Raises:
            Problem: as `signed`.
        """
        if self._heads.shared:
            try:
                known = await asyncio.get_running_loop().run_in_executor(self._threads, self._last, info)
            except ObjectsUnreachable as error:
                raise unreachable(error) from None
            if known is not None:
                return known
        return await self.signed(info)

    @property
    def shared(self) -> bool:
        """Whether other processes publish the same logs."""
        return self._heads.shared

    async def at_least(self, info: LogInfo, size: int) -> Published:
        """A checkpoint to serve of at least `size`, made now if need be.

        Raises:
            Problem: `beyond_head`, `read_only`, `log_behind_published_head`, `not_witnessed_yet`.
        """
        if self.witnessing is not None and self.witnessing.applies(info):
            return await self.witnessing.at_least(info, size)
        return await self.signed(info, size)

    async def signed(self, info: LogInfo, size: int = 0) -> Published:
        """A checkpoint of at least `size` that is signed and stored outside, whoever else cosigned it.

        Raises:
            Problem: `beyond_head`, `read_only`, `log_behind_published_head`, `signer_failed`,
                `objects_unreachable`.
        """
        known = self._published.get(info.key)
        if known is not None and known.size >= size:
            return known
        self._check_refused(info)  # first: what its store says of its size may be anything
        head = self._heads.fresh(info.key)
        if head.size < size:
            raise Problem("beyond_head", f"the log has {head.size} events", head=head.size)
        published = await self._in_turn(info)
        if published.size < size:
            raise Problem("read_only", f"{self.read_only}; its last checkpoint has {published.size} events")
        return published

    async def alone(self, info: LogInfo, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do `work` while nobody else signs heads of this log, or changes which key does.

        It is done to its end, also when whoever waits for it is cancelled: a signature begun is made.
        """
        task = asyncio.ensure_future(self._alone(info, work))
        self._working.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def now(self, info: LogInfo) -> Published:
        """Publish the present head; inside `alone` only. Raises as `at_least`."""
        if self.confirm is not None and self.read_only is None:
            await self.confirm(info.key)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._publish, info)

    async def _alone(self, info: LogInfo, work: Callable[[], Awaitable[Result]]) -> Result:
        turn = self._turns.get(info.key)
        if turn is None:
            turn = self._turns[info.key] = asyncio.Lock()
        async with turn:
            if self.guard is None:
                return await work()
            try:
                async with self._guards, alone(self.guard(f"publish/{info.key}"), self._guard_threads):
                    return await work()
            except (StoreUnavailable, StoreConflict) as error:
                raise unavailable(error) from None

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, as nobody may be left to look

    async def _in_turn(self, info: LogInfo) -> Published:
        return await self.alone(info, lambda: self.now(info))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._publish_dirty()
            except StoreError as error:
                structlog.get_logger().warning("checkpoints wait for the database", reason=str(error))
            except OSError:
                structlog.get_logger().exception("checkpoints could not be stored; they wait")

    async def _publish_dirty(self) -> None:
        """Publish the logs that have a new head now, each once; what comes meanwhile waits for its turn."""
        logs, self._dirty = self._dirty, set()
        waiting: set[int] = set()
        try:
            while logs:
                log = next(iter(logs))
                info = self._reader.log_by_key(log)
                if info is not None:
                    try:
                        await self._in_turn(info)
                    except Problem as problem:  # that log is refused or waits, and the others go on
                        if problem.code.name == "objects_unreachable":
                            break  # nor would the others find it
                        if problem.code.name in PASSING:
                            waiting.add(log)
                logs.discard(log)
        finally:
            self._dirty |= (logs | waiting) - self._refused
            telemetry.checkpoints_unpublished.set(len(self._dirty))

    def _check_refused(self, info: LogInfo) -> None:
        if info.key in self._refused:
            raise Problem(
                "log_behind_published_head", "this log does not match its published head; see /readyz"
            )

    def _publish(self, info: LogInfo) -> Published:
        try:
            tries = (self._publish_once(info) for _ in range(PUBLISHING_TRIES))
            published = next((found for found in tries if found is not None), None)
        except ObjectsUnreachable as error:
            if not self._away:
                structlog.get_logger().error("checkpoints wait for the object store", found=str(error))
            self._away = True
            raise unreachable(error) from None
        if published is None:
            raise Problem("objects_unreachable", "others publish this log all the time", retry_after=1)
        self._away = False
        return published

    def _publish_once(self, info: LogInfo) -> Published | None:
        """Publish the present head, unless it is; None where another process published meanwhile."""
        self._check_refused(info)
        last = self._last(info)
        head = self._signable(info)
        if last is not None and self._is_anothers(info, last, head):
            return self._keep(info, last)
        if last is not None and last.size >= head.size:
            return self._keep(info, self._durable(info, self._same(info, last, head.size, head.root)))
        if self.read_only is not None:
            if last is None:
                raise Problem("read_only", self.read_only)
            return self._keep(info, last)
        try:
            self.before_signing(info, last.size if last else 0, head.size)
            note = self.keys.sign(info, Checkpoint(info.origin, head.size, head.root), self._objects)
        except (ValueError, ObjectsDiffer) as error:
            raise self._mismatch(info, f"its keys or tiles do not hold: {error}") from None
        if not self._objects.replace(checkpoint_key(info), note, last.note if last else None):
            self._forget(info)
            return None
        telemetry.checkpoints_published_total.inc()
        published = self._keep(info, Published(head.size, head.root, note))
        self.on_published(info.key)
        return published

    def _signable(self, info: LogInfo) -> HeadRow:
        """The head as a clean commit of this process left it; where nothing is signed, as it is seen."""
        own = self._heads.own(info.key)
        if own is None and self.read_only is None:  # forgotten since it was confirmed: a commit is unknown
            raise Problem("store_unavailable", "the log's head has to be confirmed again", retry_after=1)
        return own or self._heads.get(info.key)

    def _is_anothers(self, info: LogInfo, last: Published, head: HeadRow) -> bool:
        """Whether another process went on from our head and published that: a lock by name may be lost."""
        return self._heads.shared and last.size > head.size and self._heads.fresh(info.key).size >= last.size

    def _last(self, info: LogInfo) -> Published | None:
        known = self._published.get(info.key)
        if known is not None and not self._heads.shared:
            return known
        try:
            return load_published(self._objects, self.keys, info)
        except ValueError as error:
            raise self._mismatch(info, f"the published checkpoint is not one of this log: {error}") from None

    def _same(self, info: LogInfo, last: Published, size: int, root: bytes) -> Published:
        """A head of the published size must be the published head: no two heads of one size, ever."""
        if last.size == size and last.root == root:
            return last
        found = f"the published head has {last.size} events and root {last.root.hex()}"
        raise self._mismatch(info, f"{found}, the store {size} and {root.hex()}")

    def _durable(self, info: LogInfo, last: Published) -> Published:
        """Store again what this process found stored and did not store: its folder may not have been synced.

        That is what a put leaves that failed at its last step, or that was killed there.
        """
        if info.key not in self._published:
            self._objects.replace(checkpoint_key(info), last.note, last.note)
        return last

    def _mismatch(self, info: LogInfo, found: str) -> Problem:
        self.on_mismatch(info, found)
        return Problem("log_behind_published_head", f"this log is refused: {found}", log_id=str(info.log_id))

    def _forget(self, info: LogInfo) -> None:
        with self._keeping:
            self._published.pop(info.key, None)

    def _keep(self, info: LogInfo, published: Published) -> Published:
        with self._keeping:
            self._published[info.key] = published
            self._published.move_to_end(info.key)
            if len(self._published) > CACHED_CHECKPOINTS:
                self._published.popitem(last=False)
        return published


def unreachable(error: ObjectsUnreachable) -> Problem:
    """What a call is told that needs an object while the bucket does not answer."""
    del error  # it names the bucket, which is the operator's to know
    return Problem(
        "objects_unreachable", "the object store does not answer; what needs it waits", retry_after=5
    )
