"""Tiles in the object store: before which checkpoint they stand there, and who lays a log's history."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.harness.logs import World

from indelible.log.mirror import Mirror, right_edge, tile_key, tiles_between
from indelible.log.publish import checkpoint_key
from indelible.merkle.tiles import TilePath
from indelible.model.errors import Problem
from indelible.model.types import LogInfo


def in_world(path: Path, work: Callable[[World, LogInfo], Awaitable[None]]) -> None:
    """Run `work` in a world with one empty log."""

    async def run() -> None:
        world = World(path)
        world.committer.start()
        try:
            await work(world, world.add_log("log"))
        finally:
            await world.stop()

    asyncio.run(run())


def mirrored(world: World) -> Mirror:
    """A process that lays tiles before it publishes."""
    mirror = Mirror(world.objects, world.prover, world.limits)
    world.publisher.before_signing = mirror.before_publishing
    return mirror


def missing(world: World, info: LogInfo, size: int) -> list[TilePath]:
    """What a tree of a size needs and the object store has not."""
    tiles = tiles_between(0, size)
    return [tile for tile in tiles if world.objects.get(tile_key(info, tile)) is None]


async def grow(world: World, info: LogInfo, events: int) -> int:
    """Append so many events and publish; the size."""
    await world.put(info, *[b"event"] * events)
    return (await world.publisher.at_least(info, world.heads.get(info.key).size)).size


def test_a_new_log_is_mirrored_from_its_first_checkpoint(tmp_path: Path) -> None:
    """At each published size all of its tree is there, and no partial tile of a size between."""

    async def work(world: World, log: LogInfo) -> None:
        mirrored(world)
        for events in (1, 254, 1, 1, 600):
            size = await grow(world, log, events)
            assert missing(world, log, size) == []
        laid = [key for key in world.objects.list(f"proofs/{log.log_id}/") if "/0/000.p/" in key]
        assert [int(key.rsplit("/", 1)[1]) for key in laid] == [1, 255]

    in_world(tmp_path, work)


def test_a_history_is_laid_beside_and_then_kept_up(tmp_path: Path) -> None:
    """A checkpoint of a log that had none waits for nothing; once caught up, it is mirrored."""

    async def work(world: World, log: LogInfo) -> None:
        size = await grow(world, log, 700)
        mirror = mirrored(world)
        size = await grow(world, log, 10)
        assert len(missing(world, log, size)) == len(list(tiles_between(0, size)))
        await asyncio.to_thread(mirror.catch_up, log, 0, size)
        assert missing(world, log, size) == []
        size = await grow(world, log, 300)
        assert missing(world, log, size) == []

    in_world(tmp_path, work)


def test_the_next_process_goes_on_where_the_right_edge_stands(tmp_path: Path) -> None:
    """After a restart nothing is laid again; where a tile of the edge is gone, that is no proof any more."""

    async def work(world: World, log: LogInfo) -> None:
        mirrored(world)
        size = await grow(world, log, 300)
        mirrored(world)
        size = await grow(world, log, 300)
        assert missing(world, log, size) == []
        world.objects.delete(tile_key(log, right_edge(size)[-1]))
        mirrored(world)
        later = await grow(world, log, 5)
        assert world.objects.get(tile_key(log, right_edge(later)[0])) is None

    in_world(tmp_path, work)


def test_a_log_beside_whose_tiles_others_stand_is_refused(tmp_path: Path) -> None:
    """Nothing is signed over a tile of another history."""

    async def work(world: World, log: LogInfo) -> None:
        mirrored(world)
        await grow(world, log, 1)
        before = world.objects.get(checkpoint_key(log))
        world.objects.put(tile_key(log, TilePath(0, 0, 3)), bytes(96))
        with pytest.raises(Problem) as caught:
            await grow(world, log, 2)
        assert caught.value.code.name == "log_behind_published_head"
        assert world.objects.get(checkpoint_key(log)) == before

    in_world(tmp_path, work)
