"""Lanes: a large batch is laid in parts, and nobody ever sees a part."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.faults import Disk, failing_disk
from tests.harness.logs import START, WRITERS, World, check_log

from indelible.log.group import Committed, Known
from indelible.log.read import Span
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.model.types import LogInfo

GROUP = {"commit_group_bytes": 4_000, "commit_group_events": 64}


@asynccontextmanager
async def world(path: Path, **limits: Any) -> AsyncIterator[World]:
    """A world whose batches are large early, with its committer running; at the end nothing waits in it."""
    made = World(path, Limits(**{**GROUP, **limits}))
    made.committer.start()
    try:
        yield made
        assert made.committer._waiting_bytes == 0
        assert made.committer._waiting_of == {}
        assert not made.lanes._closed
        assert not made.lanes._under_way
        assert not made.lanes._large
    finally:
        await made.stop()


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Stores of the test stand on a disk that can be made to fail."""
    with failing_disk() as shim:
        yield shim


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(asyncio.wait_for(work, 120))


def batch(name: str, events: int, size: int = 40) -> list[bytes]:
    """Payloads that say which batch they are of, and where in it."""
    return [f"{name}.{at}".encode().ljust(size) for at in range(events)]


async def laid(w: World, log: LogInfo) -> None:
    """Return when chunks of a log lie beyond its head."""
    while not w.store.reader.chunks(log.key, 1, 9):  # noqa: ASYNC110 - the committer's thread tells nobody
        await asyncio.sleep(0)


def outcome(result: object) -> str:
    """What a call was told, in a word."""
    if isinstance(result, Problem):
        return result.code.name
    return type(result).__name__


def check_batch(events: list[tuple[int, bytes, bytes]], result: object, payloads: list[bytes]) -> None:
    """A batch stands in one piece where its receipt says, with one time."""
    assert isinstance(result, Committed)
    part = events[result.first - 1 : result.first - 1 + len(payloads)]
    assert [payload for _, _, payload in part] == payloads
    assert {time for time, _, _ in part} == {result.time}


@pytest.mark.parametrize("seed", range(6))
def test_any_mix_keeps_every_log_whole(tmp_path: Path, seed: int) -> None:
    """Small and large, on one log and on others, some callers gone: no gap, no half, one time a batch."""

    async def work() -> None:
        choose = random.Random(seed)  # noqa: S311 - a test's choice
        async with world(tmp_path) as w:
            logs = [
                w.add_log(name, workspace)
                for workspace in "vw"
                for name in (workspace + "1", workspace + "2")
            ]
            w.hands.step = 3
            calls: list[tuple[LogInfo, list[bytes], asyncio.Task[Committed | Known]]] = []
            gone: list[tuple[LogInfo, list[bytes]]] = []
            for number in range(80):
                log = choose.choice(logs)
                payloads = batch(f"{number}", choose.choice((1, 1, 2, 3, 65, 150, 400)))
                task = asyncio.create_task(w.put(log, *payloads, writer=choose.choice(WRITERS)))
                calls.append((log, payloads, task))
                for _ in range(choose.choice((0, 0, 1, 3))):
                    await asyncio.sleep(0)
                if choose.random() < 0.15:
                    await asyncio.sleep(0)
                    task.cancel()
                    gone.append((log, payloads))
                if choose.random() < 0.1:
                    await asyncio.wait([task])
            results = await asyncio.gather(*(task for _, _, task in calls), return_exceptions=True)
            while w.committer._waiting_bytes:  # noqa: ASYNC110 - what callers left behind tells nobody
                await asyncio.sleep(0.001)
            events = {log.key: check_log(w, log) for log in logs}
            told = [
                (log, payloads, result)
                for (log, payloads, _), result in zip(calls, results, strict=True)
                if not isinstance(result, asyncio.CancelledError)
            ]
            for log, payloads, result in told:
                check_batch(events[log.key], result, payloads)
            left = sum(map(len, events.values())) - sum(len(payloads) for _, payloads, _ in told)
            assert 0 <= left <= sum(len(payloads) for _, payloads in gone)

    run(work())


def test_a_small_append_whose_caller_left_still_holds_the_lane(tmp_path: Path) -> None:
    """It will be committed, so nothing may be laid after the head that it is about to move."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            others = [w.add_log(f"other{number}") for number in range(6)]
            before = [asyncio.create_task(w.put(other, b"x" * 3_900)) for other in others]
            small = asyncio.create_task(w.put(log, b"small"))
            await asyncio.sleep(0)  # all of them are submitted, and the small one comes in a late group
            small.cancel()
            payloads = batch("large", 300)
            result = await w.put(log, *payloads)
            await asyncio.gather(*before)
            events = check_log(w, log)
            assert [payload for _, _, payload in events][:1] == [b"small"]
            check_batch(events, result, payloads)

    run(work())


def test_parts_are_laid_after_the_head_they_were_made_for_only(tmp_path: Path) -> None:
    """Whatever moved the head meanwhile, the batch is refused and nothing of it stays."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            payloads = batch("large", 5_000, 200)
            large = asyncio.create_task(w.put(log, *payloads))
            await laid(w, log)
            await w.committer.submit(w.append(log, [b"intruder"]))  # past the lanes
            (result,) = await asyncio.gather(large, return_exceptions=True)
            assert outcome(result) in {"store_failed", "Committed"}
            await w.put(log, b"after")
            events = [payload for _, _, payload in check_log(w, log)]
            assert events[0] == b"intruder"
            assert events[-1] == b"after"
            assert events[1:-1] in ([], payloads)

    run(work())


def test_nobody_reads_what_is_laid(tmp_path: Path) -> None:
    """While parts lie beyond the head: pages, columns, times, checks and proofs end at the head."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            small = batch("small", 10)
            await w.put(log, *small)
            seen = 0
            large = asyncio.create_task(w.put(log, *batch("large", 5_000, 200)))
            while not large.done():
                head = w.heads.get(log.key)
                laid = w.store.reader.chunks(log.key, 11, 9)
                if head.size == 10 and laid[-1].first > 10:
                    seen += 1
                    events, more = w.events.page(log.key, Span(1, head.size), 99, 1 << 20)
                    assert ([event.payload for event in events], more) == (small, False)
                    assert len(w.events.columns(log.key, Span(1, head.size), 99, 1 << 20).payloads) == 10
                    assert w.events.first_at_or_after(log.key, head.size, START * 2) == 11
                    assert w.prover.root_at(log.key, head.size) == head.root
                    assert w.gate.check(log) is None
                    w.gate._open.clear()
                await asyncio.sleep(0)
            assert seen
            check_batch(check_log(w, log), await large, batch("large", 5_000, 200))

    run(work())


# ---------------------------------------------------------------------- keys and expectations


def test_large_twins_at_once_are_one(tmp_path: Path) -> None:
    """One key, the same bytes, at the same moment: one is committed, the others hear where."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            payloads = batch("large", 200)
            results = await asyncio.gather(*(w.put(log, *payloads, key="k") for _ in range(4)))
            assert sorted(map(outcome, results)) == ["Committed", "Known", "Known", "Known"]
            assert {result.first for result in results} == {1}
            await w.put(log, b"after")
            assert len(check_log(w, log)) == 201

    run(work())


def test_a_large_batch_keeps_to_its_expectation(tmp_path: Path) -> None:
    """At the head that it expects it is taken; at another it hears the real one, and its key stays unused."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            payloads = batch("large", 200)
            results = await asyncio.gather(
                w.put(log, *payloads, expected=0),
                w.put(log, *payloads, expected=0),
                w.put(log, *payloads, expected=0, key="k"),
                w.put(log, *payloads, expected=400, key="k"),
                return_exceptions=True,
            )
            assert list(map(outcome, results)) == [
                "Committed", "sequence_mismatch", "sequence_mismatch", "sequence_mismatch",
            ]  # fmt: skip
            assert all(isinstance(r, Problem) and r.facts["head"] == 200 for r in results[1:])
            again = await w.put(log, *payloads, expected=200, key="k")
            assert again.first == 201
            retried = await w.put(log, *payloads, expected=200, key="k")
            assert (outcome(retried), retried.first) == ("Known", 201)
            assert len(check_log(w, log)) == 400

    run(work())


# ---------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("heal_first", [True, False])
def test_a_disk_full_at_any_part_leaves_nothing(
    tmp_path: Path, disk: Disk, part: int, heal_first: bool
) -> None:
    """The batch is refused as a whole; also a small append that meets the full disk spoils nothing."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            await w.put(log, b"before")
            commits = 0

            def decide(step: str, name: str) -> int | None:
                nonlocal commits
                commits += step == "sync" and name.endswith("-wal")
                return apsw.SQLITE_FULL if step == "write" and commits > part else None

            disk.decide = decide
            (result,) = await asyncio.gather(w.put(log, *batch("large", 5_000, 200)), return_exceptions=True)
            assert outcome(result) == "disk_full"
            assert len(check_log(w, log)) == 1
            if not heal_first:
                (refused,) = await asyncio.gather(w.put(log, b"small"), return_exceptions=True)
                assert outcome(refused) == "disk_full"
            disk.heal()
            for number in range(3):
                assert (await w.put(log, b"after")).first == number + 2
            again = await w.put(log, *batch("large", 5_000, 200))
            assert again.first == 5
            assert len(check_log(w, log)) == 5_004

    run(work())


def test_a_caller_that_leaves_changes_nothing_for_its_batch(tmp_path: Path) -> None:
    """A large batch that was taken is committed, whoever listens; and what waits behind it goes on."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            large = asyncio.create_task(w.put(log, *batch("large", 400)))
            await asyncio.sleep(0)
            waiting = [asyncio.create_task(w.put(log, b"%d" % number)) for number in range(3)]
            await asyncio.sleep(0)
            large.cancel()
            waiting[1].cancel()
            results = await asyncio.gather(large, *waiting, return_exceptions=True)
            assert list(map(outcome, results)) == [
                "CancelledError",
                "Committed",
                "CancelledError",
                "Committed",
            ]
            assert [payload for _, _, payload in check_log(w, log)] == [*batch("large", 400), b"0", b"2"]

    run(work())


def test_stopping_while_laying_takes_all_or_nothing(tmp_path: Path) -> None:
    """A stop in the middle refuses what it cannot finish, answers everybody, and ends."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("log")
            calls = [asyncio.create_task(w.put(log, *batch(f"{n}", 3_000, 200))) for n in range(3)]
            calls.append(asyncio.create_task(w.put(log, b"small")))
            await laid(w, log)
            await w.committer.stop()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert {outcome(result) for result in results} <= {"Committed", "stopping"}
            events = check_log(w, log)
            assert len(events) == sum(len(r.leaves) for r in results if isinstance(r, Committed))
        again = World(tmp_path)
        assert len(check_log(again, w.logs["log"])) == len(events)
        again.store.close()

    run(work())


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.harness.logs import World
from indelible.model.limits import Limits

async def work():
    world = World(Path(sys.argv[1]), Limits(commit_group_bytes=20_000, commit_group_events=64))
    world.committer.start()
    log = world.add_log("log")
    number = 0
    while True:
        payloads = [b"%d.%d" % (number, at) + bytes(100) for at in range(2_000)]
        outcomes = await asyncio.gather(world.put(log, b"small%d" % number), world.put(log, *payloads))
        print(*(outcome.first for outcome in outcomes), flush=True)
        number += 1

asyncio.run(work())
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_while_laying_nothing_is_half(tmp_path: Path, seed: int) -> None:
    """In the middle of parts: what was told is there, nothing else is visible, the log goes on."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(3)]
        time.sleep(random.Random(seed).random() * 0.1)  # noqa: S311 - any moment will do
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()

    async def work() -> None:
        async with world(tmp_path) as w:
            info = w.store.reader.log_by_key(1)
            assert info is not None
            events = [payload for _, _, payload in check_log(w, info)]
            assert len(events) % 2_001 in {0, 1}
            for number, line in enumerate(told):
                small, first = map(int, line.split())
                assert events[small - 1] == b"small%d" % number
                assert events[first - 1].startswith(b"%d.0" % number)
                assert events[first + 1_998].startswith(b"%d.1999" % number)
            before = len(events)
            assert w.gate.check(info) is None
            assert (await w.put(info, b"after")).first == before + 1
            result = await w.put(info, *batch("new", 500))
            check_batch(check_log(w, info), result, batch("new", 500))
            assert len(check_log(w, info)) == before + 501

    run(work())


def test_the_share_of_a_workspace_holds_for_batches_that_are_laid(tmp_path: Path) -> None:
    """What is being laid counts as waiting: the next batch is `saturated`, another workspace's is not."""

    async def work() -> None:
        async with world(tmp_path, pending_append_bytes=1_000_000) as w:
            mine, theirs = w.add_log("mine", "v"), w.add_log("theirs", "w")
            payloads = batch("large", 500, 300)
            results = await asyncio.gather(
                *(w.put(log, *payloads) for log in (mine, mine, theirs)), return_exceptions=True
            )
            assert list(map(outcome, results)) == ["Committed", "saturated", "Committed"]
            assert outcome(await w.put(mine, *payloads)) == "Committed"

    run(work())
