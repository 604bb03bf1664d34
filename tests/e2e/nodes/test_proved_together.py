"""Several nodes that publish, have cosigned, list and archive the same logs, while some are killed."""

import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.nodes import Nodes
from tests.harness.operating import run
from tests.harness.postgres import cluster
from tests.harness.server import start_server
from tests.harness.witnesses import QUICK, RunningWitness, cli, policy, start_witness, until

from indelible.client.cosigned import check_cosignatures, parse_witnesses
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.note import parse_note

SECONDS = 8
ARCHIVING = {
    **QUICK,
    "INDELIBLE_LIMIT_ARCHIVE_AGE_SECONDS": "0.3",
    "INDELIBLE_LIMIT_ARCHIVE_INTERVAL_SECONDS": "0.3",
    "INDELIBLE_LIMIT_ARCHIVE_SEGMENT_EVENTS": "256",
}


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[RunningWitness]:
    """One witness."""
    with start_witness(tmp_path / "w") as running:
        yield running


@pytest.fixture
def nodes(tmp_path: Path, witness: RunningWitness) -> Iterator[Nodes]:
    """Three nodes of a deployment with a log that the witness watches, as it does the log of heads."""
    url, data = cluster().create(), tmp_path / "d"
    with start_server(data, "--database", url) as first, first.client() as http:
        http.post("/logs", json={"name": "a"})
        paths = ("/logs/a/keys", "/deployment/keys")
        keys = [str(http.get(path).json()["keys"][0]["verifier_key"]) for path in paths]
        first.stop()
    cli("witness", "add-log", "--data", str(tmp_path / "w"), *keys)
    rules = policy(tmp_path / "policy", 1, witness, logs=keys[:1])
    made = Nodes(data, url, options=("--archive", "--witness-policy", str(rules)), env=ARCHIVING)
    yield made
    made.stop()


class Readers:
    """Clients that append at any node and look at any other; they keep what should not have been."""

    def __init__(self, nodes: Nodes, witness: RunningWitness) -> None:
        self._nodes = nodes
        self._witness = parse_witnesses([witness.vkey])
        self._keeping = threading.Lock()
        self.seen: dict[str, int] = {}
        self.roots: dict[tuple[str, int], bytes] = {}
        self.wrong: list[str] = []

    def append(self, chance: random.Random) -> None:
        """Append one event somewhere."""
        with self._nodes.any(chance).client() as http:
            http.post("/logs/a/append", json={"n": chance.random()})

    def look(self, chance: random.Random) -> None:
        """A cosigned head is cosigned, of one history, and never older than one that was shown before."""
        path = chance.choice(["/logs/a/checkpoint", "/deployment/checkpoint"])
        before = self.seen.get(path, 0)
        with self._nodes.any(chance).client() as http:
            answer = http.get(path)
        if answer.status_code != 200:
            if answer.json()["code"] not in {"not_witnessed_yet", "store_unavailable"}:
                self.wrong.append(answer.text)
            return
        claims = check_cosignatures(answer.content, self._witness, 0)
        head = parse_checkpoint(parse_note(answer.content).text)
        with self._keeping:
            if len(claims) != 2 or any(claim.verdict != "proved" for claim in claims):
                self.wrong.append(f"not cosigned: {answer.text}")
            if head.size < before:
                self.wrong.append(f"{path}: {before} was shown before {head.size}")
            if self.roots.setdefault((path, head.size), head.root) != head.root:
                self.wrong.append(f"{path}: two heads of {head.size}")
            self.seen[path] = max(self.seen.get(path, 0), head.size)

    def prove(self, chance: random.Random) -> None:
        """Any node proves that a head as large as the log is listed."""
        with self._nodes.any(chance).client() as http:
            size = http.get("/logs/a").json()["head"]["size"]
            answer = http.get("/logs/a/proof/deployment", params={"min_size": size})
        if answer.status_code == 200:
            if answer.json()["size"] < size:
                self.wrong.append(f"{answer.json()['size']} is listed, and {size} was asked for")
        elif answer.json()["code"] not in {"not_witnessed_yet", "store_unavailable", "commit_unknown"}:
            self.wrong.append(answer.text)


def churn(nodes: Nodes, readers: Readers) -> None:
    """Let clients work on all nodes for a while, while nodes are killed."""
    ended = threading.Event()

    def repeat(work: object, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - the same each time
        while not ended.is_set():
            try:
                work(chance)  # type: ignore[operator]  # a method of the readers
            except httpx.TransportError:
                continue  # that node was killed

    works = [readers.append, readers.append, readers.look, readers.look, readers.prove]
    threads = [threading.Thread(target=repeat, args=(work, at)) for at, work in enumerate(works)]
    chance = random.Random(3)  # noqa: S311 - same
    threads.append(threading.Thread(target=nodes.keep_killing, args=(chance, ended, 1.5)))
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    ended.set()
    for thread in threads:
        thread.join(60)


def state(http: httpx.Client) -> Any:
    """What a node says of itself."""
    return http.get("/readyz").json()["details"]


def test_nodes_publish_one_history_and_archive_all_of_it(
    nodes: Nodes, witness: RunningWitness, tmp_path: Path
) -> None:
    """Cosigned heads never shrink, no node takes another for a fork, a rebuilt copy is whole.

    Nodes are killed meanwhile. Afterwards every node serves the newest head, cosigned, nothing is refused,
    and the archive alone gives back all logs.
    """
    readers = Readers(nodes, witness)
    churn(nodes, readers)
    assert (readers.wrong, nodes.ended) == ([], [])
    assert readers.seen["/logs/a/checkpoint"] > 20
    with nodes.client(0) as http:
        size = http.get("/logs/a").json()["head"]["size"]
    for at in range(3):
        with nodes.client(at) as http:
            until(lambda http=http: f"\n{size}\n" in http.get("/logs/a/checkpoint").text)  # type: ignore[misc]
            assert http.get("/logs/a/proof/deployment", params={"min_size": size}).json()["size"] == size
            until(lambda http=http: not state(http)["witnesses"]["unwitnessed"])  # type: ignore[misc]
            assert state(http)["refused"] == []

    def archived() -> bool:
        with nodes.client(1) as http:
            return state(http)["archive"]["failed"] is None

    until(archived)
    nodes.stop()
    shutil.copytree(tmp_path / "d" / "objects", tmp_path / "objects")
    told = run(
        *("restore", "--from", tmp_path / "objects", "--data", tmp_path / "copy", "--json"),
        *("--master-secret", tmp_path / "d" / "master-secret"),
    )
    assert told.returncode == 0, told.stderr
    checked = run("fsck", "--data", tmp_path / "copy")
    assert checked.returncode == 0, checked.stdout
    with start_server(tmp_path / "copy") as copy, copy.client() as http:
        assert http.get("/logs/a").json()["head"]["size"] == size
