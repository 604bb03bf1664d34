r"""Checkpoints (C2SP tlog-checkpoint): a log's origin, size and root as the text of a signed note.

<origin>\n<size>\n<base64 root>\n
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from indelible.notes.keys import NoteSigner, NoteVerifier
from indelible.notes.note import OpenedNote, open_note, sign_note
from indelible.notes.strict import NoteError, check_text, decode_decimal, decode_hash, encode_base64, lines_of

_ROOT_OF_NOTHING = sha256().digest()
_FIXED_LINES = 3


class Checkpoint(NamedTuple):
    """What a checkpoint says: the log's origin, how many leaves it has (from 0), and their root, 32 bytes.

    Extension lines are opaque; ours have none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Return a checkpoint's text, the part that is signed.

    Raises:
        NoteError: when `parse_checkpoint` would refuse the text or read something else from it.
    """
    lines = (checkpoint.origin, str(checkpoint.size), encode_base64(checkpoint.root), *checkpoint.extensions)
    text = "".join(f"{line}\n" for line in lines)
    if parse_checkpoint(text) != checkpoint:
        raise NoteError("That checkpoint would not be read as it was written.")
    return text


def parse_checkpoint(text: str) -> Checkpoint:
    """Return what a note's text says as a checkpoint.

    Raises:
        NoteError: when it is not three or more non-empty lines, the size is not a canonical decimal under
            2^63, the root not canonical base64 of 32 bytes, or the root of size 0 not that of nothing.
    """
    checkpoint = parse_unrooted(text)
    if checkpoint.size == 0 and checkpoint.root != _ROOT_OF_NOTHING:
        raise NoteError("The root of size 0 is SHA-256 of nothing.")
    return checkpoint


def parse_unrooted(text: str) -> Checkpoint:
    """Do what `parse_checkpoint` does, but take any root for size 0: whoever judges it answers for that.

    Raises:
        NoteError: as `parse_checkpoint`.
    """
    lines = lines_of(check_text(text, "A checkpoint"), "A checkpoint")
    if len(lines) < _FIXED_LINES or not all(lines):
        raise NoteError("A checkpoint has an origin, a size and a root, each on a line, and no blank lines.")
    origin, size_text, root_text, *extensions = lines
    size = decode_decimal(size_text, "The size of a checkpoint")
    root = decode_hash(root_text, "The root of a checkpoint")
    return Checkpoint(origin, size, root, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> bytes:
    """Return the signed note of a checkpoint.

    Raises:
        NoteError: when the origin is not the key's name, or the checkpoint cannot be written.
    """
    _check_origin(checkpoint, signer.name)
    return sign_note(format_checkpoint(checkpoint), [signer])


def open_checkpoint(
    data: bytes, verifier: NoteVerifier, cosigners: Sequence[NoteVerifier] = ()
) -> tuple[Checkpoint, OpenedNote]:
    """Verify a checkpoint: the log's key must have signed it, whoever else did.

    The signature covers the text only, so the text's origin is compared with the key's name too.

    Args:
        data: the signed note.
        verifier: the log's key.
        cosigners: keys of witnesses; theirs may be missing, but must verify where they are.

    Raises:
        NoteError: when anything of this does not hold.
    """
    opened = open_note(data, [verifier, *cosigners])
    if not any((item.name, item.key_id) == (verifier.name, verifier.key_id) for item in opened.verified):
        raise NoteError(f"The log's key {verifier.name} did not sign this checkpoint.")
    checkpoint = parse_checkpoint(opened.text)
    _check_origin(checkpoint, verifier.name)
    return checkpoint, opened


def _check_origin(checkpoint: Checkpoint, name: str) -> None:
    if checkpoint.origin != name:
        raise NoteError(f"The checkpoint's origin is {checkpoint.origin}, and the key is that of {name}.")
