"""The log of heads: one event a published head that moved, in bounded commits."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.harness.logs import World, check_log

from indelible.log.headlog import HeadLog, Listed, decode_listed, encode_listed, listed_key
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.names import HEAD_LOG
from indelible.model.types import SERVER_WRITER, LogInfo


@asynccontextmanager
async def listing(path: Path, **limits: Any) -> AsyncIterator[tuple[World, HeadLog, LogInfo]]:
    """A world whose log of heads lists when it is told to."""
    world = World(path, replace(DEFAULT_LIMITS, **limits))
    world.committer.start()
    own = world.add_log(HEAD_LOG, "_deployment")
    heads = HeadLog(
        world.store.reader,
        world.heads,
        world.events,
        world.prover,
        world.publisher,
        world.gate,
        world.committer,
        world.limits,
    )

    async def make() -> LogInfo:
        return own

    heads._make = make
    heads._loop = asyncio.get_running_loop()
    world.publisher.on_published = heads.published
    try:
        yield world, heads, own
    finally:
        await heads.stop()
        await world.stop()


def listed(world: World, own: LogInfo) -> list[tuple[str, int]]:
    """What stands in the log of heads, recomputed: origins and sizes, each by the server's own writer."""
    found = []
    for _, writer, payload in check_log(world, own):
        event = msgspec.json.decode(payload)
        assert writer == SERVER_WRITER.bytes
        assert set(event) == {"type", "origin", "size", "root"}
        info = next(one for one in world.logs.values() if one.origin == event["origin"])
        assert bytes.fromhex(event["root"]) == world.prover.root_at(info.key, event["size"])
        found.append((info.name, event["size"]))
    return found


def test_heads_that_moved_are_listed_once_in_bounded_commits(tmp_path: Path) -> None:
    """Of many logs, those that were published since: one event each, and so many in one commit."""

    async def run() -> None:
        async with listing(tmp_path, heads_batch_events=7) as (world, heads, own):
            logs = [world.add_log(f"log-{number:02}") for number in range(30)]
            for info in logs[:20]:
                await world.put(info, b"one")
            await world.publisher._publish_dirty()
            await asyncio.sleep(0)
            await heads._list_all()
            assert sorted(listed(world, own)) == [(info.name, 1) for info in logs[:20]]
            assert max(len(chunk.payloads()) for chunk in world.chunks(own)) <= 7
            await world.publisher._publish_dirty()  # of the log of heads itself
            await asyncio.sleep(0)
            heads._changed.add(logs[0].key)  # as when it was published while it was being listed
            await heads._list_all()
            assert len(listed(world, own)) == 20
            await world.put(logs[3], b"two")
            await world.put(logs[29], b"one", b"two")
            await world.publisher._publish_dirty()
            await asyncio.sleep(0)
            await heads._list_all()
            assert listed(world, own)[20:] in ([("log-03", 2), ("log-29", 2)], [("log-29", 2), ("log-03", 2)])

    asyncio.run(run())


def test_no_head_is_listed_that_was_not_published(tmp_path: Path) -> None:
    """Listing signs and stores first: what stands there stands in the object store too."""

    async def run() -> None:
        async with listing(tmp_path) as (world, heads, own):
            info = world.add_log("a")
            await world.put(info, b"one")
            heads._changed = {info.key}
            await heads._list_all()
            assert listed(world, own) == [("a", 1)]
            note = world.objects.get(f"proofs/{info.log_id}/checkpoint")
            assert note is not None
            assert note.split(b"\n")[1] == b"1"

    asyncio.run(run())


def test_a_refused_log_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    """A log whose store does not match what was published is not listed; asking for its proof says so."""

    async def run() -> None:
        async with listing(tmp_path) as (world, heads, own):
            good, bad = world.add_log("good"), world.add_log("bad")
            for info in (good, bad):
                await world.put(info, b"one")
            world.gate._refuse(bad, "for this test")
            heads._changed = {good.key, bad.key}
            await heads._list_all()
            assert listed(world, own) == [("good", 1)]
            with pytest.raises(Problem) as refused:
                await heads.proof(bad)
            assert refused.value.code.name == "log_behind_published_head"

    asyncio.run(run())


def test_what_could_not_be_listed_waits(tmp_path: Path) -> None:
    """A commit that fails loses nothing: the next one lists it."""

    async def run() -> None:
        async with listing(tmp_path) as (world, heads, own):
            info = world.add_log("a")
            await world.put(info, b"one")
            await world.publisher.signed(info)
            await asyncio.sleep(0)
            refusing = Problem("stopping", "for this test")
            world.committer._refusing = refusing
            with pytest.raises(Problem):
                await heads._list_all()
            world.committer._refusing = None
            await heads._list_all()
            assert listed(world, own) == [("a", 1)]

    asyncio.run(run())


def test_callers_at_one_time_share_a_commit(tmp_path: Path) -> None:
    """Many who ask for a proof at once make one event a log."""

    async def run() -> None:
        async with listing(tmp_path) as (world, heads, own):
            logs = [world.add_log(name) for name in ("a", "b", "c")]
            for info in logs:
                await world.put(info, b"one")
            proofs = await asyncio.gather(*(heads.proof(info, 1) for info in logs * 5))
            assert {proof.size for proof in proofs} == {1}
            assert sorted(listed(world, own)) == [("a", 1), ("b", 1), ("c", 1)]

    asyncio.run(run())


def test_places_are_stored_and_read_back(tmp_path: Path) -> None:
    """Where a head is listed survives in the store, and what is missing is None."""
    assert decode_listed(encode_listed(Listed(1 << 62, 7))) == Listed(1 << 62, 7)
    assert decode_listed(None) is None
    assert decode_listed(b"") is None

    async def run() -> None:
        async with listing(tmp_path) as (world, heads, _):
            info = world.add_log("a")
            await world.put(info, b"one")
            await heads.proof(info, 1)
            stored = decode_listed(world.store.reader.meta(listed_key(info.key)))
            assert stored == Listed(1, 1)
            assert heads._unlisted() == set()
            await world.put(info, b"two")
            assert heads._unlisted() == {info.key}
            assert uuid.UUID(bytes=SERVER_WRITER.bytes).int == 2

    asyncio.run(run())
