r"""Signed notes (C2SP signed-note): a text, and lines that say who signed it.

    <text that ends with a newline>\n— <key name> <base64(key id[4] || signature)>\n…

The signatures follow the last blank line. A reader ignores keys that it does not know and rejects the whole
note when a key that it knows does not verify.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.keys import KEY_ID_BYTES, NoteSigner, NoteVerifier, check_key_name
from indelible.notes.strict import NoteError, check_text, decode_base64, decode_text, encode_base64, lines_of

__all__ = [
    "Note",
    "NoteError",
    "NoteSignature",
    "OpenedNote",
    "add_signatures",
    "format_note",
    "open_note",
    "parse_note",
    "sign_note",
]

_MARK = "\u2014 "  # an em dash and a space


class NoteSignature(NamedTuple):
    """One signature line: `signature` is what stands after the key id."""

    name: str
    key_id: bytes  # 4
    signature: bytes


class Note(NamedTuple):
    """A note taken apart and not verified. Its text is nobody's word yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


class OpenedNote(NamedTuple):
    """A note that at least one known key signed and none disowns.

    `verified` has one signature for each known key that signed, its first, so that its length counts keys;
    `unknown` has those of all other keys, unchecked.
    """

    text: str
    verified: tuple[NoteSignature, ...]
    unknown: tuple[NoteSignature, ...]


def sign_note(text: str, signers: Sequence[NoteSigner]) -> bytes:
    """Return the note of `text` signed by each signer, in order.

    Raises:
        NoteError: when the text does not end with a newline or has control characters, or nobody signs.
    """
    lines_of(check_text(text, "A note"), "A note's text")
    signatures = [NoteSignature(signer.name, signer.key_id, signer.sign(text)) for signer in signers]
    return format_note(Note(text, tuple(signatures)))


def format_note(note: Note) -> bytes:
    """Return the bytes of a note; `parse_note` reads them back.

    Raises:
        NoteError: when `parse_note` would refuse the bytes or read another note from them.
    """
    lines = [
        f"{_MARK}{item.name} {encode_base64(item.key_id + item.signature)}\n" for item in note.signatures
    ]
    data = (check_text(note.text, "A note") + "\n" + check_text("".join(lines), "A note")).encode()
    if parse_note(data) != note:
        raise NoteError("That note would not be read as it was written.")
    return data


def add_signatures(data: bytes, signatures: Iterable[NoteSignature]) -> bytes:
    """Return the note with further signatures after its own, as a witness's are added to a checkpoint.

    Raises:
        NoteError: when `data` is no note, or the limits of notes are passed.
    """
    note = parse_note(data)
    return format_note(note._replace(signatures=(*note.signatures, *signatures)))


def parse_note(data: bytes) -> Note:
    """Take a note apart without verifying it.

    Raises:
        NoteError: when it is over the limits (`note_bytes`, `note_signatures`), not UTF-8, has control
            characters, or a signature line is malformed.
    """
    if len(data) > DEFAULT_LIMITS.note_bytes:
        raise NoteError(f"A note has at most {DEFAULT_LIMITS.note_bytes} bytes.")
    text, blank, block = decode_text(data, "A note").rpartition("\n\n")
    if not blank:
        raise NoteError("A note has a text, a blank line, and signatures.")
    lines = lines_of(block, "A note")
    if len(lines) > DEFAULT_LIMITS.note_signatures:
        raise NoteError(f"A note has at most {DEFAULT_LIMITS.note_signatures} signatures.")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines))


def open_note(data: bytes, verifiers: Sequence[NoteVerifier]) -> OpenedNote:
    """Verify a note against the keys that are known.

    Every signature whose name and key id belong to a known key is checked, repeats included.

    Raises:
        NoteError: when the note is malformed, a known key's signature does not verify, no known key
            signed, or two different known keys share a name and id.
    """
    note = parse_note(data)
    known = _by_name_and_id(verifiers)
    verified: dict[tuple[str, bytes], NoteSignature] = {}
    unknown = []
    for item in note.signatures:
        verifier = known.get((item.name, item.key_id))
        if verifier is None:
            unknown.append(item)
        elif verifier.verify(note.text, item.signature):
            verified.setdefault((item.name, item.key_id), item)
        else:
            raise NoteError(f"The signature of {item.name} ({item.key_id.hex()}) does not verify.")
    if not verified:
        raise NoteError("No key that is known signed this note.")
    return OpenedNote(note.text, tuple(verified.values()), tuple(unknown))


def _parse_signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space:
        raise NoteError("A signature line has the form \u2014 <key name> <base64>.")
    blob = decode_base64(encoded, "A signature")
    if len(blob) <= KEY_ID_BYTES:
        raise NoteError("A signature has a key id of 4 bytes and at least one more.")
    return NoteSignature(check_key_name(name), blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def _by_name_and_id(verifiers: Sequence[NoteVerifier]) -> dict[tuple[str, bytes], NoteVerifier]:
    known: dict[tuple[str, bytes], NoteVerifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise NoteError(f"Two different known keys share the name {verifier.name} and one key id.")
    return known
