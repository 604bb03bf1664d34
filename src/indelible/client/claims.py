"""What comes of examining a file: claims, each with its verdict, in sentences for an auditor."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from indelible.model.instants import format_micros
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.note import open_note
from indelible.notes.statements import KeyHistory
from indelible.notes.strict import NoteError

Verdict = Literal["proved", "unproved", "refuted", "stated"]
"""`stated`: somebody's word, told as such; it is no part of what is to be proved."""


class Claim(NamedTuple):
    """One thing that a file claims, and what came of it."""

    verdict: Verdict
    says: str


def when(micros: int) -> str:
    """Write a time that a file claims, whatever number it is."""
    try:
        return format_micros(micros)
    except OverflowError:
        return f"{micros} µs after 1970"


def check_signature(note: bytes, head: Checkpoint, trusted: Sequence[KeyHistory]) -> Claim:
    """Check that a head is signed with a trusted key of its own log."""
    return check_signed(note, head, trusted, f"its head of {head.size} events")


def check_signed(note: bytes, head: Checkpoint, trusted: Sequence[KeyHistory], what: str) -> Claim:
    """Check that a note about a head is signed with a trusted key of its log, the one for its size."""
    origin, size = head.origin, head.size
    named = [key for key in trusted if key.name == origin]
    if not named:
        why = "no key was given" if not trusted else "none of the keys given has its name"
        return Claim("unproved", f"That {origin} signed {what} was not checked: {why}.")
    wrong: ValueError | None = None
    for key in named:
        try:
            verified = open_note(note, key.verifiers).verified
            signer = key.key_for(size)
            if not any(item.key_id == signer.key_id for item in verified):
                raise NoteError(f"the key {signer.key_id.hex()} signs there, and did not.")
        except ValueError as error:
            wrong = error
        else:
            return Claim("proved", f"{origin} signed {what} with the key {signer.key_id.hex()}.")
    return Claim("refuted", f"{origin} did not sign {what}: {wrong}")
