"""Notes, checkpoints, keys and proofs read back as they were written, and no other bytes read as them."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import assume, given
from hypothesis import strategies as st

from indelible.notes.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from indelible.notes.cosignature import CosignatureVerifier, Cosigner, parse_verifier
from indelible.notes.keys import Signer, Verifier
from indelible.notes.note import Note, NoteSignature, format_note, open_note, parse_note, sign_note
from indelible.notes.strict import NoteError
from indelible.notes.tlogproof import TlogProof, format_tlog_proof, parse_tlog_proof

Parsed = TypeVar("Parsed")
LOG = Signer("a.example/logs/1", bytes(32))

characters = st.characters(exclude_categories=("Cc", "Cs"))
names = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Z"), exclude_characters="+"), min_size=1, max_size=20
)
lines = st.text(characters, min_size=1, max_size=30)
texts = st.lists(st.text(characters, max_size=10), min_size=1, max_size=6).map(
    lambda parts: "\n".join(parts) + "\n"
)
hashes = st.binary(min_size=32, max_size=32)
signatures = st.builds(
    NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=90)
)
checkpoints = st.builds(
    Checkpoint, lines, st.integers(1, (1 << 63) - 1), hashes, st.lists(lines, max_size=2).map(tuple)
)


@given(text=texts, signed=st.lists(signatures, min_size=1, max_size=4))
def test_a_note_reads_back(text: str, signed: list[NoteSignature]) -> None:
    """Any text and signatures come back from the note's bytes."""
    note = Note(text, tuple(signed))
    assert parse_note(format_note(note)) == note


@given(text=texts, seeds=st.sets(hashes, min_size=1, max_size=3))
def test_a_signed_note_opens(text: str, seeds: set[bytes]) -> None:
    """Whatever is signed by any keys opens with all of them and with each alone."""
    signers = [Signer("same.name", seed) for seed in seeds]
    data = sign_note(text, signers)
    assert len(open_note(data, [signer.verifier for signer in signers]).verified) == len(signers)
    for signer in signers:
        assert open_note(data, [signer.verifier]).text == text


@given(checkpoint=checkpoints)
def test_a_checkpoint_reads_back(checkpoint: Checkpoint) -> None:
    """Origin, size, root and extension lines come back from the text."""
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@given(name=names, key=hashes)
def test_a_verifier_key_reads_back(name: str, key: bytes) -> None:
    """Keys of both types come back from their verifier keys, each as its own type."""
    for verifier in (Verifier(name, key), CosignatureVerifier(name, key)):
        assert parse_verifier(verifier.vkey) == verifier


@given(text=texts, seed=hashes, time=st.integers(0, (1 << 63) - 1))
def test_a_cosignature_verifies(text: str, seed: bytes, time: int) -> None:
    """A witness's line over any text at any time verifies with its key."""
    witness = Cosigner("w.example", seed)
    assert witness.verifier.verify(text, witness.cosign(text, time).signature)


@given(
    extra=st.none() | st.binary(max_size=100),
    size=st.integers(1, 1 << 40),
    nodes=st.lists(hashes, max_size=63),
)
def test_a_proof_reads_back(extra: bytes | None, size: int, nodes: list[bytes]) -> None:
    """Extra data (also none, also empty), index, hashes and checkpoint come back from the text."""
    note = sign_checkpoint(Checkpoint(LOG.name, size, bytes(32)), LOG)
    proof = TlogProof(extra, size - 1, tuple(nodes), note)
    assert parse_tlog_proof(format_tlog_proof(proof)) == proof


@given(place=st.integers(0), new=st.integers(0, 255), kind=st.sampled_from(["replace", "insert", "delete"]))
def test_no_changed_byte_of_a_checkpoint_opens_as_the_same_claim(place: int, new: int, kind: str) -> None:
    """A changed, added or missing byte anywhere is refused: every byte counts."""
    data = sign_checkpoint(Checkpoint(LOG.name, 1_234, bytes(range(32))), LOG)
    at = place % len(data)
    changed = data[:at] + (b"" if kind == "delete" else bytes([new])) + data[at + (kind != "insert") :]
    assume(changed != data)
    try:
        open_checkpoint(changed, LOG.verifier)
    except NoteError:
        return
    raise AssertionError(f"opened: {changed!r}")


def attempt(parse: Callable[[bytes], Parsed], data: bytes) -> Parsed | None:
    """What `parse` reads from the bytes, None where it refuses them."""
    try:
        return parse(data)
    except NoteError:
        return None


@given(
    data=st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_read_exactly_or_refused(data: bytes) -> None:
    """Whatever parses is written back as the same bytes: there is one spelling."""
    for prefix in (b"", b"text\n\n\xe2\x80\x94 a ", b"c2sp.org/tlog-proof@v1\nindex 0\n"):
        given_bytes = prefix + data
        note, proof = attempt(parse_note, given_bytes), attempt(parse_tlog_proof, given_bytes)
        assert note is None or format_note(note) == given_bytes
        assert proof is None or format_tlog_proof(proof) == given_bytes
