"""Checkpoints and cosignatures: the specifications' examples, who must have signed, and what is refused."""

import hashlib
import struct

import pytest

from indelible.notes.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from indelible.notes.cosignature import Cosigner, cosignature_time
from indelible.notes.keys import Signer
from indelible.notes.note import NoteSignature, add_signatures, open_note, sign_note
from indelible.notes.strict import NoteError

ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
TEXT = f"example.com/behind-the-sofa\n20852163\n{ROOT}\n"
LOG = Signer("example.com/behind-the-sofa", bytes([1]) * 32)
OTHER = Signer("example.com/other", bytes([2]) * 32)
WITNESS = Cosigner("witness.example.com/w1", bytes([3]) * 32)
CHECKPOINT = parse_checkpoint(TEXT)
SIGNED = sign_checkpoint(CHECKPOINT, LOG)
EMPTY = hashlib.sha256().digest()


def test_the_published_text_is_read_and_written() -> None:
    """C2SP tlog-checkpoint's example: three lines, and extension lines behind them."""
    assert CHECKPOINT.size == 20_852_163
    assert CHECKPOINT.root.hex().startswith("0ac5186a91863e8e")
    assert format_checkpoint(CHECKPOINT) == TEXT
    extended = parse_checkpoint(TEXT + "opaque one\nopaque two\n")
    assert extended.extensions == ("opaque one", "opaque two")
    assert format_checkpoint(extended) == TEXT + "opaque one\nopaque two\n"


def test_the_empty_log_has_a_checkpoint() -> None:
    """Size 0 goes with SHA-256 of nothing, and with no other root."""
    text = format_checkpoint(Checkpoint("a.example", 0, EMPTY))
    assert text.split("\n")[1] == "0"
    with pytest.raises(NoteError, match="nothing"):
        format_checkpoint(Checkpoint("a.example", 0, bytes(32)))


def test_a_signed_checkpoint_opens_with_its_log_s_key() -> None:
    """What was signed comes back; another log's key does not open it."""
    checkpoint, opened = open_checkpoint(SIGNED, LOG.verifier)
    assert checkpoint == CHECKPOINT
    assert opened.text == TEXT
    with pytest.raises(NoteError):
        open_checkpoint(SIGNED, OTHER.verifier)


def test_the_origin_must_be_the_key_s_name() -> None:
    """A key that signs another log's text is refused, both when signing and when opening."""
    with pytest.raises(NoteError, match="origin"):
        sign_checkpoint(CHECKPOINT, OTHER)
    with pytest.raises(NoteError, match="origin"):
        open_checkpoint(sign_note(TEXT, [OTHER]), OTHER.verifier)


def test_a_witness_alone_does_not_speak_for_the_log() -> None:
    """A checkpoint that only a known witness signed is refused; with the log's signature it opens."""
    cosignature = WITNESS.cosign(TEXT, 1_679_315_147)
    cosigned = add_signatures(SIGNED, [cosignature])
    checkpoint, opened = open_checkpoint(cosigned, LOG.verifier, [WITNESS.verifier])
    assert checkpoint == CHECKPOINT
    assert [item.name for item in opened.verified] == [LOG.name, WITNESS.verifier.name]
    assert cosignature_time(opened.verified[1]) == 1_679_315_147
    assert len(open_checkpoint(cosigned, LOG.verifier)[1].unknown) == 1
    stranger = add_signatures(sign_note(TEXT, [OTHER]), [cosignature])
    with pytest.raises(NoteError, match="did not sign"):
        open_checkpoint(stranger, LOG.verifier, [WITNESS.verifier])


def test_a_cosignature_covers_its_time_and_the_text() -> None:
    """The signed bytes are those of C2SP tlog-cosignature; another time or text does not verify."""
    blob = WITNESS.cosign(TEXT, 1_679_315_147).signature
    assert blob[:8] == struct.pack(">Q", 1_679_315_147)
    message = "cosignature/v1\ntime 1679315147\n" + TEXT
    plain = Signer("witness.example.com/w1", bytes([3]) * 32)
    assert plain.sign(message) == blob[8:]
    assert WITNESS.verifier.verify(TEXT, blob)
    assert not WITNESS.verifier.verify(TEXT + "more\n", blob)
    assert not WITNESS.verifier.verify(TEXT, struct.pack(">Q", 1_679_315_148) + blob[8:])
    assert not plain.verifier.verify(TEXT, blob[8:])


@pytest.mark.parametrize("blob", [b"", bytes(71), bytes(73), b"\x80" + bytes(71), bytes(2_428)])
def test_a_malformed_cosignature_spoils_the_note(blob: bytes) -> None:
    """A known witness's line of another length, or a time past 2^63 - 1, is rejected, not ignored."""
    bad = NoteSignature(WITNESS.verifier.name, WITNESS.verifier.key_id, blob or b"x")
    assert not WITNESS.verifier.verify(TEXT, blob)
    with pytest.raises(NoteError, match="does not verify"):
        open_note(add_signatures(SIGNED, [bad]), [LOG.verifier, WITNESS.verifier])
    if len(blob) != 72 or blob[0] & 0x80:
        with pytest.raises(NoteError):
            cosignature_time(bad)


def test_an_ml_dsa_cosignature_is_an_unknown_signature() -> None:
    """A line of type 0x06 has a key id of its own, so the checkpoint still opens."""
    line = NoteSignature(WITNESS.verifier.name, b"\x06\x06\x06\x06", bytes(8 + 2_420))
    _, opened = open_checkpoint(add_signatures(SIGNED, [line]), LOG.verifier, [WITNESS.verifier])
    assert opened.unknown == (line,)


@pytest.mark.parametrize("time", [-1, 1 << 63])
def test_a_cosignature_s_time_is_bounded(time: int) -> None:
    """A time that its format forbids is never signed."""
    with pytest.raises(NoteError):
        WITNESS.cosign(TEXT, time)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a\n5\n",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "\nx\n",
        "\n" + TEXT,
        TEXT.replace("20852163", ""),
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "+20852163"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "20852163 "),
        TEXT.replace("20852163", "2085_2163"),
        TEXT.replace("20852163", "0x10"),
        TEXT.replace("20852163", "\u0661"),
        TEXT.replace("20852163", str(1 << 63)),
        TEXT.replace("20852163", "9" * 5_000),
        TEXT.replace("20852163", "0"),
        TEXT.replace("q2I=", "q2J="),
        TEXT.replace("q2I=", "q2I"),
        TEXT.replace("q2I=", "q2I=="),
        TEXT.replace("q2I=", "qw=="),
        TEXT.replace("q2I=", "q2Jh"),
        TEXT.replace("m/X", "m_X"),
        TEXT.replace("\n", "\r\n"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Missing, blank or unended lines, other spellings of the size, and roots not of 32 canonical bytes."""
    with pytest.raises(NoteError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "checkpoint",
    [
        CHECKPOINT._replace(origin=""),
        CHECKPOINT._replace(origin="a\nb"),
        CHECKPOINT._replace(size=-1),
        CHECKPOINT._replace(size=1 << 63),
        CHECKPOINT._replace(root=bytes(31)),
        CHECKPOINT._replace(extensions=("",)),
        CHECKPOINT._replace(extensions=("a\nb",)),
    ],
)
def test_a_checkpoint_that_would_read_differently_is_not_written(checkpoint: Checkpoint) -> None:
    """Whatever would be refused, or read as something else, is not signed in the first place."""
    with pytest.raises(NoteError):
        format_checkpoint(checkpoint)
