"""What a witness answers, case by case, in the order of C2SP tlog-witness."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.harness.logs import naive_root
from tests.harness.witnesses import MemoryLog

from indelible.notes.addcheckpoint import AddCheckpoint, format_add, parse_add
from indelible.notes.checkpoint import Checkpoint, parse_unrooted
from indelible.notes.cosignature import Cosigner, parse_cosigner_key
from indelible.notes.keys import Verifier
from indelible.notes.note import Note, NoteSignature, add_signatures, format_note, parse_note
from indelible.notes.strict import NoteError, encode_base64
from indelible.witness.judge import NEVER, Fit, Last, Refused, judge

LOG = MemoryLog().grow(*(bytes([n]) for n in range(65, 75)))


def last(size: int, log: MemoryLog = LOG) -> Last:
    """As if the witness had cosigned that size of a log."""
    return Last(size, naive_root(log.leaves[:size]), 1) if size else NEVER


def ask(body: bytes, seen: Last, known: Sequence[Verifier] = (LOG.signer.verifier,)) -> Fit | Refused:
    """Judge a request for a log whose keys are known."""
    return judge(body, lambda origin: [key for key in known if key.name == origin], lambda _: seen)


def status(body: bytes, seen: Last, known: Sequence[Verifier] = (LOG.signer.verifier,)) -> int:
    """The status of the answer."""
    found = ask(body, seen, known)
    return found.status if isinstance(found, Refused) else 200


@pytest.mark.parametrize("old", range(11))
@pytest.mark.parametrize("size", range(11))
def test_growth_alone_is_cosigned(old: int, size: int) -> None:
    """Every size that continues every other is taken, the same size again too; a smaller one is not."""
    assert status(LOG.request(min(old, size), size), last(old)) == (200 if size >= old else 409)


def test_a_wrong_old_size_is_told_the_right_one() -> None:
    """409 names what was cosigned last, whatever the proof."""
    found = ask(LOG.request(0, 9), last(7))
    assert found == Refused(409, "7", 7)
    assert status(LOG.request(5, 9), last(7)) == 409
    assert status(LOG.request(5, 9), NEVER) == 409


def test_another_history_is_not_cosigned() -> None:
    """A fork that its own key signed: no proof of it begins at what was cosigned."""
    fork = MemoryLog().grow(b"A", b"B", b"other", b"D", b"E", b"F")
    assert fork.vkey == LOG.vkey
    assert status(fork.request(4, 6), last(4)) == 422
    assert status(fork.request(2, 6), last(2)) == 200  # the two are one up to here
    assert status(fork.request(6, 6), last(6)) == 422  # two roots of one size


def change(body: bytes, **parts: Any) -> bytes:
    """A request with some parts replaced."""
    return format_add(parse_add(body)._replace(**parts))


def test_proofs_are_checked_to_the_bit() -> None:
    """A flipped bit, a hash too few or too many, a proof where none belongs: 422."""
    body = LOG.request(3, 9)
    hashes = parse_add(body).hashes
    flipped = bytes([hashes[0][0] ^ 1]) + hashes[0][1:]
    for wrong in ((flipped, *hashes[1:]), hashes[1:], (*hashes, hashes[0]), ()):
        assert status(change(body, hashes=wrong), last(3)) == 422
    assert status(change(LOG.request(0, 9), hashes=hashes), NEVER) == 422
    assert status(change(LOG.request(9, 9), hashes=hashes), last(9)) == 422


def test_an_old_size_beyond_the_checkpoint_is_malformed() -> None:
    """400, before anything is said about what was cosigned."""
    assert status(change(LOG.request(0, 4), old_size=5), last(5)) == 400


def note_of(text: str, log: MemoryLog = LOG) -> bytes:
    """A text signed by a log's key."""
    signature = NoteSignature(log.signer.name, log.signer.key_id, log.signer.sign(text))
    return format_note(Note(text, (signature,)))


def test_size_zero_has_one_root() -> None:
    """An empty tree with a root of its own is 422, as the specification has it, and not malformed."""
    text = f"{LOG.signer.name}\n0\n{encode_base64(bytes(32))}\n"
    assert parse_unrooted(text) == Checkpoint(LOG.signer.name, 0, bytes(32))
    assert status(format_add(AddCheckpoint(0, (), note_of(text))), NEVER) == 422


def test_who_may_ask_is_who_signs() -> None:
    """An origin without keys is 404; a signature by another key, or a wrong one by the right, is 403."""
    assert status(LOG.request(0, 3), NEVER, ()) == 404
    stranger = MemoryLog(seed=b"x" * 32).grow(b"A")
    assert status(stranger.request(0), NEVER) == 403
    note = parse_note(LOG.checkpoint(3))
    line = note.signatures[0]
    broken = line._replace(signature=bytes(64))
    for signatures in ((broken,), (line, broken), (broken, line)):
        body = format_add(AddCheckpoint(0, (), format_note(note._replace(signatures=signatures))))
        assert status(body, NEVER) == 403


def test_signatures_of_others_are_ignored() -> None:
    """A log may send what other witnesses signed; only its own signature comes back."""
    other = Cosigner("other.example", b"o" * 32)
    text = parse_note(LOG.checkpoint(3)).text
    note = add_signatures(LOG.checkpoint(3), [other.cosign(text, 1)])
    found = ask(format_add(AddCheckpoint(0, (), note)), NEVER)
    assert isinstance(found, Fit)
    assert found.signatures == parse_note(LOG.checkpoint(3)).signatures


@pytest.mark.parametrize(
    "body", [b"", b"old 0\n", b"old 0\n\n", b"old 0\n\nno note\n", b"size 0\n\n" + LOG.checkpoint(1)]
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    """400."""
    assert status(body, NEVER) == 400


def test_a_rotated_log_may_have_two_keys() -> None:
    """Either suffices, while both are trusted."""
    new = MemoryLog(seed=b"n" * 32).grow(*LOG.leaves)
    known = (LOG.signer.verifier, new.signer.verifier)
    assert status(LOG.request(0, 3), NEVER, known) == 200
    assert status(new.request(3, 5), last(3), known) == 200


@pytest.mark.parametrize("text", ["", "PRIVATE+KEY+a+b", "PRIVATE+KEY+w+00000000+BAAA", "w+00000000+BAAA"])
def test_what_is_no_private_key_is_refused(text: str) -> None:
    """And its text is not repeated in the refusal."""
    with pytest.raises(NoteError):
        parse_cosigner_key(text)
