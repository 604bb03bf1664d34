"""The commit path with each step of storage failing, the failure persisted or not, and power lost there.

A seeded run of appends, large batches, changes, publications and housekeeping is repeated; each time the
disk fails at another step and stays so, the process "dies", and what the disk kept is opened again. After
every such end the whole of each log is recomputed, by hand and as `indelible fsck` does. The steps are those
of the database and those of the publisher's objects: write, sync, rename, sync of the folder.
"""

import asyncio
import functools
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.faults import failing_disk, objects_on
from tests.harness.logs import WRITERS, World, check_log, naive_leaf, naive_root

from indelible.log.group import Committed
from indelible.log.pending import AuditEvent, Change
from indelible.log.publish import load_published
from indelible.log.recompute import recompute
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.store import sqlite
from indelible.store.base import StoreError, Transaction

LIMITS = Limits(commit_group_bytes=3_000, commit_group_events=24, idempotency_keys_in_memory=6)
RUNS = 36  # of each kind, spread over the steps; those of the publisher come all
SEED = 77


@dataclass
class Account:
    """What callers were told."""

    acknowledged: dict[bytes, tuple[int, int, bytes]] = field(default_factory=dict)  # payload: receipt
    asked: list[tuple[int, tuple[bytes, ...], str | None]] = field(default_factory=list)
    changes: set[str] = field(default_factory=set)
    published: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)


async def scenario(world: World, account: Account, logs: Sequence[LogInfo], rng: random.Random) -> None:
    """Some rounds of everything that writes; ends early when the store is gone."""
    number = 0
    for turn in range(7):
        calls = []
        for _ in range(rng.randint(1, 4)):
            info = rng.choice(logs[:2])
            count = rng.choice([1, 1, 1, 4, 40])
            payloads = tuple(b"%d.%d" % (number, i) + b"x" * rng.choice([0, 30, 700]) for i in range(count))
            key = f"k{number}" if rng.random() < 0.7 else None
            account.asked.append((logs.index(info), payloads, key))
            calls.append(append(world, account, info, payloads, key))
            number += 1
        if turn % 2:
            calls.append(change(world, account, logs[2], f"change{turn}"))
        await asyncio.gather(*calls)
        world.hands.pass_by(1)
        if turn % 3 == 2:
            for info in logs[:2]:
                await publish(world, account, info)
        if world.fatal:
            return


async def append(
    world: World, account: Account, info: LogInfo, payloads: tuple[bytes, ...], key: str | None
) -> None:
    """Append, and note what was told."""
    try:
        outcome = await world.put(info, *payloads, key=key)
    except Problem as problem:
        if problem.code.name not in {"disk_full", "store_failed", "commit_unknown"}:
            raise
        return
    assert isinstance(outcome, Committed)
    for at, payload in enumerate(payloads):
        account.acknowledged[payload] = (outcome.first + at, outcome.time, outcome.leaves[at])


async def change(world: World, account: Account, audit: LogInfo, name: str) -> None:
    """A change of state with its audit event."""

    def apply(transaction: Transaction, _now: int) -> tuple[None, Sequence[AuditEvent]]:
        transaction.put_meta(name, b"1")
        return None, (AuditEvent(audit.key, WRITERS[0], name.encode()),)

    try:
        await world.committer.change(Change(apply))
    except Problem:
        return
    account.changes.add(name)


async def publish(world: World, account: Account, info: LogInfo) -> None:
    """Publish the head of now, as a checkpoint's reader makes the server do."""
    try:
        head = world.heads.get(info.key)
        published = await world.publisher.at_least(info, head.size)
    except (Problem, StoreError, OSError):
        return
    account.published.setdefault(info.key, []).append((published.size, published.root))


async def live(path: Path, account: Account, opened: Callable[[], None]) -> None:
    """One life of a server over `path`; `opened` is called when it begins to work."""
    rng = random.Random(SEED)  # noqa: S311 - a seeded run
    world = World(path, LIMITS)
    world.committer.start()
    logs = [world.store.reader.log_by_name(1, name) for name in ("a", "b", "_audit")]
    known = [info for info in logs if info is not None]
    assert len(known) == 3
    opened()
    await scenario(world, account, known, rng)
    await world.committer.stop()
    world.store._broken = world.store._broken or "the process died here"  # type: ignore[attr-defined]  # so that closing writes nothing
    world.store.close()


def check(path: Path, account: Account) -> None:
    """Open what is left: everything told holds, nothing is half, and retries add only what is missing."""

    async def work() -> None:
        world = World(path, LIMITS)
        world.committer.start()
        infos = [world.store.reader.log_by_name(1, name) for name in ("a", "b", "_audit")]
        stored: list[dict[bytes, int]] = []
        for info in infos:
            assert info is not None
            world.gate.open(info)
            stored.append(verify(world, info, account))
        for log, payloads, key in account.asked:
            there = [payload in stored[log] for payload in payloads]
            assert all(there) or not any(there), "half a batch is there"
            told = [payload in account.acknowledged for payload in payloads]
            assert all(there) or not any(told), "an acknowledged append is gone"
            if key is not None:
                info = infos[log]
                assert info is not None
                outcome: Any = await world.put(info, *payloads, key=key)
                assert isinstance(outcome, Committed) == (not any(there)), "a retry was doubled or lost"
                if any(there):
                    assert outcome.first == stored[log][payloads[0]]
        for name in (f"change{turn}" for turn in range(7)):
            happened = world.store.reader.meta(name) == b"1"
            assert happened == (name.encode() in stored[2]), "a change without its audit event"
            assert happened or name not in account.changes
        for info in infos[:2]:
            assert info is not None
            verify(world, info, account)
            await world.put(info, b"goes on")
        await world.stop()

    asyncio.run(work())


def verify(world: World, info: LogInfo, account: Account) -> dict[bytes, int]:
    """Recompute a log, and hold it against what was told and published; returns where each payload is."""
    events = check_log(world, info)
    places: dict[bytes, int] = {}
    for sequence, (_, _, payload) in enumerate(events, 1):
        assert payload not in places, "an event is there twice"
        places[payload] = sequence
    leaves: list[bytes] = []
    for chunk in world.chunks(info):
        for at, payload in enumerate(chunk.payloads()):
            leaf = naive_leaf(chunk.first + at, chunk.time, chunk.writer(at), chunk.salt(at), payload)
            leaves.append(leaf)
            receipt = account.acknowledged.get(payload)
            assert receipt in {None, (chunk.first + at, chunk.time, leaf)}
    for size, root in account.published.get(info.key, []):
        assert size <= len(leaves), "a published head is ahead of the store"
        assert naive_root(leaves[:size]) == root, "a published head is of another history"
    published = load_published(world.objects, world.keys, info)
    if published is not None:
        assert naive_root(leaves[: published.size]) == published.root
        assert published.size <= len(leaves)
    promised = max((size for size, _ in account.published.get(info.key, [])), default=0)
    assert promised <= (published.size if published else 0), "what is published is behind what was served"
    head = world.store.reader.head(info.key)
    assert head is not None
    assert list(recompute(world.store.reader, info, head, lambda _done: None)) == []
    return places


def prepare(path: Path) -> None:
    """A store with three logs, closed."""
    world = World(path, LIMITS)
    for name in ("a", "b", "_audit"):
        world.add_log(name)
    world.store.close()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["full", "error", "error after", "power"])
def test_at_whichever_step_storage_fails_what_was_told_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Acknowledged events are there once with their receipts; published heads are of the same history."""
    monkeypatch.setattr(sqlite, "WAL_PAGES_BEFORE_CHECKPOINT", 24)  # housekeeping takes part
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    prepare(fresh)
    rng = random.Random(SEED)  # noqa: S311 - a seeded run
    with failing_disk() as disk, objects_on(disk, monkeypatch):
        asyncio.run(live(shutil.copytree(fresh, tmp_path / "whole"), Account(), disk.steps.clear))
        steps = sum(step != "read" for step, _ in disk.steps)
        assert steps > 40
        written = [name for step, name in disk.steps if step != "read"]
        published = [number for number, name in enumerate(written) if "/objects" in name]
        assert len(published) > 10
        for number in sorted({*published, *rng.sample(range(steps), min(RUNS, steps))}):
            path = shutil.copytree(fresh, tmp_path / f"{number}")
            account = Account()
            disk.watch_power = end == "power"
            disk.synced = {str(path / "indelible.db"): (path / "indelible.db").read_bytes()}
            disk.objects = {}
            error = apsw.SQLITE_FULL if end == "full" else apsw.SQLITE_IOERR_FSYNC
            fail = functools.partial(disk.fail_at, number, error, after=end == "error after")
            asyncio.run(live(path, account, fail))
            disk.heal()
            disk.watch_power = False
            if end == "power":
                disk.lose_power(path)
            check(path, account)
            shutil.rmtree(path)
