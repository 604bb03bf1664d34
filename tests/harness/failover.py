"""Nodes over a PostgreSQL under Patroni whose primary is lost under load, again and again."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import psycopg
from tests.harness.archiving import QUICK, archived
from tests.harness.history import check_history, recorded
from tests.harness.network import apart, switch
from tests.harness.nodes import Nodes, Recorder
from tests.harness.operating import run
from tests.harness.patroni import PatroniCluster
from tests.harness.postgres import eventually

LOGS = ("one", "two", "three")
BETWEEN = 100  # appends that are acknowledged before each kill, and after the last one
PATIENCE_SECONDS = 120
Kill = Literal["postgres", "member", "cable"]
"""What is lost of the primary: its PostgreSQL alone; its Patroni as well; or, while both go on, its network.

With the last no connection ends: it is what a machine without power, or cut off, looks like to the others.
"""


class Outage(NamedTuple):
    """One kill: of which member, and the longest that no append was acknowledged around it, in seconds."""

    killed: Kill
    member: str
    followed_by: str
    seconds: float


class Outcome(NamedTuple):
    """What clients were told in all, and each outage. Nothing was lost, or there is none."""

    acknowledged: int
    refused_without_effect: int
    refused_unknown: int
    outages: list[Outage]


def survive(
    folder: Path, kills: Sequence[Kill], tell: Callable[[str], None] = lambda _words: None
) -> Outcome:
    """Run three nodes over three members, kill the primary under load, and check the recorded history.

    Raises:
        AssertionError: something that was told does not hold, or did not come about in time.
    """
    if "cable" in kills:
        return apart(lambda: _survive_apart(folder, kills, tell))
    return _survive(PatroniCluster(), folder, kills, tell)


def _survive_apart(folder: Path, kills: Sequence[Kill], tell: Callable[[str], None]) -> Outcome:
    with switch() as beside:
        return _survive(PatroniCluster(beside), folder, kills, tell)


def _survive(
    made: PatroniCluster, folder: Path, kills: Sequence[Kill], tell: Callable[[str], None]
) -> Outcome:
    with made as database:
        tell("etcd and three members run")
        with psycopg.connect(database.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE audit")
        nodes = Nodes(folder, database.url("audit"), options=("--archive",), env=QUICK)
        try:
            tell("three nodes run")
            with recorded(nodes, LOGS) as recorder:
                outages = [_outage(database, recorder, kill, tell) for kill in kills]
                _more(recorder, BETWEEN)
            tell("checking what was told")
            check_history(nodes, recorder)
            with nodes.client(0) as http:
                archived(http, PATIENCE_SECONDS)
        finally:
            nodes.stop()
        checked = run("fsck", "--data", folder, "--database", database.url("audit"))
        assert checked.returncode == 0, checked.stdout
    refused = recorder.refused
    return Outcome(len(recorder.receipts), refused["none"], refused["unknown"], outages)


def _outage(database: PatroniCluster, recorder: Recorder, kill: Kill, tell: Callable[[str], None]) -> Outage:
    """Kill the primary, wait until appends go on without it, and let it join again."""
    _more(recorder, BETWEEN)
    victim, began = database.primary(), time.monotonic()
    if kill == "cable":
        database.pull(victim)
    else:
        database.kill(victim, manager=kill == "member")
    tell(f"took {kill} of {victim.name} after {len(recorder.receipts)} acknowledged appends")
    database.wait_for_another(victim)
    _more(recorder, BETWEEN)
    followed_by = database.primary().name
    answered = sorted(receipt.answered for receipt in list(recorder.receipts) if receipt.answered > began - 1)
    longest = max(after - before for before, after in pairwise(answered))
    tell(f"{followed_by} is the primary; no append was acknowledged for {longest:.1f} s")
    if kill == "member":
        database.start(victim)
    elif kill == "cable":
        database.put_back(victim)
    database.settled()
    return Outage(kill, victim.name, followed_by, longest)


def _more(recorder: Recorder, count: int) -> None:
    """Wait until so many more appends are acknowledged."""
    wanted = len(recorder.receipts) + count
    eventually(lambda: len(recorder.receipts) >= wanted, PATIENCE_SECONDS)
