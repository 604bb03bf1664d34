"""Large batches, beside which small appends stay quick.

A batch over the size of a commit group is staged on a thread of its own, outside any lock, and its chunks are
laid in several short commits beyond the log's head, where they do not exist yet. One last commit moves the
head over all of them: the batch is in whole or not at all. Meanwhile appends to the same log wait their turn,
those to other logs go on. What a crash leaves beyond a head is dropped before the log is next written.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

from indelible.log.commit import Committer
from indelible.log.group import Committed, Known, laying_mark
from indelible.log.pending import Append, Base, Change, Laid
from indelible.log.stage import Staged, seal, stage
from indelible.model.clock import Randomness
from indelible.model.limits import Limits
from indelible.store.base import ChunkRow, Transaction

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Lane:
    """A log's lane while a large batch has it."""

    __slots__ = ("drained", "opened")

    def __init__(self) -> None:
        self.drained = asyncio.Event()  # no small append is under way any more
        self.opened = asyncio.Event()


class OneByOne:
    """Runs long work in a thread, one piece at a time.

    Several would only take the interpreter from each other, and from the event loop.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run `work`, when it is its turn."""
        async with self._turn:
            return await asyncio.to_thread(work, *args, **kwargs)


class Lanes:
    """Takes appends in front of the committer, which tells it what is settled. On the event loop only."""

    def __init__(self, committer: Committer, limits: Limits, randomness: Randomness) -> None:
        self._committer = committer
        self._limits = limits
        self._randomness = randomness
        self.heavy = OneByOne()
        self._under_way: Counter[int] = Counter()  # small appends by log
        self._closed: dict[int, _Lane] = {}  # logs of which a large batch has the lane
        self._large: set[asyncio.Task[Committed | Known]] = set()
        committer.on_settled = self._settled

    def check_room(self, workspace: int, size: int) -> None:
        """Raise as `append` would for `size` bytes of payload, before any work is done for them."""
        self._committer.check_room(workspace, size)

    def append(self, append: Append) -> Awaitable[Committed | Known]:
        """Append; returns when it is on stable storage.

        Raises, here or when it is awaited:
            Problem: as `Committer.submit`, and `sequence_mismatch`.
        """
        if self._is_large(append):
            self._committer.reserve(append)
            task = asyncio.get_running_loop().create_task(self._append_large(append))
            self._large.add(task)
            task.add_done_callback(self._large.discard)
            return asyncio.shield(task)  # it goes on when its caller goes away
        if append.log in self._closed:
            return self._append_behind(append)
        future = self._committer.submit(append)
        self._under_way[append.log] += 1
        return future

    async def _append_behind(self, append: Append) -> Committed | Known:
        await self._wait_for_lane(append)
        future = self._committer.submit_reserved(append)
        self._under_way[append.log] += 1
        outcome: Committed | Known = await future
        return outcome

    async def raise_floor(self, log: int, micros: int) -> bool:
        """Let no event be dated before `micros` from now on, if that has passed; say whether that is so.

        Behind a large batch, whose time is that of its beginning.
        """
        while log in self._closed:
            await self._closed[log].opened.wait()
        raised: bool = await self._committer.change(_raising(log, micros))
        return raised

    def _settled(self, appends: Iterable[Append]) -> None:
        """Appends are committed or refused, which they will be also when their callers have gone away."""
        left = self._under_way
        for append in appends:
            log = append.log
            if append.laid is not None or log not in left:
                continue
            left[log] -= 1
            if not left[log]:
                del left[log]
                if log in self._closed:
                    self._closed[log].drained.set()

    async def _wait_for_lane(self, append: Append) -> None:
        """Wait behind a large batch, counted among what waits; then the append is to be submitted at once."""
        self._committer.reserve(append)
        try:
            while append.log in self._closed:
                await self._closed[append.log].opened.wait()
            self._committer.check_taking()
        except BaseException:
            self._committer.release(append)
            raise

    def _is_large(self, append: Append) -> bool:
        limits = self._limits
        return append.size > limits.commit_group_bytes or len(append.payloads) > limits.commit_group_events

    async def _append_large(self, append: Append) -> Committed | Known:
        handed_over = False
        await self._close(append.log)
        try:
            base, now = await self._committer.lay_after(append)
            if isinstance(base, Known):
                return base
            laid = await self._lay(append, base, now)
            future = self._committer.submit_reserved(append._replace(laid=laid))
            handed_over = True
            outcome: Committed | Known = await future
            return outcome
        finally:
            if not handed_over:
                self._committer.release(append)
            self._closed.pop(append.log).opened.set()

    async def _lay(self, append: Append, base: Base, now: int) -> Laid | None:
        """Lay a batch; None when the log moved meanwhile, by another process: then it goes in one commit."""
        staged = await self.heavy.run(self._stage, append, base, now)
        for part in _parts(staged.chunks, self._limits.commit_group_bytes):
            if not await self._committer.change(_laying(append.log, base, part)):
                return None
        return Laid(base, staged)

    def _stage(self, append: Append, base: Base, now: int) -> Staged:
        sealed = append.sealed or seal(append.payloads, self._randomness)
        return stage(base.head, now, sealed, [append.call])

    # A lane is closed by one large batch at a time, and only when no small append is under way in it.

    async def _close(self, log: int) -> None:
        while log in self._closed:
            await self._closed[log].opened.wait()
        lane = self._closed[log] = _Lane()
        if log in self._under_way:
            await lane.drained.wait()


def _parts(chunks: Sequence[ChunkRow], part_bytes: int) -> Iterator[list[ChunkRow]]:
    """Chunks in order, in parts of about `part_bytes` of payload."""
    part: list[ChunkRow] = []
    size = 0
    for chunk in chunks:
        if part and size + len(chunk.payload) > part_bytes:
            yield part
            part, size = [], 0
        part.append(chunk)
        size += len(chunk.payload)
    yield part


def _laying(log: int, base: Base, chunks: Sequence[ChunkRow]) -> Change:
    """Lay a part, and say whether that could be: rows beyond another head would be taken for its own."""

    def apply(transaction: Transaction, _now: int) -> tuple[bool, Sequence[Any]]:
        locked = transaction.lock([], [log], [laying_mark(log)])
        if (locked.heads[log], locked.values.get(laying_mark(log))) != base:
            return False, ()
        for chunk in chunks:
            transaction.put_chunk(log, chunk)
        return True, ()

    return Change(apply, decides=False)


def _raising(log: int, micros: int) -> Change:
    def apply(transaction: Transaction, now: int) -> tuple[bool, Sequence[Any]]:
        head = transaction.lock_heads([log])[log]
        if max(head.time, head.time_floor) >= micros:
            return True, ()
        if micros > now:
            return False, ()
        transaction.put_head(log, head._replace(time_floor=micros))
        return True, ()

    return Change(apply, decides=False)
