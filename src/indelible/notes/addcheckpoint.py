"""What a log sends to a witness (C2SP tlog-witness, add-checkpoint).

old <size that the witness cosigned last>
<base64 hash>…       the consistency proof from that size, empty from size 0
                     a blank line
<the checkpoint, a signed note, verbatim>
"""

from typing import NamedTuple

from indelible.notes.strict import NoteError, decode_decimal, decode_hash, decode_text, encode_base64

PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
"""The type of a conflict's answer: the size that the witness cosigned last, and a newline."""

HASHES_MAX = 63


class AddCheckpoint(NamedTuple):
    """A request taken apart and not verified."""

    old_size: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


def format_add(request: AddCheckpoint) -> bytes:
    """Return the body of a request."""
    lines = [f"old {request.old_size}", *map(encode_base64, request.hashes), "", ""]
    return "\n".join(lines).encode() + request.checkpoint


def parse_add(data: bytes) -> AddCheckpoint:
    """Take the body of a request apart; its checkpoint is only cut off.

    Raises:
        NoteError: it differs from the format in anything.
    """
    head, blank, checkpoint = data.partition(b"\n\n")
    if not blank:
        raise NoteError("A request has a blank line before its checkpoint.")
    first, *lines = decode_text(head, "A request").split("\n")
    if not first.startswith("old "):
        raise NoteError("A request begins with `old` and a size.")
    if len(lines) > HASHES_MAX:
        raise NoteError(f"A consistency proof has at most {HASHES_MAX} hashes.")
    old_size = decode_decimal(first.removeprefix("old "), "The old size")
    return AddCheckpoint(
        old_size, tuple(decode_hash(line, "A hash of the proof") for line in lines), checkpoint
    )
