"""`kill -9` at random moments under load, more than fifty times on one directory.

After each restart: what was acknowledged is there once, with the same receipt; nothing is half; a retry with
its key adds nothing that was there. In the end the whole log is recomputed, all checkpoints that were ever
seen are proved to be of one history, and a view that lived through it says what a fresh one says.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.logs import naive_leaf, naive_root
from tests.harness.server import RunningServer, ServerEndedError, start_server

from indelible.merkle.proofs import verify_consistency
from indelible.model.instants import parse_instant
from indelible.notes.checkpoint import Checkpoint, open_checkpoint
from indelible.notes.keys import Verifier

KILLS = 52
CLIENTS = 8
SECONDS = 0.4  # a round of load, at most
SEED = 20_251


@dataclass
class Call:
    """One append, of one event or of a batch: what was sent, and what was answered."""

    name: str
    payloads: list[bytes]
    key: str | None
    receipt: dict[str, Any] | None = None
    sent: bool = False

    def request(self) -> tuple[str, bytes, dict[str, str]]:
        """Path, body and headers."""
        headers = {"Idempotency-Key": self.key} if self.key else {}
        if len(self.payloads) == 1:
            return "append", self.payloads[0], headers
        return "append_batch?receipts=true", b"[" + b",".join(self.payloads) + b"]", headers


@dataclass
class History:
    """What the clients know, and the log as it was read last."""

    calls: list[Call] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: dict[int, bytes] = field(default_factory=dict)

    def new_call(self, rng: random.Random) -> Call:
        """A call that was not made before, of unique bytes."""
        number = len(self.calls)
        size = rng.choices([1, 3, 40, 2_600], weights=[70, 15, 13, 2])[0]
        payloads = [
            {"type": "x", "actor": f"a{number % 5}", "resource": f"r{number % 7}", "n": [number, i]}
            for i in range(size)
        ]
        key = f"key-{number}" if rng.random() < 0.6 else None
        call = Call(f"call {number}", [json.dumps(payload).encode() for payload in payloads], key)
        self.calls.append(call)
        return call

    def unanswered(self) -> list[Call]:
        """Calls with a key whose answer never came: a client tries them again."""
        return [call for call in self.calls if call.key and call.sent and call.receipt is None]


async def one_client(http: httpx.AsyncClient, log: str, history: History, rng: random.Random) -> None:
    """Retry what got no answer, then make new calls, until the server is gone."""
    retries = [call for call in history.unanswered() if rng.random() < 0.5]
    while True:
        again = rng.random() < 0.05 and history.calls
        call = retries.pop() if retries else rng.choice(history.calls) if again else history.new_call(rng)
        if call.key is None and call.sent:
            continue
        path, body, headers = call.request()
        call.sent, before = True, call.receipt
        try:
            answer = await http.post(f"/logs/{log}/{path}", content=body, headers=headers)
        except httpx.TransportError:
            return
        assert answer.status_code in {201, 503}, answer.text
        if answer.status_code != 201:
            continue
        receipt = answer.json()
        assert call.receipt is None or call.receipt == receipt, call.name
        assert before is None or answer.headers["idempotent-replayed"] == "true"
        call.receipt = receipt


async def load(server: RunningServer, log: str, history: History, rng: random.Random) -> None:
    """Concurrent clients, and a kill among them; sometimes right after a request to end."""
    headers = {"Authorization": f"Bearer {server.root_key}"}
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30, limits=limits) as http:
        clients = [asyncio.create_task(one_client(http, log, history, rng)) for _ in range(CLIENTS)]
        await asyncio.sleep(rng.uniform(0.01, SECONDS))
        if rng.random() < 0.2:
            server.process.terminate()
            await asyncio.sleep(rng.uniform(0, 0.05))
        server.process.kill()
        await asyncio.gather(*clients)
    server.process.wait(30)


def read_on(http: httpx.Client, log: str, history: History) -> None:
    """Read what is new in the log; what was read before is re-read in part and is the same."""
    known = len(history.events)
    after = max(0, known - 50)
    lines = []
    query = {"after_sequence": str(after), "bytes": "true"}
    headers = {"Accept": "application/x-ndjson"}
    with http.stream("GET", f"/logs/{log}/events", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        lines = [json.loads(line) for line in answer.iter_lines()]
    assert lines[: known - after] == history.events[after:], "events that were read have changed or gone"
    history.events += lines[known - after :]
    assert [event["sequence"] for event in history.events[after:]] == list(
        range(after + 1, len(history.events) + 1)
    )


def check_calls(history: History) -> None:
    """Each call is in the log once, whole and as its receipt says, or not at all where no receipt came."""
    places: dict[bytes, list[int]] = {}
    for event in history.events:
        places.setdefault(base64.b64decode(event["payload_base64"]), []).append(event["sequence"])
    for call in history.calls:
        found = [places.get(payload, []) for payload in call.payloads]
        assert all(len(where) <= 1 for where in found), f"{call.name} is there twice"
        assert len({bool(where) for where in found}) == 1, f"{call.name} is half there"
        receipt = call.receipt
        if receipt is None:
            continue
        assert found[0], f"{call.name} was acknowledged and is gone"
        first = int(receipt["sequence"] if "sequence" in receipt else receipt["first_sequence"])
        assert [where[0] for where in found] == list(range(first, first + len(found))), call.name
        event = history.events[first - 1]
        assert (event["time"], event["writer"]) == (receipt["time"], receipt["writer"])
        if "salt" in receipt:
            assert event["salt"] == receipt["salt"]
            assert leaf_of(event).hex() == receipt["leaf_hash"]


def leaf_of(event: dict[str, Any]) -> bytes:
    """The leaf hash of an event as it was read."""
    return naive_leaf(
        event["sequence"],
        parse_instant(event["time"]),
        bytes.fromhex(event["writer"].replace("-", "")),
        bytes.fromhex(event["salt"]),
        base64.b64decode(event["payload_base64"]),
    )


def keep_checkpoint(http: httpx.Client, log: str, history: History) -> None:
    """Remember the checkpoint that is served; of one size there is one."""
    note = http.get(f"/logs/{log}/checkpoint").content
    size = int(note.split(b"\n")[1])
    if history.checkpoints:
        assert size >= max(history.checkpoints), "a published head went back"
    assert history.checkpoints.setdefault(size, note) == note


def check_checkpoints(http: httpx.Client, log: str, history: History, leaves: list[bytes]) -> None:
    """Each is signed by the log's key, is of the events read, and is proved consistent with the next."""
    (declared,) = http.get(f"/logs/{log}/keys").json()["keys"]
    verifier = Verifier.parse(declared["verifier_key"])
    seen: list[Checkpoint] = []
    for _, note in sorted(history.checkpoints.items()):
        checkpoint, _ = open_checkpoint(note, verifier)
        assert checkpoint.root == naive_root(leaves[: checkpoint.size])
        seen.append(checkpoint)
    for old, new in itertools.pairwise(seen):
        answer = http.get(f"/logs/{log}/proof/consistency", params={"from": old.size, "to": new.size}).json()
        hashes = [bytes.fromhex(text) for text in answer["hashes"]]
        verify_consistency(old.size, new.size, old.root, new.root, hashes)


def deploy(http: httpx.Client, log: str, name: str) -> None:
    """Deploy the built-in report."""
    answer = http.post(f"/logs/{log}/views/{name}", content=b'{"builtin": "compliance-report"}', timeout=120)
    assert answer.status_code == 201, answer.text


def report(http: httpx.Client, log: str, name: str) -> bytes:
    """What a view answers, byte for byte but for the moment of asking."""
    answer = http.post(f"/logs/{log}/views/{name}/query?after=2020-01-01&before=2100-01-01", timeout=120)
    assert answer.status_code == 200, answer.text
    content, moments = re.subn(rb'"asked_at":"[^"]*"', b"", answer.content)
    assert moments == 1
    return content


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_half_or_doubled_by_kills(tmp_path: Path) -> None:
    """The claim of this file's first lines, over more than fifty kills on one directory."""
    with start_server(tmp_path) as server:
        with server.client() as http:
            log = http.post("/logs", content=b'{"name": "killed"}').json()["log_id"]
            deploy(http, log, "lived")
        server.kill()
    rng = random.Random(SEED)  # noqa: S311 - a seeded run
    history = History()
    for _ in range(KILLS):
        with start_server(tmp_path) as server:
            with server.client() as http:
                read_on(http, log, history)
                keep_checkpoint(http, log, history)
            asyncio.run(load(server, log, history, rng))
    with start_server(tmp_path) as server, server.client() as http:
        for call in history.unanswered():
            path, body, headers = call.request()
            answer = http.post(f"/logs/{log}/{path}", content=body, headers=headers)
            assert answer.status_code == 201, answer.text
            call.receipt = answer.json()
        read_on(http, log, history)
        keep_checkpoint(http, log, history)
        check_calls(history)
        leaves = [leaf_of(event) for event in history.events]
        times = [event["time"] for event in history.events]
        assert times == sorted(times)
        check_checkpoints(http, log, history, leaves)
        deploy(http, log, "fresh")
        assert report(http, log, "lived") == report(http, log, "fresh")
        assert len(history.events) > 1_000
        assert server.stop() == 0


def test_a_kill_while_it_starts_for_the_first_time_leaves_a_directory_that_starts(tmp_path: Path) -> None:
    """At whichever moment of its first start it dies: the next start works, and its name and keys stay."""
    rng = random.Random(SEED)  # noqa: S311 - a seeded run
    for attempt in range(8):
        path = tmp_path / str(attempt)
        for _ in range(2):
            start_and_kill(path, rng.uniform(0.25, 0.9))
        with start_server(path) as server, server.client() as http:
            logs = http.get("/logs").json()["logs"]
            assert [log["name"] for log in logs] == ["_audit"]
            assert server.stop() == 0


def start_and_kill(path: Path, seconds: float) -> None:
    """Kill a server a while after its start, listening or not."""
    with contextlib.suppress(ServerEndedError):
        start_server(path, before=("timeout", "-s", "KILL", f"{seconds:.3f}")).wait(20)
