"""Proof of one event as text (C2SP tlog-proof, version 1).

    c2sp.org/tlog-proof@v1
    extra <base64>
    index <n>
    <base64 hash>…       the leaf's sibling first
                         a blank line
    <the checkpoint, a signed note, verbatim>

Our `extra` is the entry, 65 bytes, and the salt, 16 bytes: with the event's payload they give the leaf. It
is not authenticated by itself; only an entry whose leaf hash the inclusion proof leads to the root is.
"""

from typing import NamedTuple

from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.note import parse_note
from indelible.notes.strict import (
    NoteError,
    decode_base64,
    decode_decimal,
    decode_hash,
    decode_text,
    encode_base64,
)

HEADER = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 63
"""An inclusion proof in a tree of under 2^63 leaves has at most as many hashes."""

ENTRY_BYTES = 65
SALT_BYTES = 16
_ENTRY_VERSION = 1
_SEQUENCE = slice(1, 9)


class TlogProof(NamedTuple):
    """A proof taken apart and not verified; `leaf_index` counts from 0."""

    extra: bytes | None
    leaf_index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


class EventExtra(NamedTuple):
    """What our `extra` holds: the entry's 65 bytes and the salt's 16."""

    entry: bytes
    salt: bytes


def format_tlog_proof(proof: TlogProof) -> bytes:
    """Return the text of a proof; `parse_tlog_proof` reads it back.

    Raises:
        NoteError: when `parse_tlog_proof` would refuse the text or read something else from it.
    """
    extra = [] if proof.extra is None else [f"extra {encode_base64(proof.extra)}"]
    lines = [HEADER, *extra, f"index {proof.leaf_index}", *map(encode_base64, proof.hashes), "", ""]
    data = "\n".join(lines).encode() + proof.checkpoint
    if parse_tlog_proof(data) != proof:
        raise NoteError("That proof would not be read as it was written.")
    return data


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Take a proof apart without verifying it; its checkpoint has the form of one, and covers the index.

    Raises:
        NoteError: when it is over the limit (`tlog_proof_bytes`) or differs from the format in anything.
    """
    if len(data) > DEFAULT_LIMITS.tlog_proof_bytes:
        raise NoteError(f"A proof has at most {DEFAULT_LIMITS.tlog_proof_bytes} bytes.")
    head, blank, checkpoint = data.partition(b"\n\n")
    if not blank:
        raise NoteError("A proof has a blank line before its checkpoint.")
    header, *lines = decode_text(head, "A proof").split("\n")
    if header != HEADER:
        raise NoteError(f"A proof begins with the line {HEADER}.")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), "The extra data of a proof")
    if not lines or not lines[0].startswith("index "):
        raise NoteError("A proof has an index line.")
    leaf_index = decode_decimal(lines[0].removeprefix("index "), "The index of a proof")
    if len(lines) - 1 > HASHES_MAX:
        raise NoteError(f"A proof has at most {HASHES_MAX} hashes.")
    hashes = tuple(decode_hash(line, "A hash of a proof") for line in lines[1:])
    if leaf_index >= parse_checkpoint(parse_note(checkpoint).text).size:
        raise NoteError("The checkpoint of that proof does not reach its index.")
    return TlogProof(extra, leaf_index, hashes, checkpoint)


def event_extra(entry: bytes, salt: bytes) -> bytes:
    """Return entry[65] || salt[16].

    Raises:
        NoteError: when a length is wrong.
    """
    if (len(entry), len(salt)) != (ENTRY_BYTES, SALT_BYTES):
        raise NoteError(f"An entry has {ENTRY_BYTES} bytes and a salt {SALT_BYTES}.")
    return entry + salt


def open_extra(proof: TlogProof) -> EventExtra:
    """Return entry and salt out of a proof of one of our events.

    Raises:
        NoteError: when they are missing, have another length or version, or the entry's sequence is not
            the proof's index plus 1.
    """
    extra = proof.extra
    if extra is None or len(extra) != ENTRY_BYTES + SALT_BYTES:
        raise NoteError(f"The extra data is an entry of {ENTRY_BYTES} bytes and a salt of {SALT_BYTES}.")
    if extra[0] != _ENTRY_VERSION:
        raise NoteError(f"The entry has version {extra[0]}, not {_ENTRY_VERSION}.")
    if int.from_bytes(extra[_SEQUENCE], "big") != proof.leaf_index + 1:
        raise NoteError("The entry's sequence is not the proof's index plus 1.")
    return EventExtra(extra[:ENTRY_BYTES], extra[ENTRY_BYTES:])
