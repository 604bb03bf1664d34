"""Attacks on the one history of a log, by whoever has its key: a witness finds them, and the server stops."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.server import RunningServer, start_server
from tests.harness.witnesses import QUICK, RunningWitness, cli, policy, start_witness, until

from indelible.notes.addcheckpoint import AddCheckpoint, format_add
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from indelible.notes.keys import Signer, derive_seed
from indelible.notes.note import parse_note


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[RunningWitness]:
    """One witness."""
    with start_witness(tmp_path / "w") as running:
        yield running


class Victim:
    """A deployment whose logs one witness watches, with a log that is named in its policy."""

    def __init__(self, tmp_path: Path, witness: RunningWitness) -> None:
        self.data, self.witness = tmp_path / "d", witness
        with start_server(self.data, env=QUICK) as server, server.client() as http:
            self.log = http.post("/logs", json={"name": "a"}).json()
            self.keys = [self.key(http, "/logs/a/keys"), self.key(http, "/deployment/keys")]
            server.stop()
        cli("witness", "add-log", "--data", str(tmp_path / "w"), *self.keys)
        self.policy = policy(tmp_path / "policy", 1, witness, logs=self.keys[:1])

    @staticmethod
    def key(http: httpx.Client, path: str) -> str:
        """A verifier key."""
        return str(http.get(path).json()["keys"][0]["verifier_key"])

    def serve(self, data: Path | None = None) -> RunningServer:
        """Serve its directory, or a copy."""
        return start_server(data or self.data, "--witness-policy", str(self.policy), env=QUICK)

    def copy(self, name: str) -> Path:
        """A copy of all that it is, key and all."""
        return Path(shutil.copytree(self.data, self.data.with_name(name)))


def append(http: httpx.Client, count: int, say: str) -> None:
    """Append, and wait until the witness has cosigned it, and the log of heads that lists it."""
    for number in range(count):
        assert http.post("/logs/a/append", json={"say": say, "n": number}).status_code == 201
    until(lambda: http.get("/logs/a/proof/inclusion?sequence=1").status_code == 200)
    head = http.get("/logs/a").json()["head"]["size"]
    until(lambda: size_of(http.get("/logs/a/checkpoint").content) == head)
    until(lambda: http.get(f"/logs/a/proof/deployment?min_size={head}").status_code == 200)


def size_of(note: bytes) -> int:
    """A checkpoint's size."""
    return parse_checkpoint(parse_note(note).text).size


def refused(http: httpx.Client) -> list[str]:
    """The logs that are refused, as everybody can see."""
    return [each["log_id"] for each in http.get("/readyz").json()["details"]["refused"]]


def audit(http: httpx.Client) -> list[dict[str, Any]]:
    """What `_audit` says of contradictions."""
    events = http.get("/logs/_audit/events").json()["events"]
    return [each["payload"] for each in events if each["payload"]["type"] == "log.contradicted"]


def test_two_histories_for_two_clients_are_found(tmp_path: Path, witness: RunningWitness) -> None:
    """The operator serves a copy with another history: its witness has seen the first, and the copy stops.

    It signs nothing more, appends nothing more, says so at /readyz and in `_audit`, and a restart does not
    make it forget. The true one goes on.
    """
    victim = Victim(tmp_path, witness)
    with victim.serve() as true, true.client() as http:
        append(http, 3, "both")
        true.stop()
    twin = victim.copy("twin")
    with victim.serve() as true, true.client() as http:
        append(http, 2, "shown to the auditor")
        true.stop()
    with victim.serve(twin) as false, false.client() as http:
        for number in range(2):
            http.post("/logs/a/append", json={"say": "shown to the customer", "n": number})
        until(lambda: victim.log["log_id"] in refused(http))
        for path in ("/logs/a/checkpoint", "/logs/a/proof/inclusion?sequence=1"):
            assert http.get(path).json()["code"] == "log_behind_published_head"
        late = http.post("/logs/a/append", json={})
        assert (late.status_code, late.json()["code"]) == (409, "log_behind_published_head")
        until(lambda: len(refused(http)) == 2)  # the log of heads parted too
        until(lambda: {each["resource"]["name"] for each in audit(http)} == {"a", "_heads"})
        assert {each["witness"] for each in audit(http)} == {"w0"}
        assert httpx.get(f"{false.url}/deployment/checkpoint").json()["code"] == "log_behind_published_head"
        false.stop()
    with victim.serve(twin) as false, false.client() as http:
        assert http.post("/logs/a/append", json={}).status_code == 409
        false.stop()
    with victim.serve() as true, true.client() as http:
        append(http, 1, "the true one")
        assert refused(http) == []


def test_an_older_copy_does_not_go_on(tmp_path: Path, witness: RunningWitness) -> None:
    """Database and objects both set back: nothing on the machine shows it, and the witness does."""
    victim = Victim(tmp_path, witness)
    with victim.serve() as server, server.client() as http:
        append(http, 2, "old")
        server.stop()
    older = victim.copy("older")
    with victim.serve() as server, server.client() as http:
        append(http, 4, "new")
        server.stop()
    with victim.serve(older) as server, server.client() as http:
        until(lambda: victim.log["log_id"] in refused(http))
        found = http.get("/readyz").json()["details"]["refused"]
        assert any("a head of 6 events" in each["found"] for each in found)
        assert http.post("/logs/a/append", json={}).status_code == 409


def test_a_shorter_log_signed_with_the_right_key_is_not_cosigned(
    tmp_path: Path, witness: RunningWitness
) -> None:
    """With the stolen master secret any head can be signed; the witness gives its word for none of these."""
    victim = Victim(tmp_path, witness)
    with victim.serve() as server, server.client() as http:
        append(http, 5, "true")
        true = parse_checkpoint(parse_note(http.get("/logs/a/checkpoint").content).text)
        proof = http.get("/logs/a/proof/consistency?from=3&to=5").json()["hashes"]
    secret = (victim.data / "master-secret").read_bytes()
    signer = Signer(victim.log["origin"], derive_seed(secret, victim.log["origin"]))

    def ask(old_size: int, size: int, root: bytes, hashes: list[str]) -> httpx.Response:
        note = sign_checkpoint(Checkpoint(signer.name, size, root), signer)
        request = AddCheckpoint(old_size, tuple(map(bytes.fromhex, hashes)), note)
        return witness.add(format_add(request))

    assert ask(5, 5, true.root, []).status_code == 200  # the key is the right one
    for old_size, size, status in [(3, 3, 409), (0, 4, 409), (5, 5, 422), (5, 6, 422), (5, 4, 400)]:
        answer = ask(old_size, size, b"f" * 32, proof if old_size not in {0, size} else [])
        assert answer.status_code == status
        assert "— " not in answer.text
    assert ask(3, 5, true.root, proof).text == "5\n"
