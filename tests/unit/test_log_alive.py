"""When a deployment was last alive: noted in its store by a running server, quiet or not."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness.logs import START, World

from indelible.log.alive import NOTHING_NOTED, SEEN, Alive, decode, encode, last_alive, noted
from indelible.log.pending import Change
from indelible.model.clock import Moment
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import StoreBroken

HOUR = 3_600_000_000


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the committer's thread will bring."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - another thread makes it hold
            await asyncio.sleep(0.001)


def alive(world: World) -> Alive:
    """What notes, as a start makes it."""
    return Alive(world.committer, world.limits, world.hands.clock(), noted(world.store.reader))


async def start_and_note(world: World) -> int:
    """Note as a start does; what was known after it. A change behind the note waits for it."""
    noting = asyncio.create_task(alive(world).run())
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
        noting = asyncio.create_task(alive(world).run())
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


# ---------------------------------------------------------------------- the boot of the machine


def test_the_boot_and_its_clock_are_noted_with_the_time(tmp_path: Path) -> None:
    """In each boot anew, though its clock shows less than the one before: that time was trusted before."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        world.hands.pass_by(60)
        await start_and_note(world)
        assert noted(world.store.reader) == Moment(START + 60_000_000, 60_000_000, "a boot")
        world.hands.reboot()
        world.hands.wall -= HOUR
        world.hands.pass_by(7)
        await start_and_note(world)
        assert noted(world.store.reader) == Moment(START + 60_000_000, 7_000_000, "after a boot")
        await world.stop()

    asyncio.run(work())


def test_a_note_after_a_step_back_keeps_the_moment_whole(tmp_path: Path) -> None:
    """The time of one moment beside the boot clock of another would let a wrong clock be believed."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        await start_and_note(world)
        world.hands.wall -= 48 * HOUR
        world.hands.pass_by(60)
        await start_and_note(world)
        assert noted(world.store.reader) == Moment(START, 0, "a boot")
        await world.stop()

    asyncio.run(work())


def test_a_jump_that_is_believed_is_noted_soon(tmp_path: Path) -> None:
    """Not with the next note of a quiet server: a start before that would meet the same jump again."""

    async def work() -> None:
        world = World(tmp_path, Limits(clock_steady_seconds=1))
        world.committer.start()
        world.hands.wall += HOUR
        noting = asyncio.create_task(alive(world).run())
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="clock_unsure"):  # so the note before it was refused as well
            await world.committer.change(Change(lambda _transaction, _now: (None, ()), decides=False))
        world.hands.pass_by(1)
        await until(lambda: last_alive(world.store.reader) == world.hands.wall)
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
        await world.stop()

    asyncio.run(work())


def test_what_the_program_noted_before_it_knew_of_boots_is_read(tmp_path: Path) -> None:
    """Eight bytes, the time alone: of no known boot, so its start is judged as it was."""

    async def work() -> None:
        world = World(tmp_path)
        with world.store.transaction() as transaction:
            transaction.put_meta(SEEN, (START - HOUR).to_bytes(8, "big"))
        assert last_alive(world.store.reader) == START - HOUR
        assert noted(world.store.reader) == Moment(START - HOUR, 0, "")
        world.committer.start()
        assert await start_and_note(world) == START
        assert noted(world.store.reader).boot_id == "a boot"
        await world.stop()

    asyncio.run(work())


@pytest.mark.parametrize("boot_id", ["", "7c0f7a9e-6d3c-4ab0-9a57-0f3b5b1f8f11 boottime 0 0", "ü"])
def test_a_noted_moment_is_read_as_it_was(boot_id: str) -> None:
    """Whatever the boot's name."""
    moment = Moment(START, 123_456_789, boot_id)
    assert decode(encode(moment)) == moment


@pytest.mark.parametrize("value", [b"", b"\x02", bytes(16), b"\x03" + bytes(40), b"\x02" + bytes(15)])
def test_a_note_in_an_unknown_form_is_none(value: bytes) -> None:
    """Of a newer program, or damaged: a time read out of it would be believed by all later starts."""
    assert decode(value) == NOTHING_NOTED
