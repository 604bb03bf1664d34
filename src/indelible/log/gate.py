"""Whether a log may be continued: what is stored is compared with what was published (DESIGN promise 5).

Each log is checked once a process, before its first append or signature, and all of them in the background
after start. A log that does not match is refused, the others go on; reading stays possible.
"""

import threading
from typing import NamedTuple

import structlog

from indelible import telemetry
from indelible.log.chunk import Chunk, decode_chunk
from indelible.log.group import laying_mark
from indelible.log.keyring import Keyring
from indelible.log.prove import Prover
from indelible.log.publish import Publisher, load_published, unreachable
from indelible.merkle.entry import commit_payloads, encode_entry
from indelible.merkle.frontier import decode_frontier
from indelible.merkle.frontier import root as frontier_root
from indelible.merkle.hashing import leaf_hash
from indelible.model.errors import Problem
from indelible.model.types import LogInfo
from indelible.notes.note import NoteError
from indelible.store.base import (
    SEQUENCE_MAX,
    HeadRow,
    Reader,
    StoreClosed,
    StoreError,
    StoreUnavailable,
)
from indelible.store.objects import Objects, ObjectsUnreachable


class Mismatch(NamedTuple):
    """What was found in a log that is refused, in words for its operator."""

    log: LogInfo
    found: str


def conflict_key(info: LogInfo) -> str:
    """Where it stands in the object store that a witness has seen another history of a log."""
    return f"proofs/{info.log_id}/conflict"


class Gate:
    """Opens logs. `is_open` is for the event loop, `open` blocks and is for threads."""

    def __init__(
        self, reader: Reader, objects: Objects, keys: Keyring, prover: Prover, publisher: Publisher
    ) -> None:
        self._reader = reader
        self._objects = objects
        self._keys = keys
        self._prover = prover
        self._publisher = publisher
        self._open: set[int] = set()
        self._refused: dict[int, Mismatch] = {}
        self._checking = threading.Lock()
        self._read_only: str | None = None
        publisher.on_mismatch = self._refuse

    @property
    def read_only(self) -> str | None:
        """Why nothing at all may be appended or signed; None when it may."""
        return self._read_only

    @read_only.setter
    def read_only(self, why: str | None) -> None:
        """Refuse all appends and signatures from now on, or none."""
        self._read_only = self._publisher.read_only = why

    def is_open(self, log: int) -> bool:
        """Whether the log was checked, matched, and may be appended to."""
        return log in self._open and self.read_only is None

    def refused(self) -> list[Mismatch]:
        """The logs that did not match."""
        return list(self._refused.values())

    def open(self, info: LogInfo) -> None:
        """Check a log unless it was checked before.

        Raises:
            Problem: `log_behind_published_head` with what was found; `read_only`; `objects_unreachable` while
                there is nothing to compare with.
        """
        if self.read_only is not None:
            raise Problem("read_only", self.read_only)
        if info.key not in self._open:
            try:
                self.check(info)
            except ObjectsUnreachable as error:
                raise unreachable(error) from None
        if info.key in self._refused:
            found = self._refused[info.key].found
            raise Problem(
                "log_behind_published_head", f"this log is refused: {found}", log_id=str(info.log_id)
            )

    def check(self, info: LogInfo) -> Mismatch | None:
        """Compare what is stored of a log with itself and with its published head.

        Raises:
            ObjectsUnreachable, StoreUnavailable, StoreClosed: there is nothing to compare, which says nothing
                of the log.
        """
        with self._checking:
            if info.key in self._open:
                return None
            if info.key in self._refused:
                return self._refused[info.key]
            try:
                found = self._compare(info)
            except (StoreUnavailable, StoreClosed):
                raise
            except (LookupError, ValueError, TypeError, StoreError) as error:
                found = f"stored rows are missing or damaged: {error}"
            if found is None:
                self._open.add(info.key)
                return None
            return self._refuse(info, found)

    def _refuse(self, info: LogInfo, found: str) -> Mismatch:
        """Open a log no more, and sign nothing for it."""
        self._open.discard(info.key)
        mismatch = self._refused[info.key] = Mismatch(info, found)
        self._publisher.refuse(info.key)
        telemetry.logs_refused.set(len(self._refused))
        structlog.get_logger().error("log refused", log_id=str(info.log_id), name=info.name, found=found)
        return mismatch

    def require(self, log: int) -> None:
        """Open a log by its number; one that the open transaction makes has nothing to compare with.

        Raises:
            Problem: as `open`.
        """
        if self.is_open(log):
            return
        if self._read_only is not None:
            raise Problem("read_only", self._read_only)
        info = self._reader.log_by_key(log)
        if info is not None:
            self.open(info)

    def check_again(self) -> None:
        """Another server may answer for the store by now: check each log again before it is appended to."""
        with self._checking:
            self._open.clear()

    def created(self, log: int) -> None:
        """A log was created by this process: there is nothing to compare."""
        self._open.add(log)

    def _compare(self, info: LogInfo) -> str | None:
        head = self._reader.head(info.key)
        if head is None:
            return "it has no stored head"
        checks = (
            self._head_fits,
            self._tail_fits,
            self._published_fits,
            self._keys_fit,
            self._nothing_beyond,
            self._uncontradicted,
        )
        return next((found for check in checks if (found := check(info, head))), None)

    def _head_fits(self, info: LogInfo, head: HeadRow) -> str | None:
        try:
            frontier = decode_frontier(head.size, head.frontier)
        except ValueError as error:
            return f"the stored right edge is damaged: {error}"
        if frontier_root(frontier) != head.root:
            return f"the stored head's root at size {head.size} does not follow from its right edge"
        if self._prover.root_at(info.key, head.size) != head.root:
            return f"the stored head's root at size {head.size} does not follow from the stored hashes"
        return None

    def _tail_fits(self, info: LogInfo, head: HeadRow) -> str | None:
        """Recompute the leaves of the last chunk from payload and salt."""
        if head.size == 0:
            return None
        rows = self._reader.chunks(info.key, head.size, 1)
        if not rows:
            return f"no events are stored, the head says {head.size}"
        chunk = decode_chunk(rows[0])
        if chunk.last != head.size:
            return f"the stored head is at {head.size}, the last chunk holds {chunk.first} to {chunk.last}"
        if chunk.time != head.time:
            return f"the stored head is dated {head.time} µs, its last event {chunk.time} µs"
        return _chunk_fits(chunk)

    def _nothing_beyond(self, info: LogInfo, head: HeadRow) -> str | None:
        return events_beyond(self._reader, info.key, head)

    def _published_fits(self, info: LogInfo, head: HeadRow) -> str | None:
        try:
            published = load_published(self._objects, self._keys, info)
        except (NoteError, ValueError) as error:
            return f"the published checkpoint is not one of this log signed with its key: {error}"
        if published is None:
            return None
        if published.size > head.size:  # another node may have committed and published it since
            head = self._reader.head(info.key) or head
        if published.size > head.size:
            return (
                f"a head of {published.size} events was published, the store holds {head.size}:"
                " an older copy was restored, or the tail was cut"
            )
        if self._prover.root_at(info.key, published.size) != published.root:
            return f"the published root at size {published.size} is not that of the stored events"
        return None

    def _uncontradicted(self, info: LogInfo, _head: HeadRow) -> str | None:
        """What a witness found holds after a restart too, until the operator has looked into it."""
        if self._objects.get(conflict_key(info)) is None:
            return None
        return f"a witness has seen another history of this log: objects/{conflict_key(info)} says more"

    def _keys_fit(self, info: LogInfo, _head: HeadRow) -> str | None:
        """A key that others were told of is the one that signs, or none does."""
        return self._keys.published_differ(info, self._objects)


def events_beyond(reader: Reader, log: int, head: HeadRow) -> str | None:
    """What is said of chunks that stand beyond a head; None where there are none, or for a good reason.

    Only a large batch that was cut short leaves chunks there, and it leaves its mark too.
    """
    last = reader.chunk_time(log, SEQUENCE_MAX)
    if last is None or last[0] <= head.size or reader.meta(laying_mark(log)):
        return None
    if reader.head(log) != head:
        return None  # a commit moved it over them meanwhile, and took the mark away
    return f"events are stored beyond the head, which says {head.size}: it was set back"


def _chunk_fits(chunk: Chunk) -> str | None:
    if b"".join(commit_payloads(chunk.salts, chunk.payloads())) != chunk.commitments:
        return f"payloads of events {chunk.first} to {chunk.last} do not match their commitments"
    leaves = b"".join(leaf_hash(encode_entry(chunk.entry(at))) for at in range(chunk.events))
    if leaves != chunk.leaves:
        return f"entries of events {chunk.first} to {chunk.last} do not match their leaf hashes"
    return None
