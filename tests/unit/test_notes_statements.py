"""Key statements: their bytes, who must have signed them, and which chains of them are followed."""

import itertools

import pytest

from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer
from indelible.notes.note import add_signatures, parse_note, sign_note
from indelible.notes.statements import (
    KeyHistory,
    KeyStatement,
    follow,
    format_statement,
    open_checkpoint_with,
    open_statement,
    parse_statement,
    sign_statement,
    split_statements,
)
from indelible.notes.strict import NoteError

ORIGIN = "audit.example.com/logs/550e8400-e29b-41d4-a716-446655440000"
KEYS = [Signer(ORIGIN, bytes([number]) * 32) for number in range(1, 6)]
TIME = 1_735_689_600_000_001
GOOD = (
    "indelible/key/v1\n"
    f"{ORIGIN}\n{KEYS[0].verifier.vkey}\n{KEYS[1].verifier.vkey}\n42\n2025-01-01T00:00:00.000001Z\n"
)


def statement(old: int, new: int, size: int, time: int = TIME) -> KeyStatement:
    """That one of the keys follows another."""
    return KeyStatement(ORIGIN, KEYS[old].verifier, KEYS[new].verifier, size, time)


def note(old: int, new: int, size: int, time: int = TIME) -> bytes:
    """The same, signed by both."""
    return sign_statement(statement(old, new, size, time), KEYS[old], KEYS[new])


def head(size: int, *signers: int) -> bytes:
    """A checkpoint signed by some of the keys."""
    first, *others = signers
    signed = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), KEYS[first])
    for other in others:
        more = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), KEYS[other])
        signed = add_signatures(signed, parse_note(more).signatures)
    return signed


def test_a_statement_is_these_bytes() -> None:
    """Six lines, as docs/formats.md has them; reading gives back what was written."""
    assert format_statement(statement(0, 1, 42)) == GOOD
    assert parse_statement(GOOD) == statement(0, 1, 42)
    assert open_statement(note(0, 1, 42)) == statement(0, 1, 42)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("indelible/key/v1\n", "indelible/key/v2\n"),
        (f"\n{ORIGIN}\n", "\nother.example/logs/1\n"),
        ("\n42\n", "\n042\n"),
        ("\n42\n", "\n-1\n"),
        ("000001Z", "000001+00:00"),
        ("000001Z", "00001Z"),
        ("2025-01", "2025-13"),
        ("000001Z\n", "000001Z\nmore\n"),
        ("000001Z\n", "000001Z"),
        (KEYS[1].verifier.vkey, KEYS[0].verifier.vkey),
        (KEYS[1].verifier.vkey, Signer("other.example/logs/1", bytes(32)).verifier.vkey),
        (KEYS[1].verifier.vkey, KEYS[1].verifier.vkey[:-1]),
    ],
)
def test_a_text_that_differs_in_anything_is_refused(old: str, new: str) -> None:
    """Another first line, origin, spelling of a number or time, a line more, one key twice, a foreign key."""
    assert old in GOOD
    with pytest.raises(NoteError):
        parse_statement(GOOD.replace(old, new))


@pytest.mark.parametrize("signers", [[0], [1], [0, 2], [2, 1], [0, 1, 2]])
def test_a_statement_is_signed_by_both_keys_and_nobody_else(signers: list[int]) -> None:
    """One of the two is not enough, and a third has no word in it."""
    forged = sign_note(GOOD, [KEYS[number] for number in signers])
    with pytest.raises(NoteError):
        open_statement(forged)


def test_a_history_says_which_key_signs_which_size() -> None:
    """Statements in any order and given twice; ends are inside, and the newest has none."""
    notes = [note(1, 2, 50), note(0, 1, 10), note(1, 2, 50)]
    history = follow(KEYS[0].verifier, notes)
    assert [(p.verifier, p.first, p.last) for p in history.periods] == [
        (KEYS[0].verifier, 0, 9),
        (KEYS[1].verifier, 10, 49),
        (KEYS[2].verifier, 50, None),
    ]
    sizes = {0: 0, 9: 0, 10: 1, 49: 1, 50: 2, 10**12: 2}
    assert {size: KEYS.index(_signer(history, size)) for size in sizes} == sizes
    assert history.newest == KEYS[2].verifier


def _signer(history: KeyHistory, size: int) -> Signer:
    return next(key for key in KEYS if key.verifier == history.key_for(size))


def test_whoever_trusts_a_later_key_learns_who_signed_before() -> None:
    """Statements before the trusted key were signed by the key that followed: its word vouches for them."""
    notes = [note(0, 1, 10), note(1, 2, 50)]
    assert follow(KEYS[1].verifier, notes) == follow(KEYS[0].verifier, notes)
    assert follow(KEYS[2].verifier, notes) == follow(KEYS[0].verifier, notes)


def test_a_key_may_be_followed_before_it_signed_anything_alone() -> None:
    """Two rotations without an event between them: the middle key signs no size."""
    history = follow(KEYS[0].verifier, [note(0, 1, 10), note(1, 2, 10)])
    assert (history.periods[1].first, history.periods[1].last) == (10, 9)
    assert history.key_for(10) == KEYS[2].verifier
    assert history.key_for(9) == KEYS[0].verifier


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ([note(0, 1, 10), note(0, 2, 10)], "fork"),
        ([note(0, 1, 10), note(0, 1, 11)], "fork"),
        ([note(0, 2, 10), note(1, 2, 10)], "fork"),
        ([note(0, 1, 10), note(1, 0, 20)], "go back to a key"),
        ([note(0, 1, 10), note(1, 2, 20), note(2, 0, 30)], "go back to a key"),
        ([note(0, 1, 10), note(2, 3, 20), note(3, 2, 30)], "not connected"),
        ([note(0, 1, 10), note(1, 2, 9)], "back in size"),
        ([note(0, 1, 10), note(1, 2, 20, TIME - 1)], "back in size or in time"),
        ([note(1, 2, 10)], "not connected"),
        ([note(0, 1, 10), note(2, 3, 20)], "not connected"),
    ],
)
def test_what_is_no_one_chain_is_refused(notes: list[bytes], words: str) -> None:
    """Two successors, two predecessors, a key that comes back, sizes or times that go back, a piece apart."""
    with pytest.raises(NoteError, match=words):
        follow(KEYS[0].verifier, notes)


def test_statements_of_another_log_are_refused() -> None:
    """Both keys of another log's statement signed it, and it says nothing here."""
    name = "audit.example.com/logs/other"
    old, new = Signer(name, bytes(32)), Signer(name, bytes([9]) * 32)
    foreign = sign_statement(KeyStatement(name, old.verifier, new.verifier, 5, TIME), old, new)
    with pytest.raises(NoteError, match="says nothing of"):
        follow(KEYS[0].verifier, [foreign])


def test_more_keys_than_a_log_has_are_refused() -> None:
    """The number of statements that are read is bounded."""
    keys = [Signer(ORIGIN, number.to_bytes(32, "big")) for number in range(40)]
    notes = [
        sign_statement(KeyStatement(ORIGIN, old.verifier, new.verifier, at, TIME), old, new)
        for at, (old, new) in enumerate(itertools.pairwise(keys))
    ]
    assert len(follow(keys[0].verifier, notes[:31]).periods) == 32
    with pytest.raises(NoteError, match="at most 32 keys"):
        follow(keys[0].verifier, notes[:32])


def test_a_head_is_signed_by_the_key_of_its_size() -> None:
    """In the overlap both lines stand, and the new key's counts; one that is wrong spoils the note."""
    history = follow(KEYS[0].verifier, [note(0, 1, 10)])
    for size, signers in [(9, [0]), (9, [0, 1]), (10, [1]), (10, [1, 0]), (10, [0, 1])]:
        assert open_checkpoint_with(history, head(size, *signers))[0].size == size
    for size, signers in [(10, [0]), (11, [0]), (9, [1]), (10, [0, 2]), (0, [1])]:
        with pytest.raises(NoteError):
            open_checkpoint_with(history, head(size, *signers) if size else _empty(*signers))
    spoiled = parse_note(head(10, 1, 0))
    last = spoiled.signatures[1]
    wrong = sign_checkpoint(Checkpoint(ORIGIN, 10, bytes(32)), KEYS[1])
    wrong = add_signatures(wrong, [last._replace(signature=bytes(64))])
    with pytest.raises(NoteError, match="does not verify"):
        open_checkpoint_with(history, wrong)


def _empty(signer: int) -> bytes:
    root = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    return sign_checkpoint(Checkpoint(ORIGIN, 0, root), KEYS[signer])


def test_statements_of_a_file_are_split_as_they_were_joined() -> None:
    """One after the other, with blank lines between them or none; anything before the first is refused."""
    notes = [note(0, 1, 10), note(1, 2, 20), note(2, 3, 30)]
    for between in (b"", b"\n", b"\n\n"):
        assert split_statements(between.join(notes)) == notes
    for data in (b"", b"x\n" + notes[0], b"\n\n", b"indelible/key/v2\n"):
        with pytest.raises(NoteError):
            split_statements(data)
