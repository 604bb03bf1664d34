"""One node on PostgreSQL serves everything that it serves on SQLite."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.harness.calls import ROOT_KEY, refused, serving
from tests.harness.postgres import backends, cluster, eventually, sessions_of, started, terminate
from tests.harness.proxy import Proxy

from indelible.config import Settings

HEADERS = {"authorization": f"Bearer {ROOT_KEY}"}


def settings(data: Path, url: str) -> Settings:
    """A node on a database, with the events' checks at random switched off."""
    return Settings(data, port=0, root_key=ROOT_KEY, database=url)


@pytest.fixture
def url() -> str:
    """A database of the test's own."""
    return cluster().create()


@pytest.fixture
def client(tmp_path: Path, url: str) -> Iterator[httpx.Client]:
    """A client of a node on it."""
    with serving(settings(tmp_path, url)) as base, talking(base) as made:
        yield made


def talking(base: str) -> httpx.Client:
    """A client with the root key."""
    return httpx.Client(base_url=base, headers=HEADERS, timeout=60, trust_env=False)


def append(client: httpx.Client, log: str, payload: bytes, key: str | None = None) -> httpx.Response:
    """Append an event."""
    headers = {} if key is None else {"idempotency-key": key}
    return client.post(f"/logs/{log}/append", content=payload, headers=headers)


def test_a_large_batch_is_laid_and_its_key_known(client: httpx.Client) -> None:
    """In parts, as with SQLite; a second use of the key makes no events, and what was laid is covered."""
    client.post("/logs", json={"name": "a"})
    body = b"\n".join(b'{"n":%d,"x":"%s"}' % (at, b"x" * 300) for at in range(9_000))
    headers = {"content-type": "application/x-ndjson", "idempotency-key": "k"}
    first = client.post("/logs/a/append_batch", content=body, headers=headers)
    again = client.post("/logs/a/append_batch", content=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["first_sequence"] == again.json()["first_sequence"] == 1
    assert append(client, "a", b"x").json()["sequence"] == 9_001
    events = client.get("/logs/a/events", params={"limit": 1, "order": "desc"}).json()["events"]
    assert events[0]["sequence"] == 9_001
    assert client.get("/readyz").json()["details"]["refused_logs"] == 0


def test_everything_is_there_after_a_restart(tmp_path: Path, url: str) -> None:
    """Events, keys, views and the published head; idempotency keys are known, and the log goes on."""
    with serving(settings(tmp_path, url)) as base, talking(base) as client:
        client.post("/logs", json={"name": "a"})
        receipt = append(client, "a", b'{"n":1}', "k").json()
        assert client.put("/logs/a/views/v", json={}).status_code in {404, 405, 415, 422}
        proof = client.get("/logs/a/proof/event", params={"sequence": 1})
        checkpoint = client.get("/logs/a/checkpoint").text
    with serving(settings(tmp_path, url)) as base, talking(base) as client:
        again = append(client, "a", b'{"n":1}', "k")
        assert again.json() == receipt
        assert append(client, "a", b'{"n":2}').json()["sequence"] == 2
        assert client.get("/logs/a/proof/event", params={"sequence": 1}).status_code == proof.status_code
        assert client.get("/logs/a/checkpoint").text.splitlines()[0] == checkpoint.splitlines()[0]


def test_a_lost_answer_to_commit_is_told_as_unknown_and_its_key_finds_out(tmp_path: Path) -> None:
    """The node goes on; the same key gives the event that was stored, and no second one."""
    url = cluster().create()
    with Proxy(cluster().port) as proxy:
        through = url.replace(f":{cluster().port}/", f":{proxy.port}/")
        with serving(settings(tmp_path, through)) as base, talking(base) as client:
            client.post("/logs", json={"name": "a"})
            assert append(client, "a", b"1").json()["sequence"] == 1
            proxy.lose("answer", of=b'"second"')
            document = refused(append(client, "a", b'"second"', "k"), 503, "commit_unknown")
            assert document["effect"] == "unknown"
            assert append(client, "a", b'"second"', "k").json()["sequence"] == 2
            proxy.lose("request", of=b'"third"')
            refused(append(client, "a", b'"third"', "l"), 503, "commit_unknown")
            assert append(client, "a", b'"third"', "l").json()["sequence"] == 3
            payloads = [each["payload"] for each in client.get("/logs/a/events").json()["events"]]
            assert payloads == [1, "second", "third"]
            eventually(lambda: "\n3\n" in client.get("/logs/a/checkpoint").text)


def test_sessions_that_are_ended_refuse_one_call_with_no_effect(client: httpx.Client, url: str) -> None:
    """And the next one goes, on other sessions."""
    client.post("/logs", json={"name": "a"})
    append(client, "a", b"1")
    terminate(url, backends(url))
    answers = [append(client, "a", b"%d" % at) for at in range(2, 6)]
    refusals = [answer.json() for answer in answers if answer.status_code != 201]
    assert {refusal["code"] for refusal in refusals} <= {"store_unavailable"}
    assert len(refusals) <= 1
    sequences = [answer.json()["sequence"] for answer in answers if answer.status_code == 201]
    assert sequences == list(range(2, 2 + len(sequences)))


def test_a_database_that_stops_is_told_as_unavailable_and_its_logs_are_checked_again(tmp_path: Path) -> None:
    """Appends, reads and questions get 503 with no effect; all goes on when it is back."""
    own = started()
    try:
        with serving(settings(tmp_path, own.create())) as base, talking(base) as client:
            client.post("/logs", json={"name": "a"})
            append(client, "a", b"1")
            own.stop()
            document = refused(append(client, "a", b"2"), 503, "store_unavailable")
            assert (document["effect"], document["retryable"]) == ("none", True)
            for path in ("/logs", "/logs/a", "/logs/a/events", "/logs/a/checkpoint"):
                refused(client.get(path), 503, "store_unavailable")
            assert client.get("/healthz").status_code == 200
            ready = client.get("/readyz")
            assert (ready.status_code, "database" in ready.json()["details"]["database"]) == (503, True)
            own.start()
            deadline = time.monotonic() + 30
            while (answer := append(client, "a", b"2")).status_code == 503:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert answer.json()["sequence"] == 2
            eventually(lambda: client.get("/readyz").status_code == httpx.codes.OK)
    finally:
        own.remove()


def test_a_directory_belongs_to_one_kind_of_database(tmp_path: Path, url: str) -> None:
    """Served with the other kind it is refused, and commands for SQLite say what it is."""
    with serving(settings(tmp_path / "pg", url)):
        pass
    with serving(Settings(tmp_path / "lite", port=0, root_key=ROOT_KEY)):
        pass

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "indelible.cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0
        return done.stderr

    assert "SQLite" in run("serve", "--data", str(tmp_path / "lite"), "--database", url)
    assert "PostgreSQL" in run("serve", "--data", str(tmp_path / "pg"))
    for command in ("doctor", "fsck"):
        assert "PostgreSQL" in run(command, "--data", str(tmp_path / "pg"))
    assert "PostgreSQL" in run("backup", "--data", str(tmp_path / "pg"), "--to", str(tmp_path / "b"))


def test_a_database_set_back_under_a_running_node_takes_no_appends(tmp_path: Path, url: str) -> None:
    """As after a failover that lost commits: the log is behind its published head; no receipt is given."""
    name = url.rsplit("/", 1)[1]

    def closed(*statements: str) -> None:
        cluster().run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        terminate(cluster().url(), sessions_of(name))
        for statement in statements:
            cluster().run(statement)
        cluster().run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def until_answered(client: httpx.Client, payload: bytes) -> httpx.Response:
        deadline = time.monotonic() + 30
        while (answer := append(client, "a", payload)).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return answer

    with serving(settings(tmp_path, url)) as base, talking(base) as client:
        client.post("/logs", json={"name": "a"})
        append(client, "a", b"1")
        closed(f"CREATE DATABASE {name}old TEMPLATE {name}")
        assert until_answered(client, b"2").json()["sequence"] == 2
        eventually(lambda: "\n2\n" in client.get("/logs/a/checkpoint").text)
        closed(f"ALTER DATABASE {name} RENAME TO {name}new", f"ALTER DATABASE {name}old RENAME TO {name}")
        refused(until_answered(client, b"3"), 409, "log_behind_published_head")
        assert len(client.get("/logs/a/events").json()["events"]) == 1
