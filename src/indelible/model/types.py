"""The frozen values that pass between the layers. Wire types and stored bytes are defined elsewhere."""

import uuid
from typing import NamedTuple

NO_AUTH_WRITER = uuid.UUID(int=0)
ROOT_WRITER = uuid.UUID(int=1)
"""The writer of events appended with the root key (DESIGN, Keys and access)."""

SERVER_WRITER = uuid.UUID(int=2)
"""The writer of what the server itself appends to the deployment's log of heads; no key has it."""


class Head(NamedTuple):
    """A log's size and root, and the time of its last event (µs since 1970; 0 when empty)."""

    size: int
    root: bytes
    time: int


class Event(NamedTuple):
    """One event as it was appended: the payload is the client's exact bytes."""

    sequence: int
    time: int
    writer: bytes  # 16: the UUID of the key that appended
    salt: bytes  # 16
    payload: bytes


class Receipt(NamedTuple):
    """What an append answers: with the payload, the leaf. A claim until a signed head covers it."""

    sequence: int
    time: int
    leaf_hash: bytes
    salt: bytes
    writer: bytes


class BatchReceipt(NamedTuple):
    """What append_batch answers; `salts` and `leaf_hashes` are joined 16 and 32 bytes an event."""

    first_sequence: int
    last_sequence: int
    time: int
    writer: bytes
    salts: bytes
    leaf_hashes: bytes

    @property
    def events(self) -> int:
        """How many events the batch holds."""
        return self.last_sequence - self.first_sequence + 1


class LogInfo(NamedTuple):
    """A log as it was created. `key` is its number inside the store; it never leaves the process."""

    key: int
    log_id: uuid.UUID
    workspace: int
    name: str
    origin: str
    created: int  # µs since 1970
    erasable: bool = False
    public_proofs: bool = False  # the one thing that changes: checkpoint, tiles and keys need no key
