"""When a deployment was last alive: noted in its store by a running server, quiet or not."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness.logs import START, World

from indelible.log.alive import Alive, last_alive
from indelible.log.pending import Change
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import StoreBroken

HOUR = 3_600_000_000


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the committer's thread will bring."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - another thread makes it hold
            await asyncio.sleep(0.001)


async def start_and_note(world: World) -> int:
    """Note as a start does; what was known after it. A change behind the note waits for it."""
    noting = asyncio.create_task(Alive(world.committer, world.limits, last_alive(world.store.reader)).run())
    await asyncio.sleep(0)  # its first step hands the note over
    try:
        await world.committer.change(Change(lambda _transaction, _now: (None, ()), decides=False))
    finally:
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
    return last_alive(world.store.reader)


def test_a_quiet_server_goes_on_noting_that_it_is_alive(tmp_path: Path) -> None:
    """At its start and then again and again, without any event."""

    async def work() -> None:
        world = World(tmp_path, Limits(clock_forbidden_seconds=1))  # so it notes eight times a second
        assert last_alive(world.store.reader) == 0
        world.committer.start()
        noting = asyncio.create_task(Alive(world.committer, world.limits, 0).run())
        await until(lambda: last_alive(world.store.reader) == START)
        world.hands.pass_by(3 * 24 * 3_600)
        await until(lambda: last_alive(world.store.reader) == world.hands.wall)
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
        await world.stop()

    asyncio.run(work())


def test_a_step_back_does_not_take_back_what_was_noted(tmp_path: Path) -> None:
    """A start under the right clock must not look like one from the future."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        assert await start_and_note(world) == START
        world.hands.wall -= 48 * HOUR
        assert await start_and_note(world) == START
        world.hands.wall += 49 * HOUR
        world.hands.pass_by(3_600)
        await world.committer.stop()
        world.compose()  # a start
        world.committer.start()
        assert await start_and_note(world) == START + 2 * HOUR
        await world.stop()

    asyncio.run(work())


def test_a_clock_that_is_not_believed_is_not_noted(tmp_path: Path) -> None:
    """Or a restart would believe it."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        world.hands.wall += 25 * HOUR
        with pytest.raises(Problem, match="clock_unsure"):
            await start_and_note(world)
        assert last_alive(world.store.reader) == 0
        world.hands.wall -= 25 * HOUR
        assert await start_and_note(world) == START
        await world.stop()

    asyncio.run(work())


def test_a_damaged_head_leaves_what_was_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that cannot be read is its log's trouble, and must not keep the server from starting."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        await start_and_note(world)

        def damaged(_reader: object) -> int:
            raise StoreBroken("damaged")

        monkeypatch.setattr(type(world.store.reader), "newest_time", damaged)
        assert last_alive(world.store.reader) == START
        await world.stop()

    asyncio.run(work())


def test_an_event_tells_of_life_too(tmp_path: Path) -> None:
    """Of a store that an older version served, or whose server was killed after it."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        await world.put(world.add_log("a"), b"x")
        assert last_alive(world.store.reader) == START
        await world.stop()

    asyncio.run(work())
