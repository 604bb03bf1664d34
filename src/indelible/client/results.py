"""What the calls answer: frozen values with the members of the HTTP contract.

Bytes are lower-case hex and times RFC 3339 in UTC, as they were sent; properties give them parsed. A member
that a newer server adds is ignored.
"""

import base64
import json
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from indelible.model.instants import parse_instant


class Head(msgspec.Struct, frozen=True):
    """A log's size and root (hex), and the time of its last event."""

    size: int
    root: str = ""
    time: str | None = None


class Log(msgspec.Struct, frozen=True):
    """A log as `create_log`, `log` and `logs` give it."""

    log_id: str
    name: str
    origin: str = ""
    created: str = ""
    head: Head | None = None
    public_proofs: bool = False


class LogKey(msgspec.Struct, frozen=True):
    """A key that signs a log's heads of some sizes, both inside; the newest has no end.

    `statement` is the signed note by which it followed the key before it. `key_history` checks it.
    """

    verifier_key: str
    valid_from_size: int = 0
    valid_to_size: int | None = None
    retired: str | None = None
    statement: str | None = None


class NamedKey(msgspec.Struct, frozen=True):
    """A key that a log, or a file, names for itself. Nothing is trusted for standing there."""

    verifier_key: str
    statement: str | None = None


class KeyList(msgspec.Struct, frozen=True):
    """What `GET /logs/{log}/keys` answers, and `keys.json` of evidence, as far as it is read."""

    keys: list[NamedKey]

    @property
    def statements(self) -> tuple[bytes, ...]:
        """The key statements in it, none of them verified."""
        return tuple(key.statement.encode() for key in self.keys if key.statement is not None)


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an append answers: a claim until a signed head covers it. `verify_receipt` recomputes the leaf."""

    sequence: int
    time: str
    leaf_hash: str
    salt: str
    writer: str
    origin: str
    replayed: bool = False
    proof: str | None = None  # a C2SP tlog-proof, where one was asked for

    @property
    def time_micros(self) -> int:
        """The time of receipt in microseconds since 1970."""
        return parse_instant(self.time)

    @property
    def writer_bytes(self) -> bytes:
        """The 16 bytes of the key's UUID, as they stand in the entry."""
        return UUID(self.writer).bytes


class BatchReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What append_batch answers; all events have one time. Salts and leaf hashes come when asked for."""

    first_sequence: int
    last_sequence: int
    count: int
    time: str
    writer: str
    origin: str
    replayed: bool = False
    salts: list[str] = []
    leaf_hashes: list[str] = []


class Event(msgspec.Struct, frozen=True):
    """One event as it is read. Exactly one of `payload` and `payload_base64` is there."""

    sequence: int
    time: str
    writer: str
    salt: str
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload_base64: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def time_micros(self) -> int:
        """The time of receipt in microseconds since 1970."""
        return parse_instant(self.time)

    @property
    def writer_bytes(self) -> bytes:
        """The 16 bytes of the key's UUID, as they stand in the entry."""
        return UUID(self.writer).bytes

    @property
    def payload_bytes(self) -> bytes:
        """The payload's bytes. Ask with `exact=True` where they have to be those that were appended."""
        if isinstance(self.payload_base64, str):
            return base64.b64decode(self.payload_base64, validate=True)
        return bytes(self.payload) if isinstance(self.payload, msgspec.Raw) else b""


class EventPage(msgspec.Struct, frozen=True):
    """A page of events; `next` continues as `after_sequence`, None where nothing is left."""

    events: list[Event]
    next: int | None = None


class View(msgspec.Struct, frozen=True):
    """A deployed view and how far it has folded."""

    view_id: str
    version: int
    sha256: str
    state: str  # replaying | live | failed
    name: str = ""
    applied: int = 0
    head: int = 0
    world: str = ""
    error: dict[str, Any] | None = None
    builtin: str | None = None
    config_sha256: str = ""
    pending: dict[str, Any] | None = None
    memory_bytes: int = 0
    created: str = ""


class Version(msgspec.Struct, frozen=True):
    """A version that a view has or had; `author` is the writer's UUID of the key that deployed it."""

    version: int
    sha256: str
    state: str  # active | pending | retired
    created: str = ""
    author: str = ""
    config: Any = None
    config_sha256: str = ""
    world: str = ""
    builtin: str | None = None


class Report(msgspec.Struct, frozen=True):
    """A view that can be deployed by its name; `parameters` is a JSON Schema of what a question may have."""

    name: str
    title: str
    description: str
    serves: list[str]
    takes_config: bool
    columns: list[str] | None
    parameters: dict[str, Any]
    example: dict[str, Any]


class Answer(NamedTuple):
    """An answer of a view; `sequence` is the last event folded, `view` names what answered.

    `next` is set where rows of a CSV did not fit: the value of `cursor` for them.
    """

    content_type: str
    body: bytes
    sequence: int
    view: str
    next: str | None = None

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            ValueError: the view answered something else.
        """
        return json.loads(self.body)


class InclusionProof(msgspec.Struct, frozen=True):
    """The proof that an event is in the tree of `checkpoint`."""

    sequence: int
    size: int
    leaf_hash: str
    hashes: list[str]
    checkpoint: str


class Window(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A window of time: `from_` inclusive, `to` exclusive, None where it is open."""

    from_: str | None = None
    to: str | None = None


class RangeProof(msgspec.Struct, frozen=True):
    """The proof that entries (hex, 65 bytes each) stand next to each other in the tree of `checkpoint`."""

    first: int
    last: int
    size: int
    entries: list[str]
    hashes: list[str]
    checkpoint: str
    window: Window | None = None


class ConsistencyProof(msgspec.Struct, frozen=True):
    """The proof that a smaller tree is a prefix of the tree of `checkpoint`."""

    hashes: list[str]
    checkpoint: str


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API key; `secret` is there in the answer that made it, and never again."""

    key_id: str
    writer: str
    label: str = ""
    workspace: str = ""
    scopes: list[str] = []
    logs: list[str] | None = None
    views: list[str] | None = None
    not_before: str | None = None
    expires: str | None = None
    created: str = ""
    revoked: str | None = None
    preset: str | None = None
    secret: str | None = None


class Workspace(msgspec.Struct, frozen=True, omit_defaults=True):
    """An isolated account; `key` is its first key, there only in the answer that made it."""

    workspace_id: str
    name: str
    created: str = ""
    audit_log_id: str = ""
    key: Key | None = None
