"""Examining the proof of one event (C2SP tlog-proof)."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from indelible.client.claims import Claim, check_signature, when
from indelible.merkle import entry as entries
from indelible.merkle import proofs
from indelible.merkle.hashing import leaf_hash
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.note import parse_note
from indelible.notes.statements import KeyHistory
from indelible.notes.tlogproof import EventExtra, TlogProof, open_extra, parse_tlog_proof


class OpenedProof(NamedTuple):
    """A proof taken apart, and not verified."""

    proof: TlogProof
    extra: EventExtra
    event: entries.Entry
    head: Checkpoint


def open_proof(data: bytes) -> OpenedProof:
    """Take a proof apart; raises ValueError where it is malformed."""
    proof = parse_tlog_proof(data)
    extra = open_extra(proof)
    head = parse_checkpoint(parse_note(proof.checkpoint).text)
    return OpenedProof(proof, extra, entries.decode_entry(extra.entry), head)


def examine_proof(opened: OpenedProof, payload: bytes | None, trusted: Sequence[KeyHistory]) -> list[Claim]:
    """Examine a proof and, where it is at hand, the event's bytes."""
    return [
        check_signature(opened.proof.checkpoint, opened.head, trusted),
        _inclusion(opened),
        _content(payload, opened.event, opened.extra.salt),
    ]


def _inclusion(opened: OpenedProof) -> Claim:
    proof, event, head = opened.proof, opened.event, opened.head
    says = f"event {event.sequence}, received {when(event.time)} from the key {UUID(bytes=event.writer)}"
    leaf = leaf_hash(opened.extra.entry)
    try:
        proofs.verify_inclusion(proof.leaf_index, head.size, leaf, proof.hashes, head.root)
    except ValueError as error:
        return Claim("refuted", f"It is not proved that {says}, is under that head: {error}")
    return Claim("proved", f"Under that head stands {says}.")


def _content(payload: bytes | None, event: entries.Entry, salt: bytes) -> Claim:
    if payload is None:
        return Claim("unproved", "What the event says was not checked: its bytes were not given.")
    if entries.commitment(salt, payload) != event.commitment:
        return Claim("refuted", f"The {len(payload)} bytes given are not what event {event.sequence} says.")
    return Claim(
        "proved", f"The {len(payload)} bytes given are what event {event.sequence} says, byte for byte."
    )
