"""Files that claim that a head stands in a log of heads: only the true one is proved, whatever is changed."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.witnesses import MemoryLog

from indelible.client.errors import NotProved
from indelible.client.examine import examine, examine_with
from indelible.client.examine_deployment import listed_head
from indelible.client.trust import trust
from indelible.merkle.entry import Entry, commitment, encode_entry
from indelible.merkle.hashing import leaf_hash
from indelible.merkle.proofs import inclusion_proof
from indelible.model.types import SERVER_WRITER
from indelible.notes.cosignature import Cosigner
from indelible.notes.note import add_signatures, parse_note
from indelible.notes.tlogproof import TlogProof, event_extra, format_tlog_proof

SALT = b"s" * 16
WITNESSES = [Cosigner(f"w{n}.example", bytes([n + 1]) * 32) for n in range(3)]
TOP = MemoryLog("x.example/logs/heads")
ORIGIN = "x.example/logs/one"


def file_of(
    origin: str = ORIGIN, writer: bytes = SERVER_WRITER.bytes, cosigners: int = 2, **changes: Any
) -> bytes:
    """A true file, but for what is changed in it: one of five heads that are listed."""
    event = json.dumps(
        {"type": "indelible.head", "origin": origin, "size": 7, "root": "ab" * 32, **changes},
        separators=(",", ":"),
    )
    entry = encode_entry(Entry(3, 1_700_000_000_000_000, writer, commitment(SALT, event.encode())))
    top = MemoryLog(TOP.signer.name)
    top.grow(b"1", b"2", leaf_hash(entry), b"4", b"5")
    hashes = inclusion_proof(2, 5, top._hashes)
    note = top.checkpoint()
    lines = [one.cosign(parse_note(note).text, 1_800_000_000) for one in WITNESSES[:cosigners]]
    proof = format_tlog_proof(TlogProof(event_extra(entry, SALT), 2, hashes, add_signatures(note, lines)))
    return json.dumps({"event": event, "size": 7, "proof": proof.decode()}).encode()


def verdict(data: bytes) -> str:
    """What comes of examining a file with the key of the log of heads."""
    return examine(data, None, [TOP.vkey]).verdict


def test_the_true_file_is_proved() -> None:
    """And without the key, its signature alone is unproved."""
    examined = examine(file_of(), None, [TOP.vkey])
    assert (examined.kind, examined.verdict) == ("deployment", "proved")
    assert "the head of 7 events of x.example/logs/one" in examined.claims[1].says.lower()
    assert [claim.verdict for claim in examine(file_of(), None, []).claims] == ["unproved", "proved"]
    assert listed_head(file_of())[:2] == (ORIGIN, 7)


@pytest.mark.parametrize(
    "data",
    [
        file_of(origin="y.example/logs/one"),  # of another deployment
        file_of(writer=b"w" * 16),  # an event that somebody appended
        file_of(type="indelible.heads"),
        file_of(root="ab"),
        file_of(root="zz" * 32),
        file_of(size=-1),
        file_of(size="7"),
        file_of(more=1),
        file_of().replace(b"index 2", b"index 3"),
        file_of().replace(b"7,", b"8,", 1),
    ],
)
def test_what_says_something_else_is_refuted(data: bytes) -> None:
    """Another deployment's log, another writer, another event: none of it passes for the claim."""
    assert verdict(data) == "refuted"


@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    """Any byte of the event or of the proof changed: never proved, and never an error of ours."""
    members = json.loads(file_of())
    name = data.draw(st.sampled_from(["event", "proof"]))
    text = members[name]
    log_signed = text.index("\n\u2014 w0.example") if name == "proof" else len(text)
    at = data.draw(st.integers(0, log_signed - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda one: one != text[at]))
    members[name] = text[:at] + other + text[at + 1 :]
    with suppress(NotProved):
        assert verdict(json.dumps(members).encode()) != "proved"


@pytest.mark.parametrize(
    ("keys", "quorum", "expected"),
    [((0, 1), None, "proved"), ((0, 2), 1, "proved"), ((0, 2), None, "unproved"), ((0, 1, 2), 3, "unproved")],
)
def test_cosignatures_count_towards_a_quorum(
    keys: tuple[int, ...], quorum: int | None, expected: str
) -> None:
    """All of the witnesses given, or so many of them; one that is missing makes nothing wrong."""
    data = file_of()
    trusted = [WITNESSES[at].verifier.vkey for at in keys]
    examined = examine_with(data, None, trust([TOP.vkey], (), trusted, quorum))
    assert examined.verdict == expected
    assert any("cosigned the head of 5 events at 2027-01-15T08:00:00Z" in c.says for c in examined.claims)


def test_one_witness_is_not_two() -> None:
    """The same key twice, or under two names, is refused; so is a file without a checkpoint."""
    data, key = file_of(), WITNESSES[0].verifier.vkey
    twice = [key, Cosigner("other.example", b"\1" * 32).verifier.vkey]
    for keys in ([key, key], twice, [TOP.vkey], ["nonsense"]):
        with pytest.raises(NotProved):
            examine_with(data, None, trust([TOP.vkey], (), keys))
    with pytest.raises(NotProved):
        examine_with(b'{"sequence": 1}', None, trust([TOP.vkey], (), [key]))


def test_a_checkpoint_is_a_file_of_its_own() -> None:
    """A bare checkpoint is examined: its log's signature, and its cosignatures."""
    note = TOP.checkpoint()
    examined = examine(note, None, [TOP.vkey])
    assert (examined.kind, examined.verdict) == ("checkpoint", "proved")
    assert examine(note, None, [MemoryLog(TOP.signer.name, b"o" * 32).vkey]).verdict != "proved"
