"""The contracts of storage. An engine that keeps these words keeps the product's promises.

**Durability.** `Store.transaction` returns normally only when everything written inside is on stable storage
(fsync of the write-ahead log). A failed fsync is fatal: the engine raises `StoreBroken` and refuses all
further writes for the life of the process; it never retries over it. Where the storage is another process's,
and its answer to COMMIT was lost, it raises `StoreUnknown`. A COMMIT is never cancelled, nor timed out.

**Atomicity.** What is written inside one `transaction` is visible in whole or not at all. An exception
that leaves the block rolls everything back and is raised again.

**One writer.** At most one transaction is open at a time on an engine; it belongs to one thread.
`lock` and `lock_heads` order writers of the same log where several processes share a store, `alone` what they
decide by what readers show.

**Readers.** Every method of `Reader` sees a committed state that is at least as new as the last transaction
that ended before the call began. Readers never block the writer and never wait for it.

**What the rows mean** is not the engine's business: bodies are bytes, encoded by the layers above.
The head is the commit point of a log: rows of `chunk` and `node` beyond `HeadRow.size` do not exist.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from indelible.model.types import LogInfo

SEQUENCE_MAX = (1 << 40) - 1
"""The largest sequence that a store holds."""


class StoreError(Exception):
    """The engine refused; nothing of the transaction is stored."""


class StoreFull(StoreError):
    """No space is left; nothing of the transaction is stored, and later ones may succeed."""


class StoreBroken(StoreError):
    """Stable storage failed. Whether the transaction is stored is unknown; the process must stop."""


class StoreUnknown(StoreError):
    """A COMMIT was not answered, or not cleanly. Whether it is stored is unknown; later ones may succeed.

    The heads that it touched are to be read again, and not signed before a clean commit.
    """


class StoreUnavailable(StoreError):
    """The database does not answer or may not be written; nothing is stored, and later calls may succeed."""


class StoreConflict(StoreError):
    """Another process was in the way; nothing of the transaction is stored, and it may be tried again."""


class StoreRefused(StoreError):
    """The store cannot be opened; the text says why and what to do."""


class StoreClosed(Exception):
    """A reader was asked after the store was closed: no `StoreError`, as nothing is wrong with the store."""


class HeadRow(NamedTuple):
    """A log's head as stored: `frontier` is the joined right edge, `time` the last event's (µs, 0 if none).

    No event may be dated before `time_floor`, so that a window that was answered stays as it was.
    """

    size: int
    time: int
    time_floor: int
    root: bytes
    frontier: bytes


class Locked(NamedTuple):
    """The heads that were locked; the values asked for; the store's own clock (µs), None where it has none.

    Values and clock are those of a moment after the heads were locked.
    """

    heads: Mapping[int, HeadRow]
    values: Mapping[str, bytes]
    clock: int | None


class ChunkRow(NamedTuple):
    """The events that one commit added to one log: `events` of them from sequence `first` on.

    `leaves` are `events` joined leaf hashes of 32 bytes, `payload` the joined payloads, `meta` the rest.
    """

    first: int
    events: int
    time: int
    meta: bytes
    leaves: bytes
    payload: bytes


class SegmentRow(NamedTuple):
    """A segment of the archive, with which the events `first` to `last` (dated µs) can be read back.

    `key` is the object's, `sha256` (hex) the digest of its `size` bytes; `version` its id where it has one.
    """

    first: int
    last: int
    first_time: int
    last_time: int
    key: str
    sha256: str
    size: int
    version: str | None


class NodeRow(NamedTuple):
    """The hash of a perfect subtree of 256**level leaves; `level` counts tiles and is 1 or more."""

    level: int
    position: int
    hash: bytes


class WorkspaceRow(NamedTuple):
    """A workspace; `key` is its number inside the store."""

    key: int
    workspace_id: bytes
    name: str
    created: int


class KeyRow(NamedTuple):
    """An API key: `secret_hash` is the SHA-256 of the whole secret, which itself is stored nowhere.

    `key_id` is a UUID in canonical form, and the `writer` in the entries that the key appends.
    """

    key_id: str
    workspace: int
    secret_hash: bytes
    label: str
    scopes: tuple[str, ...]
    logs: tuple[str, ...] | None
    views: tuple[str, ...] | None
    not_before: int | None
    expires: int | None
    created: int
    revoked: int | None
    preset: str | None


class LogKeyRow(NamedTuple):
    """A key that signs a log's heads, or signed them: generations count from 0.

    `statement` is the signed note by which it followed the one before it; empty for the first. A log without
    rows has generation 0 alone, derived.
    """

    log: int
    generation: int
    holder: str  # derived | command
    verifier_key: str
    statement: bytes
    created: int


class ViewRow(NamedTuple):
    """One version of a view. Of a view's versions at most one is `active` and at most one `pending`."""

    view_id: bytes
    log: int
    name: str
    version: int
    component_sha256: str
    config: str
    world: str
    builtin: str | None
    state: str  # pending | active | retired
    created: int
    author: bytes


class EventRows(Protocol):
    """The events of logs, as rows."""

    def chunks(self, log: int, sequence: int, limit: int, *, reverse: bool = False) -> list[ChunkRow]:
        """At most `limit` chunks: the one that holds `sequence`, and those after it (before, in reverse)."""

    def metas(self, log: int, first: int, last: int) -> list[ChunkRow]:
        """The chunks that hold the events `first` to `last`, with `leaves` and `payload` empty and unread."""

    def chunk_time(self, log: int, sequence: int) -> tuple[int, int, int] | None:
        """First sequence, count and time of the chunk that holds `sequence`, without its bodies."""

    def leaves(self, log: int, first: int, count: int) -> bytes:
        """Joined leaf hashes of the events `first` to `first + count - 1` (sequences), all of which exist."""


class Reader(EventRows, Protocol):
    """What can be read at any time, from any thread. Of events, those that were not trimmed."""

    def meta(self, name: str) -> bytes | None:
        """A value of the deployment, such as its name."""

    def workspaces(self) -> list[WorkspaceRow]:
        """All workspaces, oldest first."""

    def workspace_count(self) -> int:
        """How many workspaces there are."""

    def workspace_by_key(self, key: int) -> WorkspaceRow | None:
        """The workspace with this number inside the store."""

    def workspace_by_id(self, workspace_id: bytes) -> WorkspaceRow | None:
        """The workspace with this UUID."""

    def workspace_by_name(self, name: str) -> WorkspaceRow | None:
        """The workspace of this name."""

    def log_by_id(self, log_id: bytes) -> LogInfo | None:
        """The log with this UUID, of whatever workspace."""

    def log_by_name(self, workspace: int, name: str) -> LogInfo | None:
        """The log of this name in a workspace."""

    def log_by_key(self, key: int) -> LogInfo | None:
        """The log with this number inside the store."""

    def logs(self, workspace: int | None, after: str, limit: int) -> list[LogInfo]:
        """Logs ordered by name (by store key when `workspace` is None and `after` is a number)."""

    def log_keys(self, log: int) -> list[LogKeyRow]:
        """The signing keys of a log, oldest first."""

    def last_log(self) -> int:
        """The largest number of a log, 0 where there is none."""

    def head(self, log: int) -> HeadRow | None:
        """The head of a log."""

    def heads(self, logs: Sequence[int]) -> Mapping[int, HeadRow]:
        """The heads of several logs."""

    def newest_time(self) -> int:
        """The time (µs) of the newest event of all logs, 0 where there is none."""

    def registry(self) -> int:
        """A number that each change of a key, a log's access or a view makes larger; 0 if never shared."""

    def trimmed(self, log: int) -> int:
        """How many of the first events are no longer among the chunks: segments hold them."""

    def segment(self, log: int, sequence: int) -> SegmentRow | None:
        """The segment that holds `sequence`, of those that trimmed events can be read from."""

    def segment_before(self, log: int, time: int) -> SegmentRow | None:
        """The last of these segments whose first event is older than `time` (µs)."""

    def nodes(self, log: int, level: int, start: int, count: int) -> bytes:
        """Joined hashes of `count` nodes of a tile level from index `start` on, all of which exist."""

    def tiles(self, log: int, after: tuple[int, int], limit: int) -> list[tuple[int, int, int]]:
        """Level, number and size in bytes of stored tiles in order, those after the level and number given.

        Tiles that the head does not cover are among them: this is for whoever looks for what is wrong.
        """

    def key(self, key_id: str) -> KeyRow | None:
        """An API key."""

    def keys(self, workspace: int) -> list[KeyRow]:
        """The keys of a workspace, oldest first, revoked ones included."""

    def views(self, log: int | None = None) -> list[ViewRow]:
        """Active and pending versions, of one log or of all."""

    def versions(self, view_id: bytes) -> list[ViewRow]:
        """All versions of a view, retired ones included, oldest first."""

    def view_versions(self, log: int) -> list[ViewRow]:
        """All versions of all views of a log, retired ones included, in one fixed order."""

    def counts(self, workspace: int) -> tuple[int, int]:
        """How many logs and how many keys (not revoked) a workspace has."""


class Transaction(Protocol):
    """What can be written, inside `Store.transaction` only, by its thread only."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A part that an exception undoes alone; the exception goes on, the transaction may too."""

    def lock_heads(self, logs: Sequence[int]) -> Mapping[int, HeadRow]:
        """Lock the heads of these logs in a fixed order and return them as last committed."""

    def lock(self, logs: Sequence[int], waited: Sequence[int], names: Sequence[str]) -> Locked:
        """Lock the heads `waited` in a fixed order, then those of `logs` that no other process has locked.

        `names` are of values of the deployment to read with them.
        """

    def alone(self) -> None:
        """Wait until no other process is in a transaction that called this, which lasts until it ends."""

    def clock(self) -> int | None:
        """The store's own clock (µs since 1970), None where it has none: then the machine's is used."""

    def put_chunk(self, log: int, chunk: ChunkRow) -> None:
        """Add a chunk that begins right after the last one."""

    def put_nodes(self, log: int, nodes: Iterable[NodeRow]) -> None:
        """Add nodes, in the order of their positions a level."""

    def put_head(self, log: int, head: HeadRow) -> None:
        """Move a log's head. This is what makes the chunks before it exist."""

    def drop_beyond(self, log: int, size: int) -> None:
        """Remove chunks after sequence `size`: laid for a head that never came to cover them."""

    def put_segment(self, log: int, segment: SegmentRow) -> None:
        """Add a segment that trimmed events are read from; one that begins there already is replaced."""

    def trim(self, log: int, size: int) -> int:
        """Remove chunks that end at or before `size`, but a log's last; gives what `trimmed` does then."""

    def put_meta(self, name: str, value: bytes) -> None:
        """Set a value of the deployment."""

    def add_workspace(self, workspace_id: bytes, name: str, created: int) -> int:
        """Add a workspace and return its number. Raises KeyError when the name is taken."""

    def add_log(self, log: LogInfo, head: HeadRow) -> int:
        """Add a log with its empty head and return its number; `log.key` is not looked at.

        Raises KeyError when the name is taken in the workspace.
        """

    def set_public_proofs(self, log: int, *, public: bool) -> bool:
        """Say whether a log's proofs need no key; False when there is no such log."""

    def add_log_key(self, key: LogKeyRow) -> None:
        """Add a signing key of a log. Raises KeyError when the log has that generation."""

    def add_key(self, key: KeyRow) -> None:
        """Add an API key."""

    def revoke_key(self, key_id: str, when: int) -> bool:
        """Revoke an API key; False when there is none that is not revoked."""

    def add_view(self, view: ViewRow) -> None:
        """Add a version of a view."""

    def set_view_state(self, view_id: bytes, version: int, state: str) -> bool:
        """Set the state of a version; False when there is no such version."""

    def find_keys(self, digests: Sequence[bytes], epochs: Sequence[int]) -> Mapping[bytes, int]:
        """Of these idempotency digests, the ones that are known, with the sequence each one made first."""

    def journal_keys(self, body: bytes) -> int:
        """Add one row to the journal of keys and return its number, larger than all before."""

    def merge_keys(self, epoch: int, rows: Sequence[tuple[bytes, int]], upto: int) -> None:
        """Index rows (digest, sequence), sorted by digest, and drop the journal up to row `upto`."""

    def drop_epoch(self, epoch: int, limit: int) -> int:
        """Remove at most `limit` keys of epochs up to `epoch`; return how many were removed."""


class Store(Protocol):
    """An engine: readers at any time, one transaction at a time."""

    @property
    def reader(self) -> Reader:
        """Readers may be called from any thread."""

    @property
    def shared(self) -> bool:
        """Whether other processes may write to the same place; if so, nothing is known but what is read."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin; commit durably at the end of the block, roll back when an exception leaves it."""

    def key_journal(self) -> list[tuple[int, bytes]]:
        """The journal of keys that are not merged yet: number and body, oldest first."""

    def key_counts(self) -> Mapping[int, int]:
        """How many merged keys each epoch holds."""

    def maintain(self) -> None:
        """Bounded housekeeping between transactions (write-ahead log), on the writer's thread."""

    def close(self) -> None:
        """Close everything, after the readers' calls under way; a later one raises `StoreClosed`."""
