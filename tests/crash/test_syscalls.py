"""The real server with its disk failing it, call by call: EIO, ENOSPC, and a kill in the middle.

First a run is recorded: which system calls the way of an append takes, and how often. Then each kind is made
to fail at one of its occurrences, on one directory, round after round. A client appends all the while and
keeps its receipts and checkpoints. After each round the whole store is examined as `indelible fsck` does.
"""

import contextlib
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.operating import quiet
from tests.harness.server import RunningServer, start_server
from tests.harness.tracing import calls_by_thread, need_strace, traced

from indelible.log.prove import Prover
from indelible.log.read import EventReader
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import parse_checkpoint
from indelible.operate.fsck import fsck
from indelible.operate.sites import Site

SEED = 20_261
SECONDS = 40  # after which no other round begins: a slow machine takes fewer
CALLS = ("pwrite64", "fdatasync", "fsync", "rename", "ftruncate", "mkdir", "unlink")
EACH = {
    # how the call fails: how many rounds of each, as there are such calls
    "pwrite64": {"error=EIO": 2, "error=ENOSPC": 2, "signal=SIGKILL": 3},
    "fdatasync": {"error=EIO": 2, "signal=SIGKILL": 3},
    "fsync": {"error=EIO": 2, "error=ENOSPC": 1, "signal=SIGKILL": 2},
    "rename": {"error=EIO": 1, "signal=SIGKILL": 1},
    "ftruncate": {"error=EIO": 1, "signal=SIGKILL": 1},
    "unlink": {"signal=SIGKILL": 1},
}
BATCH = b"\n".join(b'{"type":"x","n":%d}' % number for number in range(3_000))


@dataclass
class Kept:
    """What the client was told: payloads by their sequence with their leaf hashes, and checkpoints."""

    events: dict[int, tuple[bytes, str]] = field(default_factory=dict)
    checkpoints: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    number: int = 0


def load(http: httpx.Client, log: str, kept: Kept) -> None:
    """Append until it is enough, or the server is gone; a large batch and a proof among single events."""
    with contextlib.suppress(httpx.TransportError):
        for turn in range(14):
            kept.number += 1
            body = b'{"type":"x","number":%d}' % kept.number
            note(http.post(f"/logs/{log}/append", content=body), kept, body)
            if turn == 6:
                headers = {"content-type": "application/x-ndjson"}
                path = f"/logs/{log}/append_batch?receipts=true"
                note(http.post(path, content=BATCH, headers=headers), kept, BATCH)
            if turn in {3, 9}:
                answer = http.get(f"/logs/{log}/checkpoint")
                kept.checkpoints += [answer.text] if answer.status_code == 200 else []


def note(answer: httpx.Response, kept: Kept, body: bytes) -> None:
    """Keep a receipt; anything else must be a refusal that says what to do."""
    told: dict[str, Any] = answer.json()
    if answer.status_code != 201:
        assert told["code"] in {"disk_full", "commit_unknown", "store_failed", "stopping"}, told
        kept.refused.add(told["code"])
    elif "sequence" in told:
        kept.events[told["sequence"]] = (body, told["leaf_hash"])
    else:
        first, leaves = told["first_sequence"], told["leaf_hashes"]
        for at, payload in enumerate(body.split(b"\n")):
            kept.events[first + at] = (payload, leaves[at])


def one_round(data: Path, log: str, kept: Kept, expression: str, output: str = "/dev/null") -> None:
    """Serve, trace, append, stop: the server may end by itself at any time."""
    with (
        start_server(data) as server,
        server.client() as http,
        traced(server.process.pid, expression, output),
    ):
        load(http, log, kept)
        end(server)


def end(server: RunningServer) -> None:
    """Ask the server to end, and wait until it has: a failed disk or the kill may have come first."""
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    server.process.wait(40)


def examine(data: Path, kept: Kept) -> None:
    """Nothing differs, every receipt holds, and every checkpoint that was served is proved by the store."""
    differences, count = fsck(data, DEFAULT_LIMITS, quiet)
    assert differences == [], count
    with Site(data) as site:
        (info,) = [info for info in site.logs() if info.name == "failing"]
        events = EventReader(site.reader)
        prover = Prover(site.reader, events)
        head = site.reader.head(info.key)
        assert head is not None
        for sequence, (payload, leaf) in kept.events.items():
            assert sequence <= head.size, "an acknowledged event is gone"
            assert prover.leaf(info.key, sequence).hex() == leaf
            assert payload
        for sequence in random.Random(len(kept.events)).sample(sorted(kept.events), 40):  # noqa: S311 - any will do
            event = events.event(info.key, sequence)
            assert event is not None
            assert event.payload == kept.events[sequence][0]
        for text in kept.checkpoints:
            checkpoint = parse_checkpoint(text.split("\n\n")[0] + "\n")
            assert prover.root_at(info.key, checkpoint.size) == checkpoint.root


@pytest.mark.slow
def test_whichever_system_call_fails_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """No acknowledged event is lost, and no checkpoint was served that the store cannot prove."""
    need_strace()
    rng = random.Random(SEED)  # noqa: S311 - a seeded run
    data, kept = tmp_path / "data", Kept()
    with start_server(data) as server, server.client() as http:
        log = http.post("/logs", json={"name": "failing"}).json()["log_id"]
        assert server.stop() == 0
    trace = tmp_path / "trace"
    one_round(data, log, kept, f"trace={','.join(CALLS)}", str(trace))
    examine(data, kept)
    recorded = calls_by_thread(trace, data)
    assert {"pwrite64", "fdatasync", "fsync", "rename"} <= set(recorded), recorded
    rounds = [
        (again, name, failure, rng.randint(1, recorded[name]))
        for name, failures in EACH.items()
        if name in recorded
        for failure, times in failures.items()
        for again in range(times)
    ]
    started, done = time.monotonic(), 0
    for _, name, failure, when in sorted(rounds):  # each kind once, before any comes again
        if time.monotonic() - started > SECONDS:
            break
        print(f"seed {SEED}: {name} {failure} at its {when}. call of {recorded[name]}")  # noqa: T201 - shown when it fails
        one_round(data, log, kept, f"inject={name}:{failure}:when={when}")
        examine(data, kept)
        done += 1
    assert done >= 3
    assert kept.refused, "no fault was ever felt"
    with start_server(data) as server, server.client() as http:
        assert http.post(f"/logs/{log}/append", content=b"goes on").status_code == 201
        assert http.get("/readyz").json()["details"]["refused_logs"] == 0
        assert server.stop() == 0
    examine(data, kept)
