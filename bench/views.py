"""What views cost: guest languages beside plain Python, `report`, twenty views of a log, and a cold one."""

import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

from bench import scenarios
from bench.processes import Ours, ours

VIEWS = 20
ASKED = 50
TURNS = 3


class Folded(NamedTuple):
    """One view on a log: events a second, its memory at the end, and the median time of a question."""

    per_second: float
    memory_bytes: float
    query_ms: float


def guest(server: Ours, log: str, language: str, component: bytes) -> Folded:
    """The middle of some replays; each deployment is deleted, so that the next one begins at nothing."""
    found = sorted(_replayed(server, log, f"view-{language}".lower(), component) for _ in range(TURNS))
    return found[TURNS // 2]


def _replayed(server: Ours, log: str, name: str, component: bytes | None) -> Folded:
    result = scenarios.replay(server, log, name, component)
    with server.client() as client:
        times = []
        for _ in range(ASKED):
            started = time.perf_counter()
            client.post(f"{log}/views/{name}/query").raise_for_status()
            times.append(time.perf_counter() - started)
        client.delete(f"{log}/views/{name}").raise_for_status()
    return Folded(result["events_per_second"], result["memory_bytes"], statistics.median(times) * 1e3)


def plain_python(events: int) -> float:
    """Events a second of the same fold in this process, over payloads that are in memory already."""
    payloads = scenarios.varied_batch(0, events).split(b"\n")
    counts: dict[str, int] = {}
    size = unreadable = untyped = 0
    started = time.perf_counter()
    for payload in payloads:
        size += len(payload)
        try:
            event = json.loads(payload)
        except ValueError:
            unreadable += 1
            continue
        kind = event.get("type") if isinstance(event, dict) else None
        if isinstance(kind, str):
            counts[kind] = counts.get(kind, 0) + 1
        else:
            untyped += 1
    seconds = time.perf_counter() - started
    if sum(counts.values()) + unreadable + untyped != events:
        raise RuntimeError("the fold in plain Python lost events")
    return events / seconds


class Compared(NamedTuple):
    """`report` with one specification and `compliance-report`, on one log, by turns."""

    report: Folded
    compliance: Folded


def report(server: Ours, log: str) -> Compared:
    """Every change with before and after: what `compliance-report` keeps too."""
    ours_: list[Folded] = []
    theirs: list[Folded] = []
    for _ in range(TURNS):
        for name, found in (("object-lifecycle", ours_), ("compliance-report", theirs)):
            found.append(_replayed(server, log, name, None))
    return Compared(sorted(ours_)[TURNS // 2], sorted(theirs)[TURNS // 2])


class Twenty(NamedTuple):
    """Seconds from the deployment of the first until all are at the head, and of the processor."""

    one_cpu: float
    one_seconds: float
    all_cpu: float
    all_seconds: float


def twenty(server: Ours, log: str, component: bytes) -> Twenty:
    """One view of a log, the middle of three, against twenty that are deployed at once."""
    _deployed(server, log, component, 1)  # compiles it
    ones = sorted(_deployed(server, log, component, 1) for _ in range(TURNS))
    both = _deployed(server, log, component, VIEWS)
    return Twenty(*ones[TURNS // 2], *both)


def _deployed(server: Ours, log: str, component: bytes, count: int) -> tuple[float, float]:
    names = [f"many-{number}" for number in range(count)]
    cpu, started = server.cpu_seconds(), time.perf_counter()
    with server.client() as client:
        for name in names:
            client.post(f"{log}/views/{name}", content=component).raise_for_status()
        while any(client.get(f"{log}/views/{name}").json()["state"] == "replaying" for name in names):
            time.sleep(0.05)
        took = server.cpu_seconds() - cpu, time.perf_counter() - started
        for name in names:
            client.delete(f"{log}/views/{name}").raise_for_status()
    return took


def cold(data: Path, events: int) -> float:
    """Seconds to the first answer of `compliance-report` after a start that left it out of memory."""
    with ours(data) as server:
        log = scenarios.make_log(server, "cold")
        scenarios.fill(server, log, events)
        scenarios.replay(server, log, "compliance-report", None)
    scenarios.forget_recent_views(data)
    with ours(data) as server, server.client() as client:
        started = time.perf_counter()
        client.post(f"{log}/views/compliance-report/query", params={"actor": "user_0001"}).raise_for_status()
        return time.perf_counter() - started
