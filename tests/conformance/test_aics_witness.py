"""A witness that others wrote (aics-witness, C2SP tlog-witness) cosigns our heads, and stops our forks."""

import shutil
from hashlib import sha256
from pathlib import Path

import httpx
from tests.harness.server import start_server
from tests.harness.witnesses import MemoryLog, policy, start_aics, start_witness, until

from indelible.client.cosigned import check_cosignatures, parse_witnesses

QUICK = {
    "INDELIBLE_LIMIT_HEADS_INTERVAL_SECONDS": "0.2",
    "INDELIBLE_LIMIT_PUBLISH_INTERVAL_SECONDS": "0.1",
    "INDELIBLE_LIMIT_WITNESS_BACKOFF_SECONDS": "1",
}


def test_it_answers_as_ours_does(tmp_path: Path) -> None:
    """The same requests, right and wrong, get the same answers of both: statuses, types and sizes."""
    log = MemoryLog().grow(*(b"%d" % n for n in range(12)))
    fork = MemoryLog().grow(b"0", *(b"other %d" % n for n in range(20)))
    stranger = MemoryLog(seed=b"x" * 32).grow(b"0")
    unknown = MemoryLog("elsewhere.example/logs/x").grow(b"0")
    requests = [
        unknown.request(0),
        stranger.request(0),
        log.request(3),
        log.request(0, 0),
        log.request(0, 5),
        log.request(5, 5),
        log.request(0, 9),
        log.request(7, 9),
        fork.request(5, 9),
        fork.request(5, 5),
        log.request(5, 9).replace(b"old 5\n", b"old 05\n"),
        log.request(5, 9).replace(b"old 5\n", b"old 10\n"),
        log.request(0, 9).replace(b"old 0\n", b"old 5\n"),
        log.request(5, 9) + b"\n",
        log.request(5, 12),
        log.request(9, 9),
        b"",
    ]
    with (
        start_aics(tmp_path / "aics", log.signer.name, log.vkey) as theirs,
        start_witness(tmp_path / "ours", "--log", log.vkey) as ours,
    ):
        for request in requests:
            answers = [one.add(request) for one in (theirs, ours)]
            assert answers[0].status_code == answers[1].status_code, (request, answers[0].text)
            if answers[0].status_code == 409:
                types = [answer.headers["content-type"] for answer in answers]
                assert types == ["text/x.tlog.size"] * 2
                assert answers[0].text == answers[1].text
        path = f"/{sha256(log.signer.name.encode()).hexdigest()}/checkpoint"
        texts = [httpx.get(one.url + path).text.partition("\n\n")[0] for one in (theirs, ours)]
        assert texts[0] == texts[1]


def test_it_witnesses_a_deployment_and_stops_its_fork(tmp_path: Path) -> None:
    """Heads are served with its cosignatures, which verify; a copy with another history stops."""
    data = tmp_path / "d"
    with start_server(data, env=QUICK) as server:
        key = httpx.get(f"{server.url}/deployment/keys").json()["keys"][0]["verifier_key"]
        server.stop()
    with start_aics(tmp_path / "aics", key.split("+")[0], key) as theirs:
        options = ("--witness-policy", str(policy(tmp_path / "policy", 1, theirs)))
        with start_server(data, *options, env=QUICK) as server, server.client() as http:
            http.post("/logs", json={"name": "a"})
            for number in range(1, 4):
                http.post("/logs/a/append", json={})
                found = http.get(f"/logs/a/proof/deployment?min_size={number}")
                assert found.status_code == 200, found.text
            note = httpx.get(f"{server.url}/deployment/checkpoint").content
            claims = check_cosignatures(note, parse_witnesses([theirs.vkey]))
            assert [claim.verdict for claim in claims] == ["proved", "proved"]
            server.stop()
        shutil.copytree(data, tmp_path / "twin")
        with start_server(data, *options, env=QUICK) as server, server.client() as http:
            http.post("/logs/a/append", json={"say": "one"})
            assert http.get("/logs/a/proof/deployment?min_size=4").status_code == 200
            server.stop()
        with start_server(tmp_path / "twin", *options, env=QUICK) as twin, twin.client() as http:
            http.post("/logs/a/append", json={"say": "other"})
            until(lambda: http.get("/readyz").json()["details"]["refused_logs"] == 1)
            refused = http.get("/logs/a/proof/deployment?min_size=4").json()
            assert refused["code"] == "log_behind_published_head"
