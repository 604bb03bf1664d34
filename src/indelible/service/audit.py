"""What `_audit` says: one JSON event for each thing that happened to a workspace (DESIGN promise 9).

The shape is the one that products use: `type`, `actor`, `resource`, and facts beside them, so that the
built-in views answer questions about the audit log as about any other.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from indelible.log.pending import AuditEvent

_encode = msgspec.json.Encoder().encode


class Subject(NamedTuple):
    """What an audit event is about."""

    type: str  # workspace | log | key | view | …
    id: str
    name: str


def audit_event(
    log: int, writer: bytes, kind: str, subject: Subject, facts: Mapping[str, object] | None = None
) -> AuditEvent:
    """Write an event of type `kind` by the key whose UUID is `writer`."""
    record: dict[str, object] = {
        "type": kind,
        "actor": {"type": "key", "id": str(uuid.UUID(bytes=writer))},
        "resource": {"type": subject.type, "id": subject.id, "name": subject.name},
        **(facts or {}),
    }
    return AuditEvent(log, writer, _encode(record))


def names(values: Sequence[str] | None) -> list[str] | None:
    """A restriction as JSON: null where there is none."""
    return None if values is None else list(values)
