"""Evidence whose second proof, in the log of heads, was made to say something else. Each is found offline."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
from tests.harness.evidence import ACME, KEYS, OTHER, Members, examined, listed, members_of, signed
from tests.harness.witnesses import MemoryLog

from indelible.merkle.entry import Entry, commitment, encode_entry
from indelible.merkle.hashing import leaf_hash
from indelible.merkle.proofs import inclusion_proof
from indelible.model.types import SERVER_WRITER
from indelible.notes.cosignature import Cosigner
from indelible.notes.note import add_signatures, parse_note
from indelible.notes.tlogproof import TlogProof, event_extra, format_tlog_proof

SALT = b"s" * 16
WITNESSES = [Cosigner(f"w{number}.example", bytes([number + 1]) * 32) for number in range(3)]
NAMES = [one.verifier.vkey for one in WITNESSES]
TOP = "audit.example.com/logs/00000000-0000-4000-8000-00000000beef"
TOP_KEY = MemoryLog(TOP).vkey
HEAD = {"type": "indelible.head", "origin": ACME.origin, "size": 21, "root": ACME.root.hex()}


def deployment(
    event: object = HEAD, writer: UUID = SERVER_WRITER, top: str = TOP, cosigners: int = 2, at: int = 2
) -> dict[str, Any]:
    """What the server says of a head: the third of five heads that are listed, cosigned by two witnesses."""
    text = json.dumps(event, separators=(",", ":"))
    entry = encode_entry(Entry(at + 1, 1_700_000_000_000_000, writer.bytes, commitment(SALT, text.encode())))
    log = MemoryLog(top)
    leaves = [b"1", b"2", b"3", b"4", b"5"]
    log.grow(*leaves[:at], leaf_hash(entry), *leaves[at + 1 :])
    note = log.checkpoint()
    lines = [one.cosign(parse_note(note).text, 1_800_000_000) for one in WITNESSES[:cosigners]]
    hashes = inclusion_proof(at, 5, log._hashes)
    proof = format_tlog_proof(TlogProof(event_extra(entry, SALT), at, hashes, add_signatures(note, lines)))
    return {"event": text, "size": 21, "proof": proof.decode()}


def evidence(second: object) -> Members:
    """Evidence with that second proof, its cover sheet signed by the log."""
    files = list(members_of().items())
    content = second if isinstance(second, bytes) else json.dumps(second).encode()
    return signed(listed(dict([*files[:-2], ("deployment.json", content), *files[-2:]])), ACME.signer)


def test_a_second_proof_is_proved_with_its_key_and_told_without() -> None:
    """With the log of heads' key it is proved; without, its signature is told, and the evidence holds."""
    good = evidence(deployment())
    assert examined(good, [*KEYS, TOP_KEY]).verdict == "proved"
    found = examined(good)
    assert found.verdict == "proved"
    assert any(claim.verdict == "stated" and TOP in claim.says for claim in found.claims)


@pytest.mark.parametrize(
    ("witnesses", "verdict"), [(NAMES[:2], "proved"), (NAMES[:1], "proved"), (NAMES, "unproved")]
)
def test_witnesses_of_the_log_of_heads_vouch_for_the_log(witnesses: list[str], verdict: str) -> None:
    """All witnesses that are named must have cosigned the head that lists this one."""
    assert examined(evidence(deployment()), witnesses=witnesses).verdict == verdict
    assert examined(members_of(), witnesses=witnesses).verdict == "unproved"


def swapped(event: dict[str, object]) -> dict[str, Any]:
    """The true proof, with another event told than the one that is proved."""
    return {**deployment(), "event": json.dumps(event, separators=(",", ":"))}


ATTACKS: dict[str, object] = {
    "a head of another size": deployment({**HEAD, "size": 22}),
    "a head of another root": deployment({**HEAD, "root": OTHER.root.hex()}),
    "another log's head": deployment({**HEAD, "origin": OTHER.origin}),
    "a head that is none": deployment({**HEAD, "type": "indelible.heads"}),
    "a head with more to it": deployment({**HEAD, "approved": True}),
    "an event of a client": deployment(writer=UUID(int=7)),
    "another deployment's log of heads": deployment(top="evil.example.com/logs/beef"),
    "an event that was not proved": {**deployment({**HEAD, "size": 20}), "event": json.dumps(HEAD)},
    "an edited event": swapped({**HEAD, "size": 21, "root": ACME.root.hex().upper()}),
    "no event": {"proof": deployment()["proof"]},
    "no proof": {"event": deployment()["event"]},
    "a proof cut short": {**deployment(), "proof": deployment()["proof"][:-90]},
    "a proof of another place": {
        **deployment(),
        "proof": deployment()["proof"].replace("index 2", "index 3"),
    },
    "a hash less": {**deployment(), "proof": re.sub(r"(index 2\n)[^\n]*\n", r"\1", deployment()["proof"])},
    "nothing": {},
    "no JSON": b"[",
    "deep JSON": b'{"event":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_second_proof_that_says_something_else_is_found(name: str) -> None:
    """Attack: another head, another log, another event, a proof that is none. Found without any key."""
    assert examined(evidence(ATTACKS[name])).verdict == "refuted"


def test_a_forged_signature_or_cosignature_is_found() -> None:
    """Attack: a log of heads signed by a stranger, and a cosignature of another text. Found with the keys."""
    proof = deployment()["proof"]
    own, cosigned = (one for one in proof.splitlines() if one.startswith(("\u2014 a", "\u2014 w0.")))
    stranger = MemoryLog(TOP, seed=b"x" * 32).grow(b"1").checkpoint().decode().splitlines()[-1]
    forged = evidence({**deployment(), "proof": proof.replace(own, stranger)})
    assert examined(forged, [*KEYS, TOP_KEY]).verdict == "refuted"
    other = deployment(at=3)["proof"].splitlines()
    elsewhere = next(one for one in other if one.startswith("\u2014 w0."))
    relabelled = evidence({**deployment(), "proof": proof.replace(cosigned, elsewhere)})
    assert examined(relabelled, witnesses=NAMES[:2]).verdict == "refuted"
