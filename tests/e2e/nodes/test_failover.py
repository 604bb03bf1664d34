"""A primary that is lost while its standby was cut off: what a client was told holds on the new one."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from tests.harness.postgres import Cluster, Standby, eventually, started
from tests.harness.proxy import Proxy
from tests.harness.server import RunningServer, start_server

from indelible.merkle.proofs import verify_consistency
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.note import parse_note

QUICK = {"INDELIBLE_LIMIT_PUBLISH_INTERVAL_SECONDS": "0.05"}


class Pair(NamedTuple):
    """A primary whose commits wait for its standby, the way between them, and the way to the primary."""

    primary: Cluster
    standby: Standby
    between: Proxy
    front: Proxy


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Synchronous replication between two real servers."""
    primary = started()
    standby: Standby | None = None
    try:
        with Proxy(primary.port) as between, Proxy(primary.port) as front:
            standby = Standby(primary, between.port)
            primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.run("SELECT pg_reload_conf()")
            states = "SELECT sync_state FROM pg_stat_replication"
            eventually(lambda: primary.run(states) == [("sync",)])
            yield Pair(primary, standby, between, front)
    finally:
        if standby is not None:
            standby.remove()
        primary.remove()


class Client:
    """Appends one event after the other, each again with its key until it is in, and looks at checkpoints."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.told: dict[int, str] = {}
        self.shown: dict[int, Checkpoint] = {}
        self.refused: list[tuple[int, str, str]] = []
        self._ended = threading.Event()
        works = (self._append, self._append, self._look)
        self._threads = [threading.Thread(target=self._repeat, args=(work,)) for work in works]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Finish what is under way."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _repeat(self, work: object) -> None:
        assert callable(work)
        with self._server.client() as http:
            while not self._ended.is_set():
                work(http)

    def _append(self, http: httpx.Client) -> None:
        name, headers = uuid.uuid4().hex, {"idempotency-key": uuid.uuid4().hex}
        while True:
            answer = http.post("/logs/a/append", json={"id": name}, headers=headers, timeout=60)
            if answer.status_code == 201:
                self.told[answer.json()["sequence"]] = name
                return
            document = answer.json()
            self.refused.append((answer.status_code, document["code"], document["effect"]))
            time.sleep(0.05)

    def _look(self, http: httpx.Client) -> None:
        answer = http.get("/logs/a/checkpoint", timeout=60)
        if answer.status_code == 200:
            found = parse_checkpoint(parse_note(answer.content).text)
            assert self.shown.setdefault(found.size, found).root == found.root
        time.sleep(0.02)


def test_nothing_that_was_told_or_signed_is_lost_with_the_primary(pair: Pair, tmp_path: Path) -> None:
    """The standby is cut off, so that commits hang; then the primary dies, and the standby takes over.

    Each append ends in a true receipt or a 503 that says whether it can have had an effect; a retry with its
    key is then safe. No checkpoint that anybody saw has an event that the new primary lacks.
    """
    url = pair.primary.create().replace(f":{pair.primary.port}/", f":{pair.front.port}/")
    with start_server(tmp_path / "d", "--database", url, env=QUICK) as server, server.client() as http:
        assert http.post("/logs", json={"name": "a"}).status_code == 201
        client = Client(server)
        eventually(lambda: len(client.told) > 50 and client.shown)
        pair.between.__exit__()
        time.sleep(1)  # whatever is asked for meanwhile hangs in its COMMIT
        cut = len(client.told)
        pair.primary.stop("immediate")
        pair.standby.promote()
        pair.front.lead_to(pair.standby.port)
        pair.front.cut()
        eventually(lambda: len(client.told) > cut + 50, 60)
        client.end()
        _check(http, client)
        server.stop()


def _check(http: httpx.Client, client: Client) -> None:
    stored: dict[int, str] = {}
    for start in range(0, max(client.told), 500):
        page = http.get("/logs/a/events", params={"after_sequence": start, "limit": 500}).json()["events"]
        stored |= {event["sequence"]: event["payload"]["id"] for event in page}
    assert sorted(stored) == list(range(1, len(stored) + 1))
    assert {at: stored.get(at) for at in client.told} == client.told
    assert sorted(stored.values()) == sorted(
        client.told.values()
    )  # each once, and none that nobody was told of
    assert {(status, effect) for status, _, effect in client.refused} <= {(503, "none"), (503, "unknown")}
    assert {code for _, code, _ in client.refused} <= {"store_unavailable", "commit_unknown"}
    assert any(effect == "unknown" for _, _, effect in client.refused)
    size = len(stored)
    eventually(lambda: f"\n{size}\n" in http.get("/logs/a/checkpoint").text)
    last = parse_checkpoint(parse_note(http.get("/logs/a/checkpoint").content).text)
    for shown in client.shown.values():
        proof = http.get("/logs/a/proof/consistency", params={"from": shown.size, "to": size}).json()[
            "hashes"
        ]
        verify_consistency(shown.size, size, shown.root, last.root, [bytes.fromhex(each) for each in proof])
    assert http.get("/readyz").json()["details"]["refused"] == []
