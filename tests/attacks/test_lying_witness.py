"""Attacks in a witness's place, or in between: only a cosignature counts that is its own, and new."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness.server import start_server
from tests.harness.witnesses import MemoryLog, lying_witness, until

from indelible.client.cosigned import check_cosignatures, parse_witnesses
from indelible.log.witness_client import (
    Contradicted,
    Cosigned,
    Elsewhere,
    Outcome,
    Question,
    Reply,
    Unanswered,
    judge_reply,
)
from indelible.notes.addcheckpoint import parse_add
from indelible.notes.cosignature import Cosigner
from indelible.notes.note import NoteSignature, add_signatures, format_note, parse_note

NOW = 1_800_000_000
SKEW = 300
ONE, TWO = Cosigner("one.example", b"1" * 32), Cosigner("two.example", b"2" * 32)
LOG = MemoryLog().grow(b"a", b"b", b"c")
TEXT = parse_note(LOG.checkpoint()).text


def lines(*signatures: NoteSignature) -> bytes:
    """Signature lines as a witness answers them."""
    return format_note(parse_note(LOG.checkpoint())._replace(signatures=signatures)).partition(b"\n\n")[2]


def outcome(status: int, body: bytes, old_size: int = 1) -> Outcome:
    """What the server makes of an answer of the witness ONE about LOG."""
    return judge_reply(Reply(status, body), Question(TEXT, 3, old_size), ONE.verifier, NOW, SKEW)


def relabelled(signature: NoteSignature) -> NoteSignature:
    """Another witness's cosignature under the name and key id of ONE."""
    return signature._replace(name=ONE.verifier.name, key_id=ONE.verifier.key_id)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (lines(TWO.cosign(TEXT, NOW)), "none of the keys"),
        (lines(relabelled(TWO.cosign(TEXT, NOW))), "does not verify"),
        (lines(ONE.cosign(TEXT, NOW), relabelled(TWO.cosign(TEXT, NOW))), "does not verify"),
        (lines(ONE.cosign(TEXT.replace("\n3\n", "\n2\n"), NOW)), "does not verify"),
        (lines(ONE.cosign(TEXT, NOW - SKEW - 1)), "is dated"),
        (lines(ONE.cosign(TEXT, NOW + SKEW + 1)), "is dated"),
        (lines(ONE.cosign(TEXT, NOW)._replace(signature=b"\xff" * 72)), "does not verify"),
        (b"", "malformed"),
        (b"cosigned\n", "malformed"),
        (b"\xff\n", "malformed"),
    ],
)
def test_a_cosignature_counts_that_is_its_own_and_new(body: bytes, why: str) -> None:
    """One of another witness, of another text, of another time, or relabelled, is none."""
    found = outcome(200, body)
    assert isinstance(found, Unanswered)
    assert why in found.why


def test_a_right_answer_counts() -> None:
    """Its own line among lines of keys that nobody knows."""
    signature = ONE.cosign(TEXT, NOW - SKEW)
    assert outcome(200, lines(TWO.cosign(TEXT, 1), signature)) == Cosigned(signature)


@pytest.mark.parametrize(
    ("status", "body", "old_size", "kind"),
    [
        (409, b"2\n", 1, Elsewhere),
        (409, b"2", 1, Elsewhere),
        (409, b"0\n", 1, Elsewhere),
        (409, b"3\n", 1, Elsewhere),
        (409, b"3\n", 3, Contradicted),  # as tlog-witness 1.0 answers two roots of one size
        (409, b"4\n", 1, Contradicted),
        (422, b"", 1, Contradicted),
        (409, b"1\n", 1, Unanswered),
        (409, b"-1\n", 1, Unanswered),
        (409, b"02\n", 1, Unanswered),
        (409, b"", 1, Unanswered),
        (409, "٢\n".encode(), 1, Unanswered),
        (409, b"99999999999999999999\n", 1, Unanswered),
        (404, b"", 1, Unanswered),
        (403, b"", 1, Unanswered),
        (500, b"", 1, Unanswered),
        (302, b"", 1, Unanswered),
        (204, b"", 1, Unanswered),
    ],
)
def test_refusals_mean_what_the_specification_says(
    status: int, body: bytes, old_size: int, kind: type[object]
) -> None:
    """A size at or below ours: from there. Above ours, or a proof that it does not take: another history."""
    assert isinstance(outcome(status, body, old_size), kind)


def test_a_relabelled_cosignature_is_refuted_offline() -> None:
    """`verify` says that it bears a name that is not its own; a missing one is merely not there."""
    keys = parse_witnesses([ONE.verifier.vkey, TWO.verifier.vkey])
    note = add_signatures(LOG.checkpoint(), [relabelled(TWO.cosign(TEXT, NOW)), TWO.cosign(TEXT, NOW)])
    claims = check_cosignatures(note, keys, 1)
    assert [claim.verdict for claim in claims] == ["refuted", "proved", "proved"]
    assert "bears the name of one.example" in claims[0].says
    alone = add_signatures(LOG.checkpoint(), [TWO.cosign(TEXT, NOW)])
    assert [claim.verdict for claim in check_cosignatures(alone, keys)] == ["proved", "unproved"]
    assert [claim.verdict for claim in check_cosignatures(alone, keys, 1)] == ["proved", "proved"]


def by(cosigner: Cosigner, change: Callable[[NoteSignature], NoteSignature]) -> Callable[[bytes], bytes]:
    """What an attacker answers: a cosignature of one whose key he has, changed."""

    def answer(body: bytes) -> bytes:
        note = parse_note(parse_add(body).checkpoint)
        signature = change(cosigner.cosign(note.text, int(time.time())))
        return format_note(note._replace(signatures=(signature,))).partition(b"\n\n")[2]

    return answer


def test_a_server_counts_no_cosignature_twice(tmp_path: Path) -> None:
    """Who holds one witness's key and another's place makes no quorum of two, by any label or replay."""
    first: list[bytes] = []

    def replay(body: bytes) -> tuple[int, bytes]:
        """The first cosignature again and again, though heads go on."""
        first.append(by(ONE, lambda signature: signature)(body))
        return 200, first[0]

    relabel = by(TWO, relabelled)
    environment = {
        "INDELIBLE_LIMIT_HEADS_INTERVAL_SECONDS": "0.2",
        "INDELIBLE_LIMIT_PUBLISH_INTERVAL_SECONDS": "0.1",
        "INDELIBLE_LIMIT_WITNESS_WAIT_SECONDS": "1",
        "INDELIBLE_LIMIT_WITNESS_BACKOFF_SECONDS": "0.1",
    }
    with lying_witness(replay) as one, lying_witness(lambda body: (200, relabel(body))) as two:
        rules = tmp_path / "policy"
        three = Cosigner("three.example", b"3" * 32).verifier.vkey
        rules.write_text(
            f"witness one {ONE.verifier.vkey} {one}\nwitness two {TWO.verifier.vkey} {two}\n"
            f"witness three {three} {two}\ngroup g 2 one two three\nquorum g\n"
        )
        options = ("--witness-policy", str(rules))
        with start_server(tmp_path / "d", *options, env=environment) as server, server.client() as http:
            http.post("/logs", json={"name": "a"})
            http.post("/logs/a/append", json={})
            refused = http.get("/logs/a/proof/deployment?min_size=1")
            assert (refused.status_code, refused.json()["code"]) == (503, "not_witnessed_yet")
            until(lambda: len(first) > 1)
            says = http.get("/readyz").json()["details"]["witnesses"]["witnesses"]
            assert "none of the keys" in says["two"]
            assert re.search("none of the keys", says["three"])
            assert http.get("/deployment/checkpoint").status_code == 503


def test_an_endless_answer_ends(tmp_path: Path) -> None:
    """A witness that answers without end is cut off at the limit, and asked again later."""
    rules = tmp_path / "policy"
    environment = {
        "INDELIBLE_LIMIT_WITNESS_ANSWER_BYTES": "1000",
        "INDELIBLE_LIMIT_WITNESS_WAIT_SECONDS": "1",
    }
    with lying_witness(lambda _: (200, b"x" * 1_001)) as url:
        rules.write_text(f"witness one {ONE.verifier.vkey} {url}\nquorum one\n")
        options = ("--witness-policy", str(rules))
        with start_server(tmp_path / "d", *options, env=environment) as server, server.client() as http:
            assert http.get("/deployment/checkpoint").status_code == 503
            says = http.get("/readyz").json()["details"]["witnesses"]["witnesses"]["one"]
            assert "more than 1000 bytes" in says
