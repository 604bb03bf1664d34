"""A server whose heads need cosignatures: what it serves, what it refuses, and how it comes back."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.harness.server import RunningServer, ServerEndedError, start_server
from tests.harness.witnesses import MemoryLog, RunningWitness, cli, policy, start_witness, until

from indelible.client.cosigned import check_cosignatures, parse_witnesses
from indelible.notes.cosignature import Cosigner
from indelible.notes.note import add_signatures

QUICK = {
    "INDELIBLE_LIMIT_HEADS_INTERVAL_SECONDS": "0.3",
    "INDELIBLE_LIMIT_PUBLISH_INTERVAL_SECONDS": "0.1",
    "INDELIBLE_LIMIT_WITNESS_SECONDS": "3",
    "INDELIBLE_LIMIT_WITNESS_WAIT_SECONDS": "2",
    "INDELIBLE_LIMIT_WITNESS_BACKOFF_SECONDS": "1",
}


@pytest.fixture
def witnesses(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[RunningWitness]]:
    """As many witnesses as a test asks for, which know no logs yet."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(start_witness(tmp_path / f"w{at}", name=f"w{at}.example"))
            for at in range(request.param)
        ]


def of(count: int) -> pytest.MarkDecorator:
    """Ask for so many witnesses."""
    return pytest.mark.parametrize("witnesses", [count], indirect=True, ids=[f"{count} witnesses"])


def keys_of(http: httpx.Client, log: str | None = None) -> str:
    """The verifier key of a log, or of the log of heads."""
    path = "/deployment/keys" if log is None else f"/logs/{log}/keys"
    return str(http.get(path).json()["keys"][0]["verifier_key"])


def introduce(tmp_path: Path, key: str, *numbers: int) -> None:
    """Have witnesses know a log."""
    for number in numbers:
        cli("witness", "add-log", "--data", str(tmp_path / f"w{number}"), key)


def cosigners(note: bytes, witnesses: list[RunningWitness]) -> int:
    """How many of the witnesses cosigned a checkpoint; none of them wrongly."""
    claims = check_cosignatures(note, parse_witnesses([one.vkey for one in witnesses]), 0)
    assert all(claim.verdict == "proved" for claim in claims)
    return len(claims) - 1


def restart(server: RunningServer, data: Path, *options: str) -> RunningServer:
    """Stop a server in order, and start another over its directory."""
    assert server.stop() == 0
    return start_server(data, *options, env=QUICK)


@of(3)
def test_two_of_three_are_enough_and_one_may_be_dead(tmp_path: Path, witnesses: list[RunningWitness]) -> None:
    """Every head that is served has two cosignatures, and a dead witness delays nobody."""
    rules = policy(tmp_path / "policy", 2, *witnesses)
    with start_server(tmp_path / "d", "--witness-policy", str(rules), env=QUICK) as server:
        with server.client() as http:
            introduce(tmp_path, keys_of(http), 0, 1, 2)
            witnesses[2].kill()
            http.post("/logs", json={"name": "a"})
            for number in range(1, 6):
                http.post("/logs/a/append", json={})
                found = http.get(f"/logs/a/proof/deployment?min_size={number}")
                assert found.status_code == 200, found.text
                assert cosigners(found.json()["proof"].partition("\n\n")[2].encode(), witnesses) == 2
            note = httpx.get(f"{server.url}/deployment/checkpoint").content
            assert cosigners(note, witnesses) == 2
            metrics = http.get("/metrics").text
        assert 'indelible_witness_asked_total{outcome="cosigned",witness="w0"}' in metrics
        assert 'indelible_witness_asked_total{outcome="failed",witness="w2"}' in metrics
        assert "indelible_checkpoints_unwitnessed 0.0" in metrics


@of(1)
def test_without_witnesses_nothing_new_is_served_and_appends_go_on(
    tmp_path: Path, witnesses: list[RunningWitness]
) -> None:
    """Fail-closed: what was cosigned is served on, also after a restart; newer is `not_witnessed_yet`.

    When the witnesses are back, it catches up by itself.
    """
    rules = policy(tmp_path / "policy", 1, witnesses[0])
    options = ("--witness-policy", str(rules))
    data = tmp_path / "d"
    with start_server(data, *options, env=QUICK) as server, server.client() as http:
        introduce(tmp_path, keys_of(http), 0)
        http.post("/logs", json={"name": "a"})
        http.post("/logs/a/append", json={})
        assert http.get("/logs/a/proof/deployment?min_size=1").status_code == 200
        until(lambda: not http.get("/readyz").json()["details"]["witnesses"]["unwitnessed"])
        before = httpx.get(f"{server.url}/deployment/checkpoint").content
        port = witnesses[0].port
        witnesses[0].kill()
        assert http.post("/logs/a/append", json={}).status_code == 201
        refused = http.get("/logs/a/proof/deployment?min_size=2")
        assert (refused.status_code, refused.json()["code"]) == (503, "not_witnessed_yet")
        assert int(refused.headers["retry-after"]) >= 1
        assert http.get("/readyz").json()["details"]["witnesses"]["unwitnessed"]
        assert size_of(httpx.get(f"{server.url}/deployment/checkpoint").content) == size_of(before)
        again = restart(server, data, *options)
    with again, again.client() as http:
        served = httpx.get(f"{again.url}/deployment/checkpoint")
        assert (served.status_code, size_of(served.content)) == (200, size_of(before))
        assert cosigners(served.content, witnesses[:1]) == 1
        with start_witness(tmp_path / "w0", name="w0.example", port=port):
            until(lambda: http.get("/logs/a/proof/deployment?min_size=2").status_code == 200)
            until(lambda: not http.get("/readyz").json()["details"]["witnesses"]["unwitnessed"])


def size_of(note: bytes) -> int:
    """A checkpoint's size."""
    return int(note.split(b"\n")[1])


@of(2)
def test_failing_open_is_a_choice_and_is_shown(tmp_path: Path, witnesses: list[RunningWitness]) -> None:
    """With --witness-fail-open heads are served without cosignatures, and readiness and metrics say so."""
    rules = policy(tmp_path / "policy", "all", *witnesses[:2])
    options = ("--witness-policy", str(rules), "--witness-fail-open")
    witnesses[1].kill()
    with start_server(tmp_path / "d", *options, env=QUICK) as server, server.client() as http:
        introduce(tmp_path, keys_of(http), 0)
        http.post("/logs", json={"name": "a"})
        http.post("/logs/a/append", json={})
        found = http.get("/logs/a/proof/deployment?min_size=1")
        assert found.status_code == 200
        assert cosigners(found.json()["proof"].partition("\n\n")[2].encode(), witnesses) == 0
        assert http.get("/readyz").json()["details"]["witnesses"]["fail_open"] is True
        served = [
            line for line in http.get("/metrics").text.splitlines() if "unwitnessed_served_total " in line
        ]
        assert float(served[-1].split()[-1]) >= 1


@of(1)
def test_a_log_in_the_policy_is_witnessed_itself(tmp_path: Path, witnesses: list[RunningWitness]) -> None:
    """Its checkpoint, proofs and tiles are those of cosigned heads; others go without."""
    data = tmp_path / "d"
    with start_server(data, env=QUICK) as server, server.client() as http:
        for name in ("watched", "plain"):
            http.post("/logs", json={"name": name})
            http.post(f"/logs/{name}/append", json={})
        key = keys_of(http, "watched")
        introduce(tmp_path, keys_of(http), 0)
        server.stop()
    rules = policy(tmp_path / "policy", 1, witnesses[0], logs=[key, MemoryLog().vkey])  # and of others
    with start_server(data, "--witness-policy", str(rules), env=QUICK) as server, server.client() as http:
        receipt = http.post("/logs/watched/append", json={}, headers={"Prefer": "return=proof"})
        assert receipt.status_code == 201
        assert "proof" not in receipt.json()  # the event is in; its proof can be fetched later
        assert "preference-applied" not in receipt.headers
        assert http.get("/logs/watched/checkpoint").status_code == 503
        assert http.get("/logs/watched/tile/0/000.p/1").status_code == 503
        assert http.get("/logs/plain/checkpoint").status_code == 200
        introduce(tmp_path, key, 0)
        until(lambda: http.get("/logs/watched/checkpoint").status_code == 200)
        proved = http.post("/logs/watched/append", json={}, headers={"Prefer": "return=proof"}).json()
        assert cosigners(proved["proof"].partition("\n\n")[2].encode(), witnesses) == 1
        for path in ("proof/inclusion?sequence=3", "proof/consistency?from=1", "proof/range?first=1&last=3"):
            note = http.get(f"/logs/watched/{path}").json()["checkpoint"].encode()
            assert (size_of(note), cosigners(note, witnesses)) == (3, 1)
        assert cosigners(http.get("/logs/plain/checkpoint").content, witnesses) == 0


@of(1)
def test_a_witness_learns_the_next_key_while_both_sign(
    tmp_path: Path, witnesses: list[RunningWitness]
) -> None:
    """In the overlap a witness with the old key cosigns; after it, only one that was given the new key."""
    data, brief = tmp_path / "d", {**QUICK, "INDELIBLE_LIMIT_KEY_OVERLAP_SECONDS": "4"}
    with start_server(data, env=brief) as server, server.client() as http:
        http.post("/logs", json={"name": "watched"})
        old = keys_of(http, "watched")
        introduce(tmp_path, keys_of(http), 0)
        introduce(tmp_path, old, 0)
        server.stop()
    rules = policy(tmp_path / "policy", 1, witnesses[0], logs=[old])
    with start_server(data, "--witness-policy", str(rules), env=brief) as server, server.client() as http:

        def size() -> int:
            answer = http.get("/logs/watched/checkpoint")
            return size_of(answer.content) if answer.status_code == 200 else 0

        http.post("/logs/watched/append", json={})
        until(lambda: size() == 1)
        new = http.post("/logs/watched/keys").json()["verifier_key"]
        http.post("/logs/watched/append", json={})
        until(lambda: size() == 2)
        time.sleep(4)  # the overlap is over, by the server's clock
        http.post("/logs/watched/append", json={})
        assert http.get("/logs/watched/events/3/proof").json()["code"] == "not_witnessed_yet"
        introduce(tmp_path, new, 0)
        until(lambda: size() == 3)


@of(1)
def test_what_was_cosigned_survives_a_lost_server(tmp_path: Path, witnesses: list[RunningWitness]) -> None:
    """The cosigned checkpoint stands in the object store, under proofs/, and a restore takes the newest."""
    rules = policy(tmp_path / "policy", 1, witnesses[0])
    data = tmp_path / "d"
    with start_server(data, "--witness-policy", str(rules), env=QUICK) as server, server.client() as http:
        introduce(tmp_path, keys_of(http), 0)
        http.post("/logs", json={"name": "a"})
        http.post("/logs/a/append", json={})
        note = http.get("/logs/a/proof/deployment?min_size=1").json()["proof"].partition("\n\n")[2]
        log_id = keys_of(http).split("+")[0].rpartition("/")[2]
    kept = data / "objects" / "proofs" / log_id / "checkpoint.witnessed"
    assert size_of(kept.read_bytes()) >= size_of(note.encode())
    assert cosigners(kept.read_bytes(), witnesses) == 1
    cli("backup", "--data", str(data), "--to", str(tmp_path / "b"), "--include-secrets")
    newest = add_signatures(kept.read_bytes(), [Cosigner("late.example", b"l" * 32).cosign("", 1)])
    kept.write_bytes(newest)  # what was cosigned after the backup, on the same head
    published = ("--published", str(data / "objects"))
    cli("restore", str(tmp_path / "b"), "--data", str(tmp_path / "copy"), *published)
    assert (tmp_path / "copy" / kept.relative_to(data)).read_bytes() == newest


@of(2)
def test_evidence_of_any_log_is_vouched_for_by_who_cosigns_the_log_of_heads(
    tmp_path: Path, witnesses: list[RunningWitness]
) -> None:
    """No witness ever heard of the log; evidence of it leads to the head that both of them cosigned."""
    evidence, rules = tmp_path / "evidence.zip", policy(tmp_path / "policy", 2, *witnesses)
    with (
        start_server(tmp_path / "data", "--witness-policy", str(rules), env=QUICK) as server,
        server.client() as http,
    ):
        introduce(tmp_path, keys_of(http), 0, 1)
        log = http.post("/logs", json={"name": "acme"}).json()["log_id"]
        for _ in range(3):
            assert http.post(f"/logs/{log}/append", json={"n": 1}).status_code == 201
        evidence.write_bytes(http.get(f"/logs/{log}/evidence").content)
        keys = [keys_of(http, name) for name in (log, "_audit")]
        top = keys_of(http)
    trusted = [word for key in keys for word in ("--key", key)]
    named = [word for one in witnesses for word in ("--witness", one.vkey)]
    assert "cosigned the head of" in cli("verify", str(evidence), *trusted, "--key", top, *named)
    assert "stated" in cli("verify", str(evidence), *trusted, *named)
    stranger = Cosigner("stranger.example", b"s" * 32).verifier.vkey
    cli("verify", str(evidence), *trusted, "--witness", stranger, expect=6)


def test_a_policy_that_is_none_stops_the_start(tmp_path: Path) -> None:
    """With one sentence that names the file and the line, before anything is made."""
    (tmp_path / "policy").write_text("witness w nokey http://127.0.0.1\nquorum w\n")
    with pytest.raises(ServerEndedError, match="line 1"):
        start_server(tmp_path / "d", env={"INDELIBLE_WITNESS_POLICY": str(tmp_path / "policy")})
    assert not (tmp_path / "d").exists()
