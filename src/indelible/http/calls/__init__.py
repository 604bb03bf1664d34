"""The calls of the HTTP contract, a module for each part of it: its routes, and a short handler for each."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from indelible.http import wire
from indelible.http.request import Answer, Headers, Request
from indelible.http.table import JSON
from indelible.model.errors import Problem

CHANGE_CODES = (
    "store_failed",
    "saturated",
    "clock_unsure",
    "commit_unknown",
    "read_only",
    "disk_full",
    "log_behind_published_head",
)
"""What any call that changes what is stored may be refused with."""

JSON_HEADERS: Headers = [("content-type", JSON)]
_Body = TypeVar("_Body", bound=Struct)
_DECODERS: Mapping[type[Struct], msgspec.json.Decoder[Struct]] = {
    kind: msgspec.json.Decoder(kind) for kind in wire.REQUESTS
}


def answer_json(value: Struct, status: int = 200) -> Answer:
    """Answer with a wire type."""
    return Answer(status, JSON_HEADERS, wire.encode(value))


def read_json(request: Request, kind: type[_Body]) -> _Body:
    """Read the body as a wire type.

    Raises:
        Problem: `malformed_json`.
    """
    try:
        value = _DECODERS[kind].decode(request.body)
        if not request.body.isascii():
            request.body.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed_json", f"send JSON as this call takes it: {error}") from None
    assert isinstance(value, kind)  # noqa: S101 - what the decoder of this type gives
    return value


def sequence_header(request: Request, name: str) -> int | None:
    """Read a header that holds a sequence.

    Raises:
        Problem: `malformed`.
    """
    text = request.header(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - fits 63 bits
        raise Problem("malformed", f"the header {name} must be a whole number", header=name)
    return int(text)


def path_sequence(text: str) -> int:
    """Read a sequence in the path; what is none names no event.

    Raises:
        Problem: `not_found`.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - fits 63 bits
        raise Problem("not_found", "an event is named by its sequence, a whole number from 1")
    return int(text)
