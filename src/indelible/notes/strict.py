"""Reading text exactly: one spelling for each value, or a refusal.

What notes and proofs say is hashed, signed and compared as bytes, so a reader that takes two spellings for
one value would let two files claim the same thing.
"""

import base64
import binascii
import re

HASH_BYTES = 32
U63_END = 1 << 63

_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z", re.ASCII)
HEX_DIGEST = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
"""A SHA-256 in lower-case hex."""

_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class NoteError(ValueError):
    """A note, key or proof that is malformed or does not verify; the message says what is wrong."""


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str, what: str) -> bytes:
    """Return the bytes that `text` writes in standard base64 with padding, zero in its unused bits.

    Raises:
        NoteError: naming `what`.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"{what} is not base64.") from error
    if encode_base64(data) != text:
        raise NoteError(f"{what} is not written in canonical base64.")
    return data


def decode_hash(text: str, what: str) -> bytes:
    """Return the 32 bytes that `text` writes in base64.

    Raises:
        NoteError: naming `what`.
    """
    data = decode_base64(text, what)
    if len(data) != HASH_BYTES:
        raise NoteError(f"{what} has {HASH_BYTES} bytes, not {len(data)}.")
    return data


def decode_decimal(text: str, what: str) -> int:
    """Return the number that `text` writes: ASCII digits, no leading zeroes, under 2^63.

    Raises:
        NoteError: naming `what`.
    """
    if not _DECIMAL.match(text) or int(text) >= U63_END:
        raise NoteError(f"{what} is not a decimal number under 2^63 without leading zeroes.")
    return int(text)


def check_text(text: str, what: str) -> str:
    """Return `text` when it can stand in a note: UTF-8, no control characters but the newline.

    C2SP forbids those below U+0020; the others (U+007F to U+009F) can steer a terminal that shows a note
    and are refused too.

    Raises:
        NoteError: naming `what`.
    """
    if _FORBIDDEN.search(text):
        raise NoteError(f"{what} has a control character or half of a surrogate pair.")
    return text


def decode_text(data: bytes, what: str) -> str:
    """Return `data` as text that can stand in a note.

    Raises:
        NoteError: when it is not UTF-8, or `check_text` refuses it.
    """
    try:
        return check_text(data.decode("utf-8"), what)
    except UnicodeDecodeError as error:
        raise NoteError(f"{what} is not UTF-8.") from error


def lines_of(text: str, what: str) -> list[str]:
    """Return the lines of a text that ends with a newline, without their newlines.

    Raises:
        NoteError: when the last line is not ended.
    """
    if not text.endswith("\n"):
        raise NoteError(f"{what} does not end with a newline.")
    return text[:-1].split("\n")
