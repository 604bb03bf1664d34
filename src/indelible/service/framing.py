"""What a batch's events are, byte for byte (DESIGN): pure functions from a body to payloads."""

from typing import Literal, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from indelible.model.errors import Problem
from indelible.model.limits import Limits

_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
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

    Raises:
        Problem: `malformed_json` (with `line` or `element` counted from 1), `empty_event`, `too_large`.
    """
    if framing.kind == "delimiter":
        payloads = _split_delimited(body, framing.delimiter)
    elif framing.kind == "ndjson":
        payloads = _split_lines(body)
    else:
        payloads = _split_array(body)
    if not payloads:
        raise Problem("empty_event", "the batch holds no event")
    if len(payloads) > limits.batch_events:
        raise Problem("too_large", "send fewer events in a batch", limit=limits.batch_events, unit="events")
    if max(map(len, payloads)) > limits.event_bytes:
        raise Problem("too_large", "an event is over the limit", limit=limits.event_bytes, unit="bytes")
    return payloads


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


def _split_delimited(body: bytes, delimiter: bytes) -> list[bytes]:
    records = body.removesuffix(delimiter).split(delimiter)
    if not all(records):
        where = records.index(b"") + 1
        raise Problem("empty_event", f"record {where} is empty", record=where)
    return records


def _split_lines(body: bytes) -> list[bytes]:
    _check_utf8(body)
    decode = _RAW.decode
    payloads = []
    for number, line in enumerate(body.split(b"\n"), 1):
        payload = line[:-1] if line[-1:] == b"\r" else line
        if not payload.strip(b" \t\r"):
            continue
        try:
            decode(payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Problem("malformed_json", f"line {number} is not JSON: {error}", line=number) from None
        payloads.append(payload)
    return payloads


def _split_array(body: bytes) -> list[bytes]:
    _check_utf8(body)
    try:
        elements = _RAW_LIST.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem("malformed_json", f"the body is not a JSON array of events: {error}") from None
    return [bytes(element).strip(b" \t\r\n") for element in elements]


def _check_utf8(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            "malformed_json", f"the body is not UTF-8 at byte {error.start}", byte=error.start
        ) from None
