"""What is measured, each against a real server over HTTP; every append is durable before its answer."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.load import Load, Result, result, rounds, run, running
from bench.processes import Ours
from indelible.views.residence import RECENT_KEY

EVENT = (
    b'{"type":"record.updated","actor":"user_8f3a","resource":"invoice_2291",'
    b'"changes":{"status":["draft","sent"]},"ip":"192.168.1.42"}'
)
BATCH = 1_000
ROUNDS = 5


def varied_batch(start: int, count: int = BATCH) -> bytes:
    """NDJSON of events as a product would write them: some actors, more resources, a few types."""
    lines = []
    for number in range(start, start + count):
        event = {
            "type": ("record.updated", "record.created", "user.login", "file.read")[number % 4],
            "actor": f"user_{number * 7919 % 1_000:04x}",
            "resource": f"invoice_{number * 104_729 % 50_000}",
            "changes": {"status": ["draft", "sent"]},
            "ip": f"192.168.{number % 256}.{number // 256 % 256}",
        }
        lines.append(json.dumps(event, separators=(",", ":")))
    return "\n".join(lines).encode()


def make_log(server: Ours, name: str) -> str:
    """Create a log and return its path."""
    with server.client() as client:
        answer = client.post("/logs", json={"name": name})
        answer.raise_for_status()
        return f"/logs/{answer.json()['log_id']}"


def single_load(server: Ours, log: str, seconds: float, *, keyed: bool = False) -> Load:
    """Single appends at 64 connections to one log."""
    return Load(f"{server.url}{log}/append", server.headers, EVENT, 64, seconds, keyed)


def singles(server: Ours, seconds: float, *, keyed: bool) -> list[Result]:
    """Single appends to a log of their own, in several rounds; slowest first."""
    log = make_log(server, "singles-keyed" if keyed else "singles")
    return rounds(single_load(server, log, seconds, keyed=keyed), ROUNDS)


def fill_singly(server: Ours, log: str, seconds: float) -> int:
    """Append events one by one for a while, so that the log has many small chunks; returns how many."""
    return run(single_load(server, log, seconds)).requests


def peer_load(url: str, seconds: float) -> Load:
    """The same load on the peer."""
    return Load(f"{url}/logs/acme/append", {"Content-Type": "application/json"}, EVENT, 64, seconds)


def batches(server: Ours, seconds: float) -> Result:
    """Batches of 1,000 events at 4 connections to one log."""
    log = make_log(server, "batches")
    headers = {**server.headers, "Content-Type": "application/x-ndjson"}
    return run(Load(f"{server.url}{log}/append_batch", headers, varied_batch(0), 4, seconds))


def fill(server: Ours, log: str, events: int) -> float:
    """Append `events` varied events in batches; returns the seconds it took."""
    started = time.perf_counter()
    with server.client() as client:
        for start in range(0, events, 10_000):
            body = varied_batch(start, min(10_000, events - start))
            headers = {"Content-Type": "application/x-ndjson"}
            client.post(f"{log}/append_batch", content=body, headers=headers).raise_for_status()
    return time.perf_counter() - started


def replay(server: Ours, log: str, name: str, component: bytes | None) -> dict[str, float]:
    """Deploy a view (built in when no component is given) and time its replay to the head."""
    with server.client() as client:
        body = component or json.dumps({"builtin": name}).encode()
        deploying = time.perf_counter()
        client.post(f"{log}/views/{name}", content=body).raise_for_status()
        started = time.perf_counter()
        while True:
            view = client.get(f"{log}/views/{name}").json()
            if view["state"] != "replaying":
                break
            time.sleep(0.02)
        seconds = time.perf_counter() - started
    if view["state"] != "live":
        raise RuntimeError(f"the view {name} is {view['state']}: {view['error']}")
    return {
        "deploy_seconds": started - deploying,
        "events_per_second": view["applied"] / seconds,
        "events": view["applied"],
        "memory_bytes": view["memory_bytes"],
    }


def append_then_query(server: Ours, log: str, rounds: int) -> dict[str, float]:
    """Append one event, then ask a warm view for it; the time of the question alone, and of both."""
    asked, both = [], []
    with server.client() as client:
        for number in range(rounds):
            event = {"type": "record.updated", "actor": f"probe_{number}", "resource": "probe"}
            started = time.perf_counter()
            sequence = client.post(f"{log}/append", json=event).json()["sequence"]
            between = time.perf_counter()
            answer = client.post(f"{log}/views/compliance-report/query", params={"actor": f"probe_{number}"})
            ended = time.perf_counter()
            if answer.status_code != httpx.codes.OK or int(answer.headers["indelible-sequence"]) < sequence:
                raise RuntimeError(f"the answer does not cover the append: {answer.text[:200]}")
            asked.append(ended - between)
            both.append(ended - started)
    return {
        "query_p50_ms": statistics.median(asked) * 1e3,
        "query_p99_ms": quantile(asked, 0.99) * 1e3,
        "append_and_query_p50_ms": statistics.median(both) * 1e3,
        "append_and_query_p99_ms": quantile(both, 0.99) * 1e3,
    }


class Beside(NamedTuple):
    """What one tenant's single appends took while another one poured in large batches."""

    light: Result
    poured_mib_per_second: float


def other_tenant(server: Ours, seconds: float) -> Beside:
    """One workspace pours in batches of 16 MiB; single appends of another one are timed."""
    with server.client() as root:
        key = root.post("/workspaces", json={"name": f"pouring-{time.time_ns()}"}).json()["key"]["secret"]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=server.url, headers=headers) as client:
        heavy = client.post("/logs", json={"name": "heavy"}).json()["log_id"]
    log = make_log(server, f"light-{time.time_ns()}")
    body = b"\n".join([b'{"type":"x","pad":"' + b"p" * 1_620 + b'"}'] * 10_000)
    pour = Load(f"{server.url}/logs/{heavy}/append_batch", headers, body, 2, seconds + 2)
    with running(pour) as pouring:
        time.sleep(1)
        light = run(Load(f"{server.url}{log}/append", server.headers, EVENT, 1, seconds))
        poured = result(pouring)
    return Beside(light, poured.per_second * len(body) / (1 << 20))


class Verified(NamedTuple):
    """What it took to fetch evidence as a file, and to verify it without the server."""

    fetch_seconds: float
    seconds: float
    cpu_seconds: float
    memory_bytes: int
    file_bytes: int


def verify(server: Ours, log: str, folder: Path) -> Verified:
    """Fetch the evidence of a whole log, and run `indelible verify` on it, which has to prove all of it."""
    path, keys = folder / "evidence.zip", folder / "keys"
    started = time.perf_counter()
    with server.client() as client:
        with client.stream("GET", f"{log}/evidence") as answer, path.open("wb") as file:
            for piece in answer.raise_for_status().iter_bytes():
                file.write(piece)
        fetched = time.perf_counter() - started
        named = [client.get(f"{one}/keys").json()["keys"][0]["verifier_key"] for one in (log, "/logs/_audit")]
    keys.write_text("\n".join(named))
    command = [sys.executable, "-m", "indelible.cli", "verify", str(path), "--key", str(keys)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(
            f"not all of the evidence was proved: exit code {os.waitstatus_to_exitcode(status)}"
        )
    size = path.stat().st_size
    return Verified(fetched, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss << 10, size)


def disk_bytes(data: Path) -> int:
    """Size of the database with its log of pages."""
    return sum(path.stat().st_size for path in data.glob("indelible.db*"))


def forget_recent_views(data: Path) -> None:
    """Make the next start bring no view into memory before it is asked."""
    (data / "objects" / RECENT_KEY).unlink()


def view_memory_bytes(server: Ours, log: str, name: str) -> int:
    """The linear memory of a view by its own account, 0 when it is not in memory."""
    with server.client() as client:
        return int(client.get(f"{log}/views/{name}").raise_for_status().json()["memory_bytes"])


def settled_memory_bytes(server: Ours, seconds: float = 5.0) -> int:
    """The most memory that the process has had while it did what a start leaves for later."""
    most, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        most = max(most, server.own_memory_bytes())
        time.sleep(0.1)
    return most


def quantile(values: Iterable[float], at: float) -> float:
    """The value at a rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * at))]
