"""Names, key ids, verifier keys and derived seeds, against the specification's examples and RFC 5869."""

import base64
import hashlib
import hmac

import pytest

from indelible.notes.cosignature import CosignatureVerifier, Cosigner, parse_verifier
from indelible.notes.keys import KeyText, Signer, Verifier, derive_seed, format_vkey, key_id, parse_vkey
from indelible.notes.strict import NoteError

PUBLISHED = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
ORIGIN = "audit.example.com/logs/550e8400-e29b-41d4-a716-446655440000"
MASTER = bytes(range(32))


def hkdf_by_hand(master: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 of RFC 5869 for one block: extract with a zero salt, expand once."""
    extracted = hmac.digest(bytes(32), master, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_the_published_verifier_key_is_read_and_written() -> None:
    """C2SP signed-note's example key keeps its id and its spelling."""
    verifier = Verifier.parse(PUBLISHED)
    assert verifier.name == "example.com/foo"
    assert verifier.key_id.hex() == "530d903a"
    assert verifier.vkey == str(verifier) == PUBLISHED
    assert parse_verifier(PUBLISHED) == verifier


def test_a_key_id_is_the_hash_of_name_type_and_key() -> None:
    """Name, newline, type, key: so one key under two types has two ids."""
    key = bytes(range(32))
    by_hand = hashlib.sha256(b"a.example\n\x01" + key).digest()[:4]
    assert key_id("a.example", 1, key) == by_hand == Verifier("a.example", key).key_id
    assert (
        CosignatureVerifier("a.example", key).key_id == hashlib.sha256(b"a.example\n\x04" + key).digest()[:4]
    )


def test_a_log_s_seed_is_hkdf_of_the_master_secret() -> None:
    """The seed is RFC 5869's output for the log's origin, and differs for every origin."""
    info = b"indelible/log-key/v1\x00" + ORIGIN.encode()
    assert derive_seed(MASTER, ORIGIN) == hkdf_by_hand(MASTER, info)
    assert (
        derive_seed(MASTER, ORIGIN).hex()
        == "7577c52c68789cad3bdd4248f8e9439207d10d95d720d75507082d287fd9f1e8"
    )
    assert derive_seed(MASTER, ORIGIN + "0") != derive_seed(MASTER, ORIGIN)


def test_a_later_generation_has_a_seed_of_its_own() -> None:
    """Generation 0 is what it always was; those after it have an info that no origin's first key can have."""
    assert derive_seed(MASTER, ORIGIN, 0) == derive_seed(MASTER, ORIGIN)
    for generation in (1, 2, 256, 2**32 - 1):
        info = b"indelible/log-key/v2\x00" + ORIGIN.encode() + b"\x00" + generation.to_bytes(4, "big")
        assert derive_seed(MASTER, ORIGIN, generation) == hkdf_by_hand(MASTER, info)
    assert (
        derive_seed(MASTER, ORIGIN, 1).hex()
        == "094246c2ec8feeb0022e904ae3bb6e8520e39051d2754b99d25b87608f7e081b"
    )
    seeds = {derive_seed(MASTER, ORIGIN, generation) for generation in range(5)}
    assert len(seeds) == 5


def test_a_signer_is_named_after_its_log_and_shows_no_secret() -> None:
    """The signer's name is the origin, and neither repr nor str holds its seed."""
    seed = derive_seed(MASTER, ORIGIN)
    signer = Signer(ORIGIN, seed)
    assert signer.name == signer.verifier.name == ORIGIN
    assert signer.key_id == signer.verifier.key_id
    for shown in (repr(signer), str(signer), repr(Cosigner("w.example", seed))):
        assert seed.hex() not in shown
        assert base64.b64encode(seed).decode() not in shown
        assert repr(seed) not in shown
    assert signer.verifier.verify("text\n", signer.sign("text\n"))
    assert not signer.verifier.verify("text\n", signer.sign("other\n"))
    assert not signer.verifier.verify("text\n", signer.sign("text\n")[:-1])


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u3000b", "a\tb", "a\x00", "a\x9b", "\ud800"]
)
def test_a_name_that_could_not_stand_in_a_note_is_refused(name: str) -> None:
    """Empty, with any Unicode space, a plus or a control character: no key has it."""
    with pytest.raises(NoteError):
        Signer(name, bytes(32))
    with pytest.raises(NoteError):
        derive_seed(MASTER, name)
    with pytest.raises(NoteError):
        Cosigner(name, bytes(32))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_secrets_of_another_length_are_refused(length: int) -> None:
    """A seed has 32 bytes, a master secret at least 32, and the refusal does not quote them."""
    secret = bytes([0x5A]) * length
    with pytest.raises(NoteError) as refused:
        Signer("a", secret)
    assert "ZZ" not in str(refused.value)
    if length < 32:
        with pytest.raises(NoteError):
            derive_seed(secret, "a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        PUBLISHED[:-1],
        PUBLISHED + "=",
        PUBLISHED + "\n",
        " " + PUBLISHED,
        PUBLISHED.replace("530d903a", "530D903A"),
        PUBLISHED.replace("530d903a", "530d903b"),
        PUBLISHED.replace("530d903a", "0530d903a"),
        PUBLISHED.replace("example.com/foo", "example.com/fop"),
        PUBLISHED.replace("example.com/foo", ""),
        PUBLISHED.replace("k", "l"),
        "a+00000000+",
        "a+00000000+AQ==",
        format_vkey(KeyText("a", 1, bytes(31))),
        format_vkey(KeyText("a", 4, bytes(33))),
        format_vkey(KeyText("a", 6, bytes(1_312))),
    ],
)
def test_a_verifier_key_has_one_spelling(text: str) -> None:
    """Cut, spaced, upper-case, mismatched, over-long and unknown kinds are refused."""
    with pytest.raises(NoteError):
        parse_verifier(text)


def test_a_key_of_one_type_is_not_read_as_the_other() -> None:
    """A witness's key is no log's key, and the other way round; a future type can still be taken apart."""
    witness = Cosigner("w.example", bytes(32)).verifier
    assert parse_verifier(witness.vkey) == witness == CosignatureVerifier.parse(witness.vkey)
    with pytest.raises(NoteError, match="0x04"):
        Verifier.parse(witness.vkey)
    with pytest.raises(NoteError, match="0x01"):
        CosignatureVerifier.parse(PUBLISHED)
    assert parse_vkey(format_vkey(KeyText("a", 6, bytes(1_312)))).kind == 6
    with pytest.raises(NoteError, match="0x06"):
        parse_verifier(format_vkey(KeyText("a", 6, bytes(1_312))))
