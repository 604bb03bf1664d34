"""What the use cases take and give: frozen values, neither wire types nor stored bytes."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from indelible.model.types import BatchReceipt, Event, Head, LogInfo, Receipt

SCOPES = ("append", "read", "query", "deploy", "admin")
PRESETS: Mapping[str, tuple[str, ...]] = {"auditor": ("query", "read"), "writer": ("append",)}


class Caller(NamedTuple):
    """Who is calling, as `access.authenticate` found it. Nothing in it is a secret."""

    writer: bytes  # 16: written into each entry that this key appends
    key_id: str
    workspace: int
    scopes: frozenset[str]
    logs: frozenset[str] | None  # ids and names that the key is restricted to; None: all of the workspace
    views: frozenset[str] | None
    is_root: bool = False
    preset: str | None = None


class LogState(NamedTuple):
    """A log and its head as this node committed or read it last."""

    info: LogInfo
    head: Head


class Appended(NamedTuple):
    """The answer of an append; `proof` is a tlog-proof when one was asked for."""

    receipt: Receipt
    origin: str
    replayed: bool
    proof: bytes | None


class AppendedBatch(NamedTuple):
    """The answer of append_batch."""

    receipt: BatchReceipt
    origin: str
    replayed: bool


class EventPage(NamedTuple):
    """A page of events in the order asked for. `next` continues after it; None where nothing is left."""

    events: list[Event]
    next: int | None


class InclusionAnswer(NamedTuple):
    """A proof that an event is in the tree of a published checkpoint."""

    sequence: int
    size: int
    leaf_hash: bytes
    hashes: tuple[bytes, ...]
    checkpoint: bytes

    @property
    def leaf_index(self) -> int:
        """The leaf's index in the tree: its sequence less one."""
        return self.sequence - 1


class ConsistencyAnswer(NamedTuple):
    """A proof that the tree of `from_size` is a prefix of the published tree of `to_size`."""

    from_size: int
    to_size: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


class RangeAnswer(NamedTuple):
    """A proof that the entries from `first_sequence` on stand next to each other in the tree of `size`.

    For a window of time (µs, from inclusive, to exclusive) its neighbours are among the entries, and `closed`
    says whether no event can be dated into it any more.
    """

    first_sequence: int
    last_sequence: int
    size: int
    window: tuple[int | None, int | None] | None
    entries: list[bytes]
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    closed: bool | None = None


class EvidenceAnswer(NamedTuple):
    """An evidence file: a name for it, and its bytes, made as they are asked for."""

    file_name: str
    pieces: AsyncIterator[bytes]


class ComponentBytes(NamedTuple):
    """A view given as the component itself."""

    component: bytes


class Builtin(NamedTuple):
    """A view given by the name of one that is shipped, with its configuration as JSON text."""

    name: str
    config: str


class Stored(NamedTuple):
    """A view given by the SHA-256 (hex) of a component put before, with its configuration as JSON text."""

    sha256: str
    config: str


Source = ComponentBytes | Builtin | Stored


class ViewInfo(NamedTuple):
    """A deployed view: the version that answers, and the one that is catching up to take its place."""

    view_id: str
    name: str
    version: int
    sha256: str
    config_sha256: str
    world: str
    builtin: str | None
    state: str  # replaying | live | failed
    applied: int
    head: int
    error: Mapping[str, object] | None
    pending: Mapping[str, object] | None
    memory_bytes: int
    created: int


class VersionInfo(NamedTuple):
    """A version that a view has or had, and whose key deployed it."""

    version: int
    sha256: str
    config: str
    config_sha256: str
    world: str
    builtin: str | None
    state: str  # active | pending | retired
    created: int
    author: bytes


class VersionsPage(NamedTuple):
    """Versions of a view, the newest first; `next` is the one that the following page is below, if any."""

    versions: Sequence[VersionInfo]
    next: int | None


class QueryAnswer(NamedTuple):
    """An answer of a view and what it covers: `sequence` is the last event folded."""

    content_type: str
    body: bytes
    sequence: int
    view: str  # name@version sha256:…


class KeyInfo(NamedTuple):
    """An API key without its secret."""

    key_id: str
    writer: uuid.UUID
    label: str
    workspace: str
    scopes: tuple[str, ...]
    logs: tuple[str, ...] | None
    views: tuple[str, ...] | None
    not_before: int | None  # µs since 1970
    expires: int | None
    created: int
    revoked: int | None
    preset: str | None


class WorkspaceInfo(NamedTuple):
    """An isolated account with its own logs and keys."""

    workspace_id: uuid.UUID
    name: str
    created: int
    audit_log_id: uuid.UUID


class Readiness(NamedTuple):
    """Whether requests can be served, and what stands in the way or deserves a look."""

    ready: bool
    details: Mapping[str, object]
