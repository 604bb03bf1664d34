"""Checking what a server said, without trusting it.

A receipt is a claim: `verify_receipt` shows only that it speaks of this payload. That the event is in the
log follows from a checkpoint signed with the log's key, which has to come from somewhere else than the
server that is being checked.
"""

from uuid import UUID

import msgspec

from indelible.client.errors import NotProved
from indelible.client.examine_proof import OpenedProof, examine_proof, open_proof
from indelible.client.results import ConsistencyProof, InclusionProof, Receipt
from indelible.client.trust import Trusted, history_of
from indelible.merkle import entry as entries
from indelible.merkle import proofs
from indelible.merkle.hashing import leaf_hash
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.statements import open_checkpoint_with


def read_receipt(data: bytes) -> Receipt:
    """Read a receipt as an append answered it; nothing of it is checked.

    Raises:
        NotProved: it is malformed, or too long.
    """
    if len(data) > DEFAULT_LIMITS.tlog_proof_bytes * 2:  # its proof, with escapes
        raise NotProved("the receipt is malformed: it is too long")
    try:
        return msgspec.json.decode(data, type=Receipt)
    except (ValueError, RecursionError) as error:
        raise NotProved(f"the receipt is malformed: {error}") from None


def is_of(opened: OpenedProof, receipt: Receipt) -> bool:
    """Whether a proof is of the event that a receipt speaks of; whether either is right is not looked at."""
    return leaf_hash(opened.extra.entry).hex() == receipt.leaf_hash and opened.head.origin == receipt.origin


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


def verify_checkpoint(note: bytes | str, key: Trusted) -> Checkpoint:
    """Check a checkpoint's signature and origin against a verifier key (`<origin>+<id>+<base64>`).

    With a history (`key_history`) in place of a key, it is the log's key for that size that must have signed.

    Raises:
        NotProved: it is not signed by that key, or not well formed.
    """
    try:
        checkpoint, _ = open_checkpoint_with(history_of(key), _bytes(note))
    except ValueError as error:
        raise NotProved(f"the checkpoint does not hold: {error}") from None
    return checkpoint


def verify_inclusion(proof: InclusionProof, leaf: bytes, key: Trusted) -> Checkpoint:
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


def verify_consistency(proof: ConsistencyProof, older: Checkpoint, key: Trusted) -> Checkpoint:
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


def verify_proof(text: bytes | str, payload: bytes, key: Trusted) -> Checkpoint:
    """Check a tlog-proof (`append(..., proof=True)`, a file kept for an auditor) against the payload.

    Raises:
        NotProved: any part of it does not hold.
    """
    try:
        opened, history = open_proof(_bytes(text)), history_of(key)
    except ValueError as error:
        raise NotProved(f"the proof does not hold: {error}") from None
    for claim in examine_proof(opened, payload, [history]):
        if claim.verdict != "proved":
            raise NotProved(claim.says)
    return opened.head


def _hashes(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
