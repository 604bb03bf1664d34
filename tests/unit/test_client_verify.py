"""Receipts and proofs are believed only when they hold; each changed member is found."""

from uuid import UUID

import msgspec
import pytest
from tests.harness.proved import (
    CHECKPOINT,
    ENTRY,
    KEY,
    LEAF,
    NOTE,
    ORIGIN,
    OTHER,
    PAYLOAD,
    RECEIPT,
    ROOT,
    SALT,
    WRITER,
)

from indelible.client import (
    ConsistencyProof,
    InclusionProof,
    NotProved,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_proof,
    verify_receipt,
)
from indelible.merkle.entry import Entry, encode_entry
from indelible.merkle.hashing import node_hash
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.keys import Signer
from indelible.notes.tlogproof import TlogProof, event_extra, format_tlog_proof


def test_the_entry_is_the_one_of_the_formats() -> None:
    """The bytes written by hand are those that the product writes."""
    assert encode_entry(Entry(1, 1_700_000_000_000_001, WRITER.bytes, ENTRY[33:])) == ENTRY
    assert node_hash(LEAF, OTHER) == ROOT


def test_a_receipt_gives_its_leaf() -> None:
    """With the payload, the receipt recomputes the leaf."""
    assert verify_receipt(RECEIPT, PAYLOAD) == LEAF


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 2},
        {"time": "2023-11-14T22:13:20.000002Z"},
        {"writer": str(UUID(int=1))},
        {"salt": bytes(16).hex()},
        {"salt": "zz"},
        {"leaf_hash": OTHER.hex()},
        {"time": "yesterday"},
    ],
)
def test_a_changed_receipt_is_found(change: dict[str, object]) -> None:
    """Whatever member is changed, the leaf is another."""
    with pytest.raises(NotProved):
        verify_receipt(msgspec.structs.replace(RECEIPT, **change), PAYLOAD)


def test_another_payload_is_found() -> None:
    """A receipt speaks of one payload's exact bytes."""
    with pytest.raises(NotProved):
        verify_receipt(RECEIPT, PAYLOAD + b" ")


def test_inclusion_is_proved_under_the_key_only() -> None:
    """The proof holds under the log's key; another key, leaf, place or size does not do."""
    proof = InclusionProof(sequence=1, size=2, leaf_hash=LEAF.hex(), hashes=[OTHER.hex()], checkpoint=NOTE)
    assert verify_inclusion(proof, LEAF, KEY) == CHECKPOINT
    stranger = Signer(ORIGIN, bytes(32)).verifier.vkey
    for wrong, leaf, key in (
        (proof, LEAF, stranger),
        (proof, OTHER, KEY),
        (msgspec.structs.replace(proof, sequence=2), LEAF, KEY),
        (msgspec.structs.replace(proof, size=3), LEAF, KEY),
        (msgspec.structs.replace(proof, hashes=[]), LEAF, KEY),
        (msgspec.structs.replace(proof, hashes=["zz"]), LEAF, KEY),
    ):
        with pytest.raises(NotProved):
            verify_inclusion(wrong, leaf, key)


def test_consistency_binds_two_heads() -> None:
    """The newer head continues the older one; a rewritten log, or another one, does not."""
    older = Checkpoint(ORIGIN, 1, LEAF)
    proof = ConsistencyProof(hashes=[OTHER.hex()], checkpoint=NOTE)
    assert verify_consistency(proof, older, KEY) == CHECKPOINT
    for wrong in (Checkpoint(ORIGIN, 1, OTHER), Checkpoint("elsewhere.example/logs/x", 1, LEAF)):
        with pytest.raises(NotProved):
            verify_consistency(proof, wrong, KEY)


def test_a_kept_proof_is_enough() -> None:
    """A tlog-proof, the payload and the key prove the event without any server."""
    text = format_tlog_proof(
        TlogProof(extra=event_extra(ENTRY, SALT), leaf_index=0, hashes=(OTHER,), checkpoint=NOTE.encode())
    )
    assert verify_proof(text, PAYLOAD, KEY) == CHECKPOINT
    with pytest.raises(NotProved, match="not what event 1 says"):
        verify_proof(text, PAYLOAD + b" ", KEY)
    with pytest.raises(NotProved):
        verify_proof(text.replace(b"index 0", b"index 1"), PAYLOAD, KEY)


def test_a_checkpoint_needs_its_signature() -> None:
    """Without the log's signature a checkpoint is only text."""
    unsigned = NOTE[: NOTE.index("\n\n") + 2] + "\u2014 someone else AAAA\n"
    with pytest.raises(NotProved):
        verify_checkpoint(unsigned, KEY)
