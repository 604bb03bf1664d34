"""Checking what a server said, without trusting it.

A receipt is a claim: `verify_receipt` shows only that it speaks of this payload. That the event is in the
log follows from a checkpoint signed with the log's key, which has to come from somewhere else than the
server that is being checked.
"""

from collections.abc import Sequence
from uuid import UUID

from indelible.client.errors import NotProved
from indelible.client.results import ConsistencyProof, InclusionProof, Receipt
from indelible.merkle import entry as entries
from indelible.merkle import proofs
from indelible.merkle.hashing import leaf_hash
from indelible.notes.checkpoint import Checkpoint, open_checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.tlogproof import open_extra, parse_tlog_proof


def verify_receipt(receipt: Receipt, payload: bytes) -> bytes:
    """Recompute the leaf of a receipt from the payload, and return the leaf hash.

    Raises:
        NotProved: the receipt speaks of other bytes, or a member of it was changed.
    """
    try:
        entry = entries.Entry(
            receipt.sequence,
            receipt.time_micros,
            UUID(receipt.writer).bytes,
            entries.commitment(bytes.fromhex(receipt.salt), payload),
        )
        leaf = leaf_hash(entries.encode_entry(entry))
    except ValueError as error:
        raise NotProved(f"the receipt is malformed: {error}") from None
    if leaf.hex() != receipt.leaf_hash:
        raise NotProved(f"the receipt of event {receipt.sequence} does not belong to this payload")
    return leaf


def verify_checkpoint(note: bytes | str, key: str) -> Checkpoint:
    """Check a checkpoint's signature and origin against a verifier key (`<origin>+<id>+<base64>`).

    Raises:
        NotProved: it is not signed by that key, or not well formed.
    """
    try:
        checkpoint, _ = open_checkpoint(_bytes(note), Verifier.parse(key))
    except ValueError as error:
        raise NotProved(f"the checkpoint does not hold: {error}") from None
    return checkpoint


def parse_keys(keys: Sequence[str]) -> list[Verifier]:
    """Return the verifiers that verifier keys describe.

    Raises:
        NotProved: one is malformed.
    """
    try:
        return [Verifier.parse(key) for key in keys]
    except ValueError as error:
        raise NotProved(f"a key that was given is malformed: {error}") from None


def verify_inclusion(proof: InclusionProof, leaf: bytes, key: str) -> Checkpoint:
    """Check that `leaf`, the hash that `verify_receipt` gave, is in the log, and return the signed head.

    Raises:
        NotProved: the checkpoint or the proof does not hold.
    """
    checkpoint = verify_checkpoint(proof.checkpoint, key)
    if proof.size != checkpoint.size:
        raise NotProved(f"the proof is for size {proof.size}, its checkpoint for {checkpoint.size}")
    try:
        proofs.verify_inclusion(
            proof.sequence - 1, checkpoint.size, leaf, _hashes(proof.hashes), checkpoint.root
        )
    except ValueError as error:
        raise NotProved(f"event {proof.sequence} is not proved to be in the log: {error}") from None
    return checkpoint


def verify_consistency(proof: ConsistencyProof, older: Checkpoint, key: str) -> Checkpoint:
    """Check that the log of `older`, a checkpoint that was verified before, was only appended to since.

    Raises:
        NotProved: the checkpoint or the proof does not hold, or it is of another log.
    """
    newer = verify_checkpoint(proof.checkpoint, key)
    if newer.origin != older.origin:
        raise NotProved(f"the checkpoints are of two logs: {older.origin} and {newer.origin}")
    try:
        proofs.verify_consistency(older.size, newer.size, older.root, newer.root, _hashes(proof.hashes))
    except ValueError as error:
        raise NotProved(f"size {newer.size} is not proved to continue size {older.size}: {error}") from None
    return newer


def verify_proof(text: bytes | str, payload: bytes, key: str) -> Checkpoint:
    """Check a tlog-proof (`append(..., proof=True)`, a file kept for an auditor) against the payload.

    Raises:
        NotProved: any part of it does not hold.
    """
    try:
        proof = parse_tlog_proof(_bytes(text))
        extra = open_extra(proof)
        committed = entries.decode_entry(extra.entry).commitment == entries.commitment(extra.salt, payload)
        checkpoint = verify_checkpoint(proof.checkpoint, key)
        proofs.verify_inclusion(
            proof.leaf_index, checkpoint.size, leaf_hash(extra.entry), proof.hashes, checkpoint.root
        )
    except NotProved:
        raise
    except ValueError as error:
        raise NotProved(f"the proof does not hold: {error}") from None
    if not committed:
        raise NotProved(f"the proof of event {proof.leaf_index + 1} does not belong to this payload")
    return checkpoint


def _hashes(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
