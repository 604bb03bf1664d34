"""Signed notes: the specification's example, the rules of opening, and what is refused."""

import base64

import pytest

from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.keys import NoteVerifier, Signer, Verifier
from indelible.notes.note import (
    Note,
    NoteError,
    NoteSignature,
    add_signatures,
    format_note,
    open_note,
    parse_note,
    sign_note,
)

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SIGNATURE = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
PUBLISHED = f"This is an example message.\n\n\u2014 example.com/foo {SIGNATURE}\n".encode()
ONE, TWO = Signer("one.example", bytes([1]) * 32), Signer("two.example", bytes([2]) * 32)


def line(name: str, blob: bytes) -> bytes:
    """A signature line."""
    return f"\u2014 {name} {base64.b64encode(blob).decode()}\n".encode()


def spoil(signature: NoteSignature) -> NoteSignature:
    """The signature with one bit turned."""
    return signature._replace(signature=bytes([signature.signature[0] ^ 1]) + signature.signature[1:])


def test_the_published_example_opens() -> None:
    """C2SP signed-note's example verifies with its example key, and not when a letter changes."""
    opened = open_note(PUBLISHED, [Verifier.parse(VKEY)])
    assert opened.text == "This is an example message.\n"
    assert [item.name for item in opened.verified] == ["example.com/foo"]
    assert format_note(parse_note(PUBLISHED)) == PUBLISHED
    with pytest.raises(NoteError, match="does not verify"):
        open_note(PUBLISHED.replace(b"an example", b"no example"), [Verifier.parse(VKEY)])


def test_the_signatures_follow_the_last_blank_line() -> None:
    """A text may have blank lines, even lines that look like signatures."""
    for text in ("\n", "a\n\nb\n", "a\n\n", "\n\n\n", "a\n\n\u2014 two.example AAAAAAA=\n\nb\n"):
        opened = open_note(sign_note(text, [ONE]), [ONE.verifier, TWO.verifier])
        assert opened.text == text
        assert len(opened.verified) == 1


def test_unknown_keys_are_ignored_and_known_ones_are_not() -> None:
    """One known key suffices; a known key that fails spoils the note; nobody known is a refusal."""
    both = sign_note("text\n", [ONE, TWO])
    opened = open_note(both, [TWO.verifier])
    assert [item.name for item in opened.verified] == ["two.example"]
    assert [item.name for item in opened.unknown] == ["one.example"]
    note = parse_note(both)
    half = format_note(note._replace(signatures=(spoil(note.signatures[0]), note.signatures[1])))
    assert len(open_note(half, [TWO.verifier]).verified) == 1
    with pytest.raises(NoteError, match=r"one\.example .* does not verify"):
        open_note(half, [ONE.verifier, TWO.verifier])
    for known in ([], [Signer("three.example", bytes(32)).verifier]):
        with pytest.raises(NoteError, match="No key that is known"):
            open_note(both, known)


def test_a_key_is_known_by_name_and_id_together() -> None:
    """The same key under another name, or another key under the same name, is unknown."""
    signed = sign_note("text\n", [ONE])
    for stranger in (Signer("two.example", bytes([1]) * 32), Signer("one.example", bytes([2]) * 32)):
        with pytest.raises(NoteError, match="No key that is known"):
            open_note(signed, [stranger.verifier])


def test_repeats_are_all_checked_and_counted_once() -> None:
    """A key that signs twice is one key; a bad repeat after a good signature is found."""
    note = parse_note(sign_note("text\n", [ONE]))
    twice = note._replace(signatures=note.signatures * 2)
    assert len(open_note(format_note(twice), [ONE.verifier]).verified) == 1
    spoiled = note._replace(signatures=(*note.signatures, spoil(note.signatures[0])))
    with pytest.raises(NoteError, match="does not verify"):
        open_note(format_note(spoiled), [ONE.verifier])


def test_sixteen_post_quantum_signatures_are_accepted() -> None:
    """Sixteen signatures of 5 kB beside ours fit; so do 64 small ones, and no more."""
    signed = sign_note("text\n", [ONE])
    large = [NoteSignature(f"w{at}.example", bytes(4), bytes(5_000)) for at in range(16)]
    assert len(open_note(add_signatures(signed, large), [ONE.verifier]).unknown) == 16
    small = [
        NoteSignature("w.example", bytes(4), bytes([at])) for at in range(DEFAULT_LIMITS.note_signatures)
    ]
    assert len(open_note(add_signatures(signed, small[1:]), [ONE.verifier]).unknown) == 63
    with pytest.raises(NoteError, match="at most 64"):
        add_signatures(signed, small)
    with pytest.raises(NoteError, match="at most"):
        parse_note(b"x" * DEFAULT_LIMITS.note_bytes + signed)


def test_two_keys_of_one_name_and_id_are_refused() -> None:
    """The same verifier twice is no harm; two that could not be told apart are."""

    class Twin:
        name, key_id = ONE.name, ONE.key_id

        def verify(self, text: str, signature: bytes) -> bool:
            return True

    signed = sign_note("text\n", [ONE])
    assert open_note(signed, [ONE.verifier, Verifier.parse(ONE.verifier.vkey)])
    twin: NoteVerifier = Twin()
    with pytest.raises(NoteError, match="share"):
        open_note(signed, [ONE.verifier, twin])


GOOD = sign_note("text\n", [ONE])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD + b"x",
        GOOD + b"x\n",
        GOOD.replace(b"\n\n", b"\n"),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace("\u2014".encode(), b"-"),
        GOOD.replace("\u2014 ".encode(), "\u2014".encode()),
        GOOD.replace("\u2014 ".encode(), "\u2014  ".encode()),
        GOOD.replace(b"text", b"te\x00xt"),
        GOOD.replace(b"text", b"te\txt"),
        GOOD.replace(b"text", b"te\x7fxt"),
        GOOD.replace(b"text", "te\u009bxt".encode()),
        GOOD.replace(b"text", b"te\xffxt"),
        GOOD.replace(b"text", b"\xed\xa0\x80"),
        GOOD.replace(b"text", b"\xc0\xaf"),
        GOOD.replace(b"one.example ", b"one.example"),
        GOOD.replace(b"one.example ", b"one.example  "),
        GOOD.replace(b"one.example ", b"one+example "),
        GOOD.replace(b"one.example ", " one\u00a0example ".encode()),
        GOOD.replace(b"one.example ", b" "),
        GOOD.replace(b"=\n", b"\n"),
        GOOD.replace(b"=\n", b"= \n"),
        GOOD.replace(b"=\n", b"==\n"),
        b"text\n\n" + line("a", b""),
        b"text\n\n" + line("a", b"1234"),
        "text\n\n\u2014 a MTIzNDV=\n".encode(),  # unused bits that are not zero
        "text\n\n\u2014 a MTIz-DU2\n".encode(),  # another alphabet
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    """Cut, doubled, control characters, bad UTF-8, malformed names and base64 in any second spelling."""
    assert data != GOOD
    with pytest.raises(NoteError):
        parse_note(data)


@pytest.mark.parametrize("text", ["", "no newline", "a\tb\n", "a\r\n", "\ud800\n", "\x85\n"])
def test_a_text_that_could_not_be_read_back_is_not_signed(text: str) -> None:
    """A note that no reader would open is never made."""
    with pytest.raises(NoteError):
        sign_note(text, [ONE])


def test_a_note_without_signatures_is_not_made() -> None:
    """Nobody's note is no note."""
    with pytest.raises(NoteError):
        sign_note("text\n", [])
    with pytest.raises(NoteError):
        format_note(Note("text\n", (NoteSignature("a\n\nb", bytes(4), b"x"),)))
    with pytest.raises(NoteError):
        format_note(Note("text\n", (NoteSignature("a", bytes(3), b"xy"),)))
