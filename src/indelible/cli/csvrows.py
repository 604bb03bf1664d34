"""Events as rows of a spreadsheet: which columns."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from indelible.model.spreadsheet import safe_cell, write_row

COLUMNS = (
    "sequence", "time", "writer", "salt", "type", "actor", "resource", "outcome", "ip", "occurred_at",
    "payload", "payload_base64",
)  # fmt: skip


class _Line(msgspec.Struct):
    sequence: int
    time: str
    writer: str
    salt: str
    payload: msgspec.Raw = msgspec.Raw()
    payload_base64: str = ""


_DECODER = msgspec.json.Decoder(_Line)


def csv_row(line: bytes, guard: Callable[[str], str] = safe_cell) -> str:
    """Write one event of `/events` as a row (RFC 4180) with the columns of `COLUMNS`.

    The members of the payload are read where common shapes have them; `payload` is the whole of it, so that
    nothing is lost where they stand elsewhere; one that is no JSON is in `payload_base64`.
    """
    event = _DECODER.decode(line)
    members = _members(bytes(event.payload))
    cells = (
        str(event.sequence),
        event.time,
        event.writer,
        event.salt,
        _first(members, "type", "action", "eventName"),
        _named(members.get("actor")),
        _named(members.get("resource") or members.get("target")),
        _first(members, "outcome"),
        _first(members, "ip", "source_ip", "sourceIPAddress"),
        _first(members, "occurred_at", "time", "eventTime"),
        bytes(event.payload).decode(),
        event.payload_base64,
    )
    return write_row([guard(cell) for cell in cells])


def _members(payload: bytes) -> Mapping[str, Any]:
    if not payload:
        return {}
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _first(members: Mapping[str, Any], *names: str) -> str:
    return next((_text(members[name]) for name in names if members.get(name) is not None), "")


def _named(value: Any) -> str:
    """Write an actor or a resource: the text itself, or its id."""
    if isinstance(value, dict):
        return _first(value, "id", "name")
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
