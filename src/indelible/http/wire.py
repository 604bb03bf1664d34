"""The JSON of the HTTP contract, and nothing else: what a body holds and what an answer says.

Hashes and salts are lower-case hex, times RFC 3339 in UTC with six digits, writers UUIDs. Requests refuse
members that they do not know; answers may gain members.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from indelible.http.wire_versions import RollbackIn, VersionsOut


class _Request(Struct, forbid_unknown_fields=True, frozen=True):
    """A body of ours."""


class _Answer(Struct, frozen=True):
    """An answer of ours."""


# ---------------------------------------------------------------------- logs


class LogIn(_Request, frozen=True):
    """A log to create."""

    name: str
    erasable: bool = False
    public_proofs: bool = False


class LogPatchIn(_Request, frozen=True):
    """What may be changed of a log: who may see its proofs."""

    public_proofs: bool


class HeadOut(_Answer, frozen=True):
    """A log's size and root hash, and the time of its last event (null while it is empty)."""

    size: int
    root: str
    time: str | None


class LogOut(_Answer, frozen=True):
    """A log and its head."""

    log_id: str
    name: str
    origin: str
    created: str
    erasable: bool
    public_proofs: bool
    head: HeadOut


class LogsOut(_Answer, frozen=True):
    """Logs by name; `next` is the value of `after` for the next page."""

    logs: list[LogOut]
    next: str | None


# ---------------------------------------------------------------------- events


class ReceiptOut(_Answer, frozen=True):
    """What an append answers: with the payload it recomputes the leaf."""

    sequence: int
    time: str
    leaf_hash: str
    salt: str
    writer: str
    origin: str
    proof: str | UnsetType = UNSET


class BatchReceiptOut(_Answer, frozen=True):
    """What append_batch answers: one time for all, and with `receipts=true` each event's salt and leaf."""

    first_sequence: int
    last_sequence: int
    count: int
    time: str
    writer: str
    origin: str
    salts: list[str] | UnsetType = UNSET
    leaf_hashes: list[str] | UnsetType = UNSET


class EventOut(_Answer, frozen=True):
    """An event: `payload` is its JSON for reading, `payload_base64` its exact bytes."""

    sequence: int
    time: str
    writer: str
    salt: str
    payload: Raw | UnsetType = UNSET
    payload_base64: str | UnsetType = UNSET


class EventsOut(_Answer, frozen=True):
    """A page of events; `next` is the value of `after_sequence` for the next page, null at the end."""

    events: list[EventOut]
    next: int | None


# ---------------------------------------------------------------------- proofs


class InclusionOut(_Answer, frozen=True):
    """A proof that an event is in the tree of `checkpoint` (RFC 9162, 2.1.3)."""

    sequence: int
    index: int
    size: int
    leaf_hash: str
    hashes: list[str]
    checkpoint: str


class ConsistencyOut(_Answer, frozen=True):
    """A proof that a smaller tree is a prefix of the tree of `checkpoint` (RFC 9162, 2.1.4)."""

    first: int = field(name="from")
    second: int = field(name="to")
    hashes: list[str]
    checkpoint: str


class TimesOut(_Answer, frozen=True):
    """A window of time: from inclusive, to exclusive, null where it is open."""

    first: str | None = field(name="from")
    last: str | None = field(name="to")


class RangeOut(_Answer, frozen=True):
    """A proof that entries stand next to each other in the tree of `checkpoint` (docs/formats.md).

    For a window of time, the entry before it and the one after it, where there are such, are among them, and
    `window_closed` is the server's word on whether no event can be dated into it any more.
    """

    first: int
    last: int
    size: int
    window: TimesOut | None
    window_closed: bool | None
    entries: list[str]
    hashes: list[str]
    checkpoint: str


class HeadProofOut(_Answer, frozen=True):
    """A log's head in the deployment's log: the event's text, its size, and the event's tlog-proof."""

    event: str
    size: int
    proof: str


class LogKeyOut(_Answer, frozen=True):
    """A key that signs a log's heads of some sizes, both inside; the newest has no end.

    `statement` is the signed note by which it followed the key before it, `retired` when it was followed.
    """

    verifier_key: str
    valid_from_size: int
    valid_to_size: int | None
    retired: str | None
    statement: str | None


class LogKeysOut(_Answer, frozen=True):
    """The keys that sign, or signed, a log's heads, oldest first."""

    keys: list[LogKeyOut]


# ---------------------------------------------------------------------- views


class DeployIn(_Request, frozen=True):
    """A view to deploy: one of `builtin` and `sha256`, and its configuration."""

    builtin: str | None = None
    sha256: str | None = None
    config: Raw | UnsetType = UNSET


class ViewOut(_Answer, frozen=True):
    """A deployed view; `pending` is the version that is catching up to take its place."""

    view_id: str
    name: str
    version: int
    sha256: str
    config_sha256: str
    world: str
    builtin: str | None
    state: str
    applied: int
    head: int
    error: dict[str, Any] | None
    pending: dict[str, Any] | None
    memory_bytes: int
    created: str


class ViewsOut(_Answer, frozen=True):
    """The views of a log."""

    views: list[ViewOut]


class ExampleOut(_Answer, frozen=True):
    """A question and its answer, over events that are shipped with the package."""

    events: str
    config: Raw | None
    params: list[tuple[str, str]]
    basis: str
    answer: Raw


class ReportOut(_Answer, frozen=True):
    """A view that can be deployed by its name. `parameters` is a JSON Schema of what a question may have."""

    name: str
    title: str
    description: str
    serves: list[str]
    takes_config: bool
    columns: list[str] | None
    parameters: dict[str, Any]
    example: ExampleOut


class CatalogueOut(_Answer, frozen=True):
    """What can be deployed by name."""

    reports: list[ReportOut]


class ComponentOut(_Answer, frozen=True):
    """A stored component."""

    sha256: str
    bytes: int


# ---------------------------------------------------------------------- keys and workspaces


class KeyIn(_Request, frozen=True):
    """A key to make: scopes, or a preset that names them."""

    label: str = ""
    scopes: list[str] | None = None
    logs: list[str] | None = None
    views: list[str] | None = None
    not_before: str | None = None
    expires: str | None = None
    preset: str | None = None
    workspace: str | None = None


class KeyOut(_Answer, frozen=True):
    """A key without its secret, which is in the answer that made it only."""

    key_id: str
    writer: str
    label: str
    workspace: str
    scopes: tuple[str, ...]
    logs: tuple[str, ...] | None
    views: tuple[str, ...] | None
    not_before: str | None
    expires: str | None
    created: str
    revoked: str | None
    preset: str | None
    secret: str | UnsetType = UNSET


class KeysOut(_Answer, frozen=True):
    """The keys of a workspace."""

    keys: list[KeyOut]


class WorkspaceIn(_Request, frozen=True):
    """A workspace to make."""

    name: str


class WorkspaceOut(_Answer, frozen=True):
    """A workspace; `key`, its first, is in the answer that made it only."""

    workspace_id: str
    name: str
    created: str
    audit_log_id: str
    key: KeyOut | UnsetType = UNSET


class WorkspacesOut(_Answer, frozen=True):
    """The workspaces of the deployment."""

    workspaces: list[WorkspaceOut]


# ---------------------------------------------------------------------- the system


class HealthOut(_Answer, frozen=True):
    """Whether the process works at all."""

    healthy: bool


class ReadyOut(_Answer, frozen=True):
    """Whether requests can be served, and what stands in the way."""

    ready: bool
    details: dict[str, Any]


class ProblemOut(_Answer, frozen=True):
    """A refusal (RFC 9457); facts such as `head`, `limit` and `retry_after` are further members."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    retryable: bool
    effect: str
    request_id: str


REQUESTS: tuple[type[Struct], ...] = (LogIn, LogPatchIn, DeployIn, RollbackIn, KeyIn, WorkspaceIn)
ANSWERS: tuple[type[Struct], ...] = (
    LogOut,
    LogsOut,
    ReceiptOut,
    BatchReceiptOut,
    EventOut,
    EventsOut,
    InclusionOut,
    ConsistencyOut,
    RangeOut,
    HeadProofOut,
    LogKeyOut,
    LogKeysOut,
    ViewOut,
    ViewsOut,
    VersionsOut,
    CatalogueOut,
    ComponentOut,
    KeyOut,
    KeysOut,
    WorkspaceOut,
    WorkspacesOut,
    HealthOut,
    ReadyOut,
    ProblemOut,
)

_ENCODER = msgspec.json.Encoder()


def encode(answer: Struct) -> bytes:
    """Write an answer as JSON and a line feed, for whoever reads it in a terminal."""
    return _ENCODER.encode(answer) + b"\n"
