"""Whether witnesses cosigned the checkpoint that a file leads to: claims of their own, beside the log's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from indelible.client.claims import Claim
from indelible.client.errors import NotProved
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.cosignature import CosignatureVerifier, cosignature_time
from indelible.notes.note import Note, NoteSignature, parse_note
from indelible.notes.tlogproof import HEADER, parse_tlog_proof


def parse_witnesses(keys: Sequence[str]) -> list[CosignatureVerifier]:
    """Read verifier keys of witnesses.

    Raises:
        NotProved: one is malformed, or stands there twice: one witness would count as two.
    """
    try:
        witnesses = [CosignatureVerifier.parse(key) for key in keys]
    except ValueError as error:
        raise NotProved(f"a witness's key that was given is malformed: {error}") from None
    if len({witness.public_key for witness in witnesses}) < len(witnesses):
        raise NotProved("a witness's key was given twice, so one witness would count as two")
    return witnesses


def checkpoint_of(data: bytes) -> bytes:
    """Return the checkpoint, a signed note, that a proof, a range or a receipt leads to, or that a file is.

    Raises:
        NotProved: there is none in it.
    """
    try:
        if data.startswith(HEADER.encode()):
            return parse_tlog_proof(data).checkpoint
        if data.lstrip()[:1] != b"{":
            parse_checkpoint(parse_note(data).text)
            return data
        members: Any = msgspec.json.decode(data)
        if isinstance(members.get("checkpoint"), str):
            return bytes(members["checkpoint"].encode())
        return parse_tlog_proof(members["proof"].encode()).checkpoint
    except (ValueError, KeyError, AttributeError, RecursionError):
        raise NotProved("there is no checkpoint in that file that a witness could have cosigned") from None


def check_cosignatures(
    note: bytes, witnesses: Sequence[CosignatureVerifier], quorum: int | None = None
) -> list[Claim]:
    """Check which witnesses cosigned a checkpoint.

    Args:
        note: the checkpoint. The log's own signature on it is not looked at here.
        witnesses: keys that are trusted.
        quorum: how many of them suffice; None: all.

    Returns:
        A claim for each of them that cosigned, or wrongly claims to have; and one that says whether they
        are enough, which is unproved where they are not.
    """
    try:
        opened = parse_note(note)
        head = parse_checkpoint(opened.text)
    except ValueError as error:
        return [Claim("refuted", f"The checkpoint is malformed: {error}")]
    needed = len(witnesses) if quorum is None else quorum
    claims = [claim for witness in witnesses for claim in _by(witness, opened, head.size)]
    count = sum(claim.verdict == "proved" for claim in claims)
    says = f"{count} of the {len(witnesses)} witnesses given cosigned the head of {head.size} events"
    if count >= needed:
        return [*claims, Claim("proved", f"{says}; {needed} are needed.")]
    return [*claims, Claim("unproved", f"{says}, and {needed} are needed.")]


def _by(witness: CosignatureVerifier, note: Note, size: int) -> list[Claim]:
    own = [line for line in note.signatures if (line.name, line.key_id) == (witness.name, witness.key_id)]
    if not own:
        return []
    if not all(witness.verify(note.text, line.signature) for line in own):
        return [Claim("refuted", f"The cosignature that bears the name of {witness.name} is not its own.")]
    return [Claim("proved", f"{witness.name} cosigned the head of {size} events at {_time(own[0])}.")]


def _time(line: NoteSignature) -> str:
    seconds = cosignature_time(line)
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s after 1970"
