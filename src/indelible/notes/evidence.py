r"""Evidence files (formats.md, Evidence): what is in one, how an event stands on its line, what is signed.

The statement that a log's key signs over the cover sheet, as the text of a signed note:

    indelible/evidence/v1\n<origin>\n<size>\n<base64 root>\n<first> <last>\n<sha256 of manifest.json, hex>\n
"""

import base64
import binascii
from typing import NamedTuple

import msgspec

from indelible.notes.strict import (
    HEX_DIGEST,
    NoteError,
    check_text,
    decode_decimal,
    decode_hash,
    encode_base64,
    lines_of,
)

FORMAT = "indelible/evidence/v1"
MEDIA_TYPE = "application/vnd.indelible.evidence+zip"

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
DEPLOYMENT = "deployment.json"
EVENTS, CLOSING = "events.ndjson", "proof.json"
"""Are there together; both may be missing where a view's answer is in the file."""

REQUIRED = (
    "VERIFY.txt",
    EVENTS,
    CLOSING,
    "checkpoint",
    "keys.json",
    "audit.ndjson",
    "audit-proof.json",
)
REPORT_REQUEST, REPORT_CONFIG, REPORT_VIEW = "request.json", "config.json", "view.wasm"
REPORT, REPORT_SIGNATURE = "report.json", "report.sig"
REPORT_FILES = (REPORT_REQUEST, REPORT_CONFIG, REPORT_VIEW, REPORT, REPORT_SIGNATURE)
"""Are there together, where a view's answer is in the file."""

OPTIONAL = (DEPLOYMENT, *REPORT_FILES)
ORDER = (*REQUIRED, *OPTIONAL, MANIFEST, SIGNATURE)
"""Every name that a file inside may have, in the order in which they stand."""

_STATEMENT_LINES = 6


class Statement(NamedTuple):
    """What the log's key says of a cover sheet: the head and the range that it is about, and its SHA-256."""

    origin: str
    size: int
    root: bytes  # 32
    first: int
    last: int  # first - 1 for no events
    manifest_sha256: str  # lower-case hex


def format_statement(statement: Statement) -> str:
    """Return the text that is signed; `parse_statement` reads it back.

    Raises:
        NoteError: when `parse_statement` would refuse the text or read something else from it.
    """
    origin, size, root, first, last, digest = statement
    text = f"{FORMAT}\n{origin}\n{size}\n{encode_base64(root)}\n{first} {last}\n{digest}\n"
    if parse_statement(text) != statement:
        raise NoteError("That statement would not be read as it was written.")
    return text


def parse_statement(text: str) -> Statement:
    """Return what a note's text says of a cover sheet.

    Raises:
        NoteError: when it differs from the format in anything.
    """
    lines = lines_of(check_text(text, "A statement"), "A statement")
    if len(lines) != _STATEMENT_LINES or lines[0] != FORMAT or not lines[1]:
        raise NoteError(f"A statement about evidence has {_STATEMENT_LINES} lines, the first is {FORMAT}.")
    _, origin, size, root, numbers, digest = lines
    first, space, last = numbers.partition(" ")
    if not space or not HEX_DIGEST.match(digest):
        raise NoteError("A statement about evidence names its first and last event, and a SHA-256 in hex.")
    return Statement(
        origin,
        decode_decimal(size, "The size of a statement"),
        decode_hash(root, "The root of a statement"),
        decode_decimal(first, "The first event of a statement"),
        decode_decimal(last, "The last event of a statement"),
        digest,
    )


# ---------------------------------------------------------------------- lines


class Line(msgspec.Struct, frozen=True, gc=False):
    """An event on its line. Exactly one of `payload` and `payload_base64` is there."""

    sequence: int
    time: str
    writer: str
    salt: str
    payload: str | msgspec.UnsetType = msgspec.UNSET
    payload_base64: str | msgspec.UnsetType = msgspec.UNSET


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)
Content = tuple[str | msgspec.UnsetType, str | msgspec.UnsetType]


def content_of(payload: bytes) -> Content:
    """Return how a payload stands on its line: as text where it is UTF-8, else as base64."""
    try:
        return payload.decode(), msgspec.UNSET
    except UnicodeDecodeError:
        return msgspec.UNSET, base64.b64encode(payload).decode()


def encode_lines(lines: list[Line]) -> bytes:
    """Write lines, each with its line feed, in the one spelling that readers take (JSON.stringify's)."""
    return _encoder.encode_lines(lines)


def decode_lines(block: bytes) -> list[Line]:
    """Read whole lines.

    Raises:
        ValueError: a line is not the one spelling of an event: other members or another order of them,
            spaces, escapes that are not needed, a payload in base64 that is UTF-8, no payload, or two.
    """
    try:
        lines = _decoder.decode_lines(block)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    if _encoder.encode_lines(lines) != block:
        raise ValueError("it has a line that is not written as the format has it")
    return lines


def payload_of(line: Line) -> bytes:
    """Return the event's exact bytes.

    Raises:
        ValueError: none or two payloads are given, or the base64 is not the one spelling of bytes that are
            no UTF-8.
    """
    text, encoded = line.payload, line.payload_base64
    if isinstance(text, str) and encoded is msgspec.UNSET:
        return text.encode()
    if isinstance(encoded, str) and text is msgspec.UNSET:
        return _decode_payload(encoded)
    raise ValueError(f"event {line.sequence} has not one payload")


def _decode_payload(encoded: str) -> bytes:
    try:
        payload = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a payload is not base64") from None
    if content_of(payload)[1] != encoded:
        raise ValueError("a payload in base64 is UTF-8, or is not written in canonical base64")
    return payload
