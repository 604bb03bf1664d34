"""What a witness answers to a checkpoint, in the order of C2SP tlog-witness. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from indelible.merkle.hashing import EMPTY_ROOT
from indelible.merkle.proofs import verify_consistency
from indelible.notes.addcheckpoint import AddCheckpoint, parse_add
from indelible.notes.checkpoint import Checkpoint, parse_unrooted
from indelible.notes.keys import Verifier
from indelible.notes.note import Note, NoteSignature, open_note, parse_note
from indelible.notes.strict import NoteError


class Last(NamedTuple):
    """What the witness cosigned last for a log: the head, and the time that it gave (seconds since 1970)."""

    size: int
    root: bytes
    time: int


NEVER = Last(0, EMPTY_ROOT, 0)
"""Stands for a log that was never cosigned: any tree continues the empty one."""


class Refused(NamedTuple):
    """An HTTP status and why; `size` is told with a conflict: what was cosigned last."""

    status: int
    why: str
    size: int | None = None


class Submitted(NamedTuple):
    """A request taken apart: of which log it is, and its note, which nobody has verified yet."""

    request: AddCheckpoint
    note: Note
    checkpoint: Checkpoint


class Fit(NamedTuple):
    """A checkpoint that continues what was cosigned last, with the log's own signatures on it."""

    checkpoint: Checkpoint
    text: str
    signatures: tuple[NoteSignature, ...]


def take_apart(body: bytes) -> Submitted | Refused:
    """Read a request's body."""
    try:
        request = parse_add(body)
        note = parse_note(request.checkpoint)
        return Submitted(request, note, parse_unrooted(note.text))
    except NoteError as error:
        return Refused(400, str(error))


def check_log(submitted: Submitted, verifiers: Sequence[Verifier]) -> tuple[NoteSignature, ...] | Refused:
    """Say whether a trusted key of the log signed, and give its signatures; no keys: it is not known here."""
    if not verifiers:
        return Refused(404, "This witness does not know that log.")
    try:
        return open_note(submitted.request.checkpoint, verifiers).verified
    except NoteError as error:
        return Refused(403, str(error))


def check_growth(submitted: Submitted, last: Last) -> Refused | None:
    """Say why a checkpoint must not follow what was cosigned last; None when it may."""
    (old_size, hashes, _), head = submitted.request, submitted.checkpoint
    if old_size > head.size:
        return Refused(400, f"The old size {old_size} is beyond the checkpoint's, {head.size}.")
    if old_size != last.size:
        return Refused(409, f"{last.size}", last.size)
    if head.size == 0 and head.root != EMPTY_ROOT:
        return Refused(422, "The root of size 0 is SHA-256 of nothing.")
    try:
        verify_consistency(old_size, head.size, last.root, head.root, hashes)
    except ValueError as error:
        return Refused(422, str(error))
    return None


def judge(
    body: bytes, verifiers_of: Callable[[str], Sequence[Verifier]], last_of: Callable[[str], Last]
) -> Fit | Refused:
    """Judge one request.

    Args:
        body: the request's bytes.
        verifiers_of: the trusted keys of an origin, none where it is not known.
        last_of: what was cosigned last for an origin; asked only for a log whose signature is right.
    """
    submitted = take_apart(body)
    if isinstance(submitted, Refused):
        return submitted
    origin = submitted.checkpoint.origin
    signatures = check_log(submitted, verifiers_of(origin))
    if isinstance(signatures, Refused):
        return signatures
    refused = check_growth(submitted, last_of(origin))
    if refused is not None:
        return refused
    return Fit(submitted.checkpoint, submitted.note.text, signatures)
