"""What a batch's events are, byte for byte (DESIGN): pure functions from a body to payloads."""

import re
from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from indelible.model.errors import Problem
from indelible.model.limits import Limits

_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_INK = re.compile(rb"[^ \t\r\n]")
# A string as one token, so that what stands inside it is no structure; possessive, so that it takes no stack.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)
_COMMAS_TO_LOOK_AT = 500_000  # an array of fewer elements is decoded at once: 100 bytes each, at most
_SPACE_AROUND = 64 << 10  # white space that may surround an element
_NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class Framing(NamedTuple):
    """How a batch's body is cut into events."""

    kind: Literal["ndjson", "array", "delimiter"]
    delimiter: bytes = b""


def choose(content_type: str | None, delimiter: str | None, body: bytes) -> Framing:
    """Choose the framing from the type, the `delimiter` parameter as it stands in the URL, and the body.

    Raises:
        Problem: `invalid_parameter` for an empty delimiter, `unsupported_media_type` when nothing says
            how the body is to be cut.
    """
    if delimiter is not None:
        raw = unquote_to_bytes(delimiter)
        if not raw:
            raise Problem("invalid_parameter", "delimiter must not be empty; write a line feed as %0A")
        return Framing("delimiter", raw)
    kind = (content_type or "").split(";", 1)[0].strip().lower()
    if kind in _NDJSON_TYPES:
        return Framing("ndjson")
    if kind == "application/json" or body.lstrip(b" \t\r\n")[:1] == b"[":
        return Framing("array")
    raise Problem(
        "unsupported_media_type",
        "send a JSON array, or NDJSON with Content-Type: application/x-ndjson, or name a ?delimiter=",
    )


def split(body: bytes, framing: Framing, limits: Limits) -> list[bytes]:
    """Cut `body` into payloads of exact source bytes, at least one, none empty.

    Memory stays near the body's own size: a body of nothing but borders is refused as soon as it has too
    many of them.

    Raises:
        Problem: `malformed_json` (with `line` or `element` counted from 1), `empty_event`, `too_large`.
    """
    if framing.kind == "delimiter":
        payloads = _split_delimited(body, framing.delimiter, limits.batch_events)
    elif framing.kind == "ndjson":
        payloads = _split_lines(body, limits.batch_events)
    else:
        payloads = _split_array(body, limits)
    if not payloads:
        raise Problem("empty_event", "the batch holds no event")
    if len(payloads) > limits.batch_events:
        raise _too_many(limits.batch_events)
    if max(map(len, payloads)) > limits.event_bytes:
        raise Problem("too_large", "an event is over the limit", limit=limits.event_bytes, unit="bytes")
    return payloads


def _too_many(events: int) -> Problem:
    return Problem("too_large", "send fewer events in a batch", limit=events, unit="events")


def check_json(body: bytes) -> None:
    """Raise ValueError unless `body` is one JSON value in UTF-8 (RFC 8259)."""
    try:
        _RAW.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if not body.isascii():
        body.decode()  # the decoder skims strings and would let bad UTF-8 pass


def is_json(body: bytes) -> bool:
    """Say whether `body` is one JSON value in UTF-8."""
    try:
        check_json(body)
    except ValueError:
        return False
    return True


def _split_delimited(body: bytes, delimiter: bytes, most: int) -> list[bytes]:
    records = body.split(delimiter, most + 1)
    if len(records) > 1 and not records[-1]:
        records.pop()  # one delimiter at the end
    if len(records) > most:
        raise _too_many(most)
    if not all(records):
        where = records.index(b"") + 1
        raise Problem("empty_event", f"record {where} is empty", record=where)
    return records


def _split_lines(body: bytes, most: int) -> list[bytes]:
    """Lines that are not blank; the search for ink skips blank ones, which no limit counts, at C's speed."""
    _check_utf8(body)
    payloads: list[bytes] = []
    at = 0  # where a line begins
    while ink := _INK.search(body, at):
        start = max(at, body.rfind(b"\n", at, ink.start()) + 1)
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        line = body[start:end]
        payload = line[:-1] if line[-1:] == b"\r" else line
        try:
            _RAW.decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            number = body.count(b"\n", 0, start) + 1
            raise Problem("malformed_json", f"line {number} is not JSON: {error}", line=number) from None
        payloads.append(payload)
        if len(payloads) > most:
            raise _too_many(most)
        at = end + 1
    return payloads


def _split_array(body: bytes, limits: Limits) -> list[bytes]:
    _check_utf8(body)
    if body.count(b",") >= _COMMAS_TO_LOOK_AT:
        _check_elements(body, limits)
    try:
        elements = _RAW_LIST.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem("malformed_json", f"the body is not a JSON array of events: {error}") from None
    return [bytes(element).strip(b" \t\r\n") for element in elements]


def _check_elements(body: bytes, limits: Limits) -> None:
    """Count an array's elements before they become objects, and stop where one is too large for an event."""
    depth, elements, since = 0, 1, 0
    for found in _STRUCTURE.finditer(body):
        mark, at = found[0], found.start()
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        elif mark == b"," and depth == 1:
            elements, since = elements + 1, at
        if elements > limits.batch_events:
            raise _too_many(limits.batch_events)
        if at - since > limits.event_bytes + _SPACE_AROUND and depth > 1:
            raise Problem("too_large", "an event is over the limit", limit=limits.event_bytes, unit="bytes")


def _check_utf8(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            "malformed_json", f"the body is not UTF-8 at byte {error.start}", byte=error.start
        ) from None
