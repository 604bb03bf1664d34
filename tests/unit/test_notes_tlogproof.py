"""C2SP tlog-proof as text: the layout, our extra data, and what is refused."""

import base64
import hashlib

import pytest

from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer
from indelible.notes.strict import NoteError
from indelible.notes.tlogproof import (
    EventExtra,
    TlogProof,
    event_extra,
    format_tlog_proof,
    open_extra,
    parse_tlog_proof,
)

LOG = Signer("a.example/logs/1", bytes(32))
NOTE = sign_checkpoint(Checkpoint(LOG.name, 100, bytes(32)), LOG)
HASHES = tuple(hashlib.sha256(bytes([at])).digest() for at in range(7))
ENTRY = b"\x01" + (43).to_bytes(8, "big") + bytes(56)
SALT = bytes(range(16))
PROOF = TlogProof(event_extra(ENTRY, SALT), 42, HASHES, NOTE)
TEXT = format_tlog_proof(PROOF)


def encoded(data: bytes) -> bytes:
    """Base64 as the format writes it."""
    return base64.b64encode(data)


def test_the_layout_is_the_specification_s() -> None:
    """Header, extra, index, hashes from the leaf's sibling on, a blank line, the checkpoint verbatim."""
    lines = [b"c2sp.org/tlog-proof@v1", b"extra " + encoded(ENTRY + SALT), b"index 42", *map(encoded, HASHES)]
    assert b"\n".join(lines) + b"\n\n" + NOTE == TEXT
    assert parse_tlog_proof(TEXT) == PROOF


def test_extra_and_hashes_may_be_missing() -> None:
    """Without extra data its line is left out; the only leaf of a tree needs no hashes."""
    note = sign_checkpoint(Checkpoint(LOG.name, 1, bytes(32)), LOG)
    text = format_tlog_proof(TlogProof(None, 0, (), note))
    assert text == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + note
    assert parse_tlog_proof(text) == TlogProof(None, 0, (), note)


def test_our_extra_is_entry_and_salt() -> None:
    """The 81 bytes come apart again, when version and sequence fit."""
    assert open_extra(PROOF) == EventExtra(ENTRY, SALT)
    for extra in (
        None,
        b"",
        PROOF.extra[1:] if PROOF.extra else b"",
        ENTRY + SALT + b"\0",
        b"\x02" + ENTRY[1:] + SALT,
    ):
        with pytest.raises(NoteError):
            open_extra(PROOF._replace(extra=extra))
    with pytest.raises(NoteError, match="sequence"):
        open_extra(PROOF._replace(leaf_index=43))
    for entry, salt in ((ENTRY[:-1], SALT), (ENTRY, SALT[:-1]), (ENTRY + b"\0", SALT[:-1])):
        with pytest.raises(NoteError):
            event_extra(entry, salt)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        TEXT[:-1],
        TEXT + b"\n",
        TEXT.replace(b"@v1", b"@v2"),
        b"\n" + TEXT,
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.replace(b"extra ", b"extra  "),
        TEXT.replace(b"extra ", b"Extra "),
        TEXT.replace(b"extra ", b"extra !"),
        TEXT.replace(b"index 42", b"index 042"),
        TEXT.replace(b"index 42", b"index -42"),
        TEXT.replace(b"index 42", b"index  42"),
        TEXT.replace(b"index 42", b"index 100"),
        TEXT.replace(b"index 42", b"index 18446744073709551615"),
        TEXT.replace(b"index 42\n", b""),
        TEXT.replace(b"index 42\n", b"index 42\nindex 42\n"),
        TEXT.replace(b"index 42\n", b"index 42\nextra AAAA\n"),
        TEXT.replace(encoded(HASHES[0]), encoded(HASHES[0][:31])),
        TEXT.replace(encoded(HASHES[0]), encoded(HASHES[0] * 2)),
        TEXT.replace(encoded(HASHES[0]), encoded(HASHES[0])[:-1]),
        TEXT.replace(encoded(HASHES[0]), b" " + encoded(HASHES[0])),
        TEXT.replace(encoded(HASHES[0]), b"\n" + encoded(HASHES[0])),
        TEXT.replace(b"\n\n" + NOTE, b"\n" + NOTE),
        TEXT.replace(b"\n\n" + NOTE, b"\n\n\n" + NOTE),
        TEXT.replace(NOTE, b""),
        TEXT.replace(NOTE, b"checkpoint\n"),
        TEXT.replace(b"index 42\n", b"index 42\n" + (encoded(HASHES[0]) + b"\n") * 60),
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + b"a" * DEFAULT_LIMITS.tlog_proof_bytes,
    ],
)
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    """Other versions, orders and spellings, wrong hash lengths, indexes past the checkpoint, no end."""
    assert data != TEXT
    with pytest.raises(NoteError):
        parse_tlog_proof(data)


@pytest.mark.parametrize(
    "proof",
    [
        PROOF._replace(leaf_index=-1),
        PROOF._replace(leaf_index=100),
        PROOF._replace(hashes=(bytes(31),)),
        PROOF._replace(hashes=HASHES * 10),
        PROOF._replace(checkpoint=b"no note"),
    ],
)
def test_a_proof_that_could_not_be_read_is_not_written(proof: TlogProof) -> None:
    """Whatever the reader would refuse is refused when writing."""
    with pytest.raises(NoteError):
        format_tlog_proof(proof)
