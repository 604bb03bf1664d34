"""What more than one machine's parts cost or give: two nodes on one PostgreSQL, and the archive."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from bench.load import Load, Result, result, run, running
from bench.processes import Ours, ours
from bench.scenarios import EVENT, make_log, single_load
from bench.turns import Ratio, middle, ratio
from indelible.log.segment import HEADER_BYTES, decode_header

CONNECTIONS = 32
ROUNDS = 3
WARM_SECONDS = 4.0
ARCHIVE_AGE_SECONDS = "5"


class Together(NamedTuple):
    """Appends a second of one node alone, of two with a log each, and of two on one log."""

    alone: float
    apart: float
    same: float


def two_nodes(data: Path, database: str, seconds: float) -> Together:
    """The middle of three rounds each; every node has as many connections as it has alone."""
    with ours(data, database) as a, ours(data, database) as b:
        logs = [make_log(a, f"nodes-{at}") for at in range(2)]
        rounds: list[Together] = []
        for _ in range(ROUNDS):
            each = seconds / ROUNDS
            alone = run(_load(a, logs[0], each)).per_second
            rounds.append(Together(alone, _both(a, b, logs, each), _both(a, b, logs[:1] * 2, each)))
    return Together(*(sorted(column)[ROUNDS // 2] for column in zip(*rounds, strict=True)))


def _load(server: Ours, log: str, seconds: float) -> Load:
    return Load(f"{server.url}{log}/append", server.headers, EVENT, CONNECTIONS, seconds)


def _both(a: Ours, b: Ours, logs: list[str], seconds: float) -> float:
    with running(_load(a, logs[0], seconds)) as first, running(_load(b, logs[1], seconds)) as second:
        return result(first).per_second + result(second).per_second


class Archived(NamedTuple):
    """Single appends beside an archive against those without, and what the archive then holds of so many.

    Bytes are an event's: beyond its payload before compression, and all of it as it is stored.
    """

    against: Ratio
    beside: Result
    events: int
    objects: int
    beyond_payload_bytes: float
    stored_bytes: float


def archiving(work: Path, seconds: float) -> Archived:
    """Rounds by turns on two servers, one of which archives.

    A round begins when the archive has nothing left of the one before, and is measured once the first
    segments are full: so each server does in its own turn all that its appends bring.
    """
    os.environ["INDELIBLE_LIMIT_ARCHIVE_AGE_SECONDS"] = ARCHIVE_AGE_SECONDS
    try:
        with ours(work / "plain") as plain, ours(work / "archiving", archive=True) as archived:
            each = seconds / ROUNDS
            loads = [single_load(one, make_log(one, "archived"), each) for one in (plain, archived)]
            without: list[Result] = []
            beside: list[Result] = []
            events = 0
            for number in range(2 * ROUNDS):
                for load in loads if number % 2 else reversed(loads):
                    warm, found = run(load._replace(seconds=WARM_SECONDS)), run(load)
                    (without if load is loads[0] else beside).append(found)
                    if load is loads[1]:
                        events += warm.requests + found.requests
                        _wait(archived)
    finally:
        del os.environ["INDELIBLE_LIMIT_ARCHIVE_AGE_SECONDS"]
    folder = work / "archiving" / "objects" / "events" / loads[1].url.rpartition("/logs/")[2].split("/")[0]
    segments = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    inflated = sum(decode_header(data[:HEADER_BYTES]).body_bytes for data in segments)
    objects = sum(1 for path in (work / "archiving" / "objects").rglob("*") if path.is_file())
    return Archived(
        ratio(beside, without),
        middle(beside),
        events,
        objects,
        inflated / events - len(EVENT),
        sum(map(len, segments)) / events,
    )


def _wait(server: Ours) -> None:
    with server.client() as client:
        while client.get("/readyz").json()["details"]["archive"]["backlog_events"]:
            time.sleep(0.2)
