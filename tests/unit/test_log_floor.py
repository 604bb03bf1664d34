"""The floor of a log's times: once it is raised, a window of the past stays as it was answered."""

import asyncio
from pathlib import Path

import pytest
from tests.harness.logs import START, World, check_log

from indelible.model.limits import Limits

SECOND = 1_000_000


def test_nothing_is_dated_below_a_floor(tmp_path: Path) -> None:
    """The clock is set back after a window was answered; the next event is dated at its end."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        world.hands.pass_by(60)
        assert await world.lanes.raise_floor(log.key, START + 50 * SECOND)
        world.hands.wall = START
        await world.put(log, b"2")
        assert [time for time, _, _ in check_log(world, log)] == [START, START + 50 * SECOND]
        await world.stop()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("seconds", "said", "floor"),
    [(-5, True, 0), (0, True, 0), (30, True, 30), (60, True, 60), (61, False, 0)],
)
def test_a_floor_is_never_in_the_future_nor_where_it_is_not_needed(
    tmp_path: Path, seconds: int, said: bool, floor: int
) -> None:
    """Not past the clock (60 s after the last event), and not at the last event's time or before it."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        world.hands.pass_by(60)
        assert await world.lanes.raise_floor(log.key, START + seconds * SECOND) is said
        head = world.store.reader.head(log.key)
        assert head is not None
        assert head.time_floor == (START + floor * SECOND if floor else 0)
        await world.stop()

    asyncio.run(work())


def test_a_floor_is_never_lowered(tmp_path: Path) -> None:
    """The question for an earlier window changes nothing."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        world.hands.pass_by(60)
        for seconds in (50, 20):
            assert await world.lanes.raise_floor(log.key, START + seconds * SECOND)
        head = world.store.reader.head(log.key)
        assert head is not None
        assert head.time_floor == START + 50 * SECOND
        assert world.committed == []  # no head moved, nothing is published anew
        await world.stop()

    asyncio.run(work())


def test_a_floor_waits_for_a_large_batch(tmp_path: Path) -> None:
    """A batch that was begun before is dated then, and is in; the floor comes after it and covers it."""

    async def work() -> None:
        world = World(tmp_path, Limits(commit_group_bytes=4_000, commit_group_events=64))
        world.committer.start()
        log = world.add_log("a")
        world.hands.step = SECOND
        batch = asyncio.ensure_future(world.put(log, *[b"%d" % at for at in range(1_000)]))
        while log.key not in world.lanes._closed:  # noqa: ASYNC110 - a lane tells nobody that it closes
            await asyncio.sleep(0)
        end = world.hands.wall + 5 * SECOND
        raised = asyncio.ensure_future(world.lanes.raise_floor(log.key, end))
        await batch
        world.hands.pass_by(60)
        assert await raised
        await world.put(log, b"after")
        times = [time for time, _, _ in check_log(world, log)]
        assert len(times) == 1_001
        assert times[999] < end <= times[1_000]
        await world.stop()

    asyncio.run(work())
