"""Examining the proof that a log's head stands in its deployment's log of heads (`deployment.json`)."""

from collections.abc import Sequence

import msgspec

from indelible.client.claims import Claim, check_signature, when
from indelible.merkle import entry as entries
from indelible.merkle import proofs
from indelible.merkle.hashing import leaf_hash
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.names import HEAD_EVENT
from indelible.model.types import SERVER_WRITER
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.note import parse_note
from indelible.notes.statements import KeyHistory
from indelible.notes.tlogproof import EventExtra, TlogProof, open_extra, parse_tlog_proof

_ROOT_HEX = 64


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    origin: str
    size: int
    root: str


class _Deployment(msgspec.Struct):
    event: str
    proof: str


def is_deployment(data: bytes) -> bool:
    """Say whether a JSON file claims to be such a proof: a receipt has no `event`."""
    try:
        msgspec.json.decode(data, type=_Deployment)
    except (ValueError, RecursionError):
        return False
    return True


def listed_head(data: bytes) -> Checkpoint:
    """Return the head that the file says is listed, not verified: to compare with another file's.

    Raises:
        ValueError: the file is malformed.
    """
    return _head(msgspec.json.decode(data, type=_Deployment).event)


def _head(event: str) -> Checkpoint:
    head = msgspec.json.decode(event, type=_Head)
    if head.type != HEAD_EVENT or len(head.root) != _ROOT_HEX or head.size < 0:
        raise ValueError("the event lists no head")
    return Checkpoint(head.origin, head.size, bytes.fromhex(head.root))


def examine_deployment(data: bytes, trusted: Sequence[KeyHistory]) -> list[Claim]:
    """Examine such a proof: whose head is listed, under which head of the log of heads, signed by whom."""
    if len(data) > DEFAULT_LIMITS.tlog_proof_bytes * 2:  # its proof, with escapes
        return [Claim("refuted", "The proof is malformed: it is too long.")]
    try:
        found = msgspec.json.decode(data, type=_Deployment)
        listed = _head(found.event)
        proof = parse_tlog_proof(found.proof.encode())
        extra = open_extra(proof)
        top = parse_checkpoint(parse_note(proof.checkpoint).text)
    except (ValueError, RecursionError) as error:
        return [Claim("refuted", f"The proof is malformed: {error}")]
    return [
        check_signature(proof.checkpoint, top, trusted),
        _stands(found.event, listed, proof, extra, top),
    ]


def _stands(event: str, listed: Checkpoint, proof: TlogProof, extra: EventExtra, top: Checkpoint) -> Claim:
    says = (
        f"the head of {listed.size} events of {listed.origin}, root {listed.root.hex()}, stands in the log of"
        f" heads {top.origin}"
    )
    if listed.origin.rpartition("/logs/")[0] != top.origin.rpartition("/logs/")[0]:
        return Claim("refuted", f"It is not proved that {says}: they are of two deployments.")
    try:
        entry = entries.decode_entry(extra.entry)
        if entry.commitment != entries.commitment(extra.salt, event.encode()):
            return Claim("refuted", f"It is not proved that {says}: the event says something else.")
        if entry.writer != SERVER_WRITER.bytes:
            return Claim("refuted", f"It is not proved that {says}: the server did not write that event.")
        proofs.verify_inclusion(proof.leaf_index, top.size, leaf_hash(extra.entry), proof.hashes, top.root)
    except ValueError as error:
        return Claim("refuted", f"It is not proved that {says}: {error}")
    return Claim("proved", f"{says[:1].upper()}{says[1:]} since {when(entry.time)}.")
