"""A file is believed for what it proves: each way to change it is found, and what is missing is said."""

import contextlib
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.proved import ENTRY, KEY, NOTE, ORIGIN, OTHER, PAYLOAD, RECEIPT, SALT, WRITER

from indelible.client import NotProved
from indelible.client.examine import examine, members
from indelible.notes.keys import Signer, derive_seed
from indelible.notes.tlogproof import TlogProof, event_extra, format_tlog_proof

OTHER_KEY = Signer(ORIGIN, derive_seed(b"o" * 32, ORIGIN)).verifier.vkey
PROOF = format_tlog_proof(TlogProof(event_extra(ENTRY, SALT), 0, (OTHER,), NOTE.encode()))
PROVED_RECEIPT = msgspec.structs.replace(RECEIPT, proof=PROOF.decode())


def verdicts(data: bytes, payload: bytes | None = PAYLOAD, *keys: str) -> list[str]:
    """What came of each claim."""
    return [claim.verdict for claim in examine(data, payload, keys).claims]


def test_a_proof_with_its_event_and_a_trusted_key_is_proved() -> None:
    """Signature, inclusion and content: each holds, and says what it is about."""
    examined = examine(PROOF, PAYLOAD, [KEY])
    assert (examined.kind, examined.verdict) == ("proof", "proved")
    said = " ".join(claim.says for claim in examined.claims)
    for word in (ORIGIN, "event 1", "2023-11-14T22:13:20.000001Z", str(WRITER), "byte for byte"):
        assert word in said
    assert members(examined)["verdict"] == "proved"


def test_what_was_not_given_is_unproved() -> None:
    """Without a key, with another log's key, or without the event's bytes, the whole is not proved."""
    assert verdicts(PROOF) == ["unproved", "proved", "proved"]
    elsewhere = Signer("other.example/logs/x", bytes(32)).verifier.vkey
    assert verdicts(PROOF, PAYLOAD, elsewhere) == ["unproved", "proved", "proved"]
    assert verdicts(PROOF, None, KEY) == ["proved", "proved", "unproved"]
    assert examine(PROOF, None, []).verdict == "unproved"


def test_one_of_several_keys_is_enough() -> None:
    """A log's keys change: the head is signed by one of those that are trusted."""
    assert verdicts(PROOF, PAYLOAD, OTHER_KEY, KEY) == ["proved", "proved", "proved"]
    assert verdicts(PROOF, PAYLOAD, OTHER_KEY) == ["refuted", "proved", "proved"]


def test_other_bytes_are_refuted() -> None:
    """A proof of one event proves no other."""
    assert verdicts(PROOF, PAYLOAD + b" ", KEY) == ["proved", "proved", "refuted"]
    assert verdicts(PROOF, b"", KEY)[-1] == "refuted"


@given(st.integers(0, len(PROOF) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_proved(at: int, change: int) -> None:
    """Whichever byte of a proof is changed, and however: the whole is not proved any more."""
    changed = bytearray(PROOF)
    changed[at] ^= change
    with contextlib.suppress(NotProved):  # its first line is another: it is no proof at all
        assert examine(bytes(changed), PAYLOAD, [KEY]).verdict != "proved"


@given(st.integers(0, len(PROOF) - 1))
def test_a_proof_cut_short_is_never_proved(length: int) -> None:
    """Wherever a file ends too early."""
    with contextlib.suppress(NotProved):
        assert examine(PROOF[:length], PAYLOAD, [KEY]).verdict == "refuted"


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    """Whatever a file holds, it is examined or refused in words."""
    for begun in (b"", b"{", b'{"sequence":1', b"c2sp.org/tlog-proof@v1\n"):
        with contextlib.suppress(NotProved):
            assert examine(begun + data, PAYLOAD, [KEY]).verdict == "refuted"


def test_a_receipt_alone_is_a_claim() -> None:
    """It speaks of this event, and that the event is in the log is not proved; it says what to do."""
    claims = examine(msgspec.json.encode(RECEIPT), PAYLOAD, [KEY]).claims
    assert [claim.verdict for claim in claims] == ["proved", "unproved"]
    assert "indelible proof" in claims[1].says


def test_a_receipt_with_its_proof_is_proved() -> None:
    """What `Prefer: return=proof` gives needs nothing else."""
    examined = examine(msgspec.json.encode(PROVED_RECEIPT), PAYLOAD, [KEY])
    assert (examined.kind, examined.verdict) == ("receipt", "proved")


@pytest.mark.parametrize(
    "member",
    [
        {"sequence": 2},
        {"time": "2023-11-14T22:13:20.000002Z"},
        {"leaf_hash": OTHER.hex()},
        {"salt": "00" * 16},
        {"writer": str(UUID(int=1))},
        {"origin": "other.example/logs/x"},
        {"proof": PROOF.decode().replace("index 0", "index 1")},
        {"proof": ""},
    ],
)
def test_a_changed_receipt_is_refuted(member: dict[str, str | int]) -> None:
    """Each member is bound to the event, to its proof, or to both."""
    changed = {**msgspec.to_builtins(PROVED_RECEIPT), **member}
    assert examine(msgspec.json.encode(changed), PAYLOAD, [KEY]).verdict == "refuted"


def test_a_key_that_is_none_is_said() -> None:
    """A mistyped key is not taken for one that is missing."""
    with pytest.raises(NotProved, match="malformed"):
        examine(PROOF, PAYLOAD, [KEY[:-1]])
    with pytest.raises(NotProved, match="neither"):
        examine(b"PK\x03\x04", PAYLOAD, [KEY])
