"""What comes of examining a file: claims, each with its verdict, in sentences for an auditor."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from indelible.model.instants import format_micros
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.statements import KeyHistory, open_checkpoint_with

Verdict = Literal["proved", "unproved", "refuted"]


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


def check_signature(note: bytes, head: Checkpoint, trusted: Sequence[Verifier | KeyHistory]) -> Claim:
    """Check that a head is signed with a trusted key of its own log."""
    named = [key for key in trusted if key.name == head.origin]
    if not named:
        why = "no key was given" if not trusted else "none of the keys given has its name"
        return Claim(
            "unproved", f"That {head.origin} signed its head of {head.size} events was not checked: {why}."
        )
    wrong: ValueError | None = None
    for key in named:
        try:
            history = key if isinstance(key, KeyHistory) else KeyHistory.only(key)
            open_checkpoint_with(history, note)
            signer = history.key_for(head.size)
        except ValueError as error:
            wrong = error
        else:
            says = f"{head.origin} signed its head of {head.size} events with the key {signer.key_id.hex()}."
            return Claim("proved", says)
    return Claim("refuted", f"The head is not signed by {head.origin}: {wrong}")
