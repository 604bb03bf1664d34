"""The archiver over a store of its own: what counts, what is told, and a bucket that fails at every step."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.harness.logs import World
from tests.harness.operating import change

from indelible.log.archive import Sealer
from indelible.log.archive_manifest import (
    ArchivedLog,
    ArchiveError,
    archive_key,
    load_chain,
    manifest_key,
    newest,
)
from indelible.log.archive_state import StateError, decode_state
from indelible.log.archiver import Archiver
from indelible.log.mirror import Mirror
from indelible.log.segment import decode_segment
from indelible.model.clock import SYSTEM_CLOCK
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.model.types import LogInfo
from indelible.store.base import KeyRow
from indelible.store.objects import LocalObjects

KEY = archive_key(b"m" * 32)
FAST = replace(
    DEFAULT_LIMITS, archive_age_seconds=0.0, archive_events_per_second=1e9, archive_segment_events=256
)


def archiver(world: World, objects: LocalObjects | None = None, limits: Limits = FAST) -> Archiver:
    """An archiver as the composition root makes it."""
    bucket = objects or world.objects
    mirror = Mirror(bucket, world.prover, limits)
    world.publisher.before_signing = mirror.before_publishing
    return Archiver(
        world.store.reader,
        bucket,
        Sealer(bucket, world.events, world.prover, limits),
        mirror,
        world.publisher,
        limits,
        SYSTEM_CLOCK,
        deployment="x.example",
        key=KEY,
    )


def in_world(path: Path, work: Callable[[World, LogInfo, LogInfo], Awaitable[None]]) -> None:
    """Run `work` in a world with a log `_audit` and a log of 700 events, published."""

    async def run() -> None:
        world = World(path)
        world.committer.start()
        audit, log = world.add_log("_audit"), world.add_log("log")
        await world.put(audit, b'{"type":"workspace.created"}')
        await world.put(log, *[b'{"n":%d}' % number for number in range(700)], key="k")
        await published(world, audit, log)
        try:
            await work(world, audit, log)
        finally:
            await world.stop()

    asyncio.run(run())


async def published(world: World, *logs: LogInfo) -> None:
    """Publish the present heads."""
    for info in logs:
        await world.publisher.at_least(info, world.heads.get(info.key).size)


def named(world: World, info: LogInfo) -> ArchivedLog:
    """What the newest manifests say of a log."""
    return load_chain(world.objects, KEY).logs[str(info.log_id)]


def events_in(world: World, log: ArchivedLog) -> int:
    """How many events stand in the segments of a log, walked from the last one back."""
    count, ref, before = 0, log.last, log.size
    while ref is not None:
        segment = decode_segment(world.objects.get(ref.key) or b"", 1 << 24)
        assert segment.header.last == before
        count += sum(run.events for run in segment.runs)
        before, previous = segment.header.first - 1, segment.header.previous
        if previous is None:
            break
        ref = previous
    assert before == 0
    return count


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    """One manifest for what there was; none for passes that find nothing; the next one names what came."""

    async def work(world: World, audit: LogInfo, log: LogInfo) -> None:
        ours = archiver(world)
        assert await ours.archive()
        assert (named(world, log).size, named(world, audit).size) == (700, 1)
        assert len(world.objects.list(f"events/{log.log_id}/")) == 3
        for _ in range(3):
            assert await ours.archive()
        assert newest(world.objects) == 1
        await world.put(log, b"more")
        await published(world, log)
        ours.committed(world.store.reader.heads([log.key]))
        assert ours.status().backlog_events == 1
        assert await ours.archive()
        assert (newest(world.objects), ours.status().backlog_events) == (2, 0)
        assert events_in(world, named(world, log)) == 701
        assert named(world, audit).size == 1

    in_world(tmp_path, work)


def test_what_is_young_waits_but_full_segments_do_not(tmp_path: Path) -> None:
    """Until its age has come, a log's tail stands in no manifest; what fills a segment is sealed before."""

    async def work(world: World, _audit: LogInfo, log: LogInfo) -> None:
        patient = archiver(world, limits=replace(FAST, archive_age_seconds=1e12))
        assert await patient.archive()
        assert newest(world.objects) == 0
        folder = f"events/{log.log_id}/"
        assert world.objects.list(folder) == [
            f"{folder}{1:016}-{256:016}",
            f"{folder}{257:016}-{512:016}",
        ]
        assert await patient.archive(everything=True)
        assert events_in(world, named(world, log)) == 700

    in_world(tmp_path, work)


class Failing(LocalObjects):
    """Objects of which one call fails, before it is done or after."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls = 0
        self.fails_at = -1
        self.done_first = False

    def _step(self, work: Callable[[], Any]) -> Any:
        self.calls += 1
        fails = self.calls == self.fails_at
        if fails and not self.done_first:
            raise OSError(5, "injected")
        result = work()
        if fails:
            raise OSError(5, "injected after it was done")
        return result

    def create(self, key: str, data: bytes) -> bool:
        """Fail, or store."""
        created: bool = self._step(lambda: LocalObjects.create(self, key, data))
        return created

    def get(self, key: str, version: str | None = None) -> bytes | None:
        """Fail, or read."""
        found: bytes | None = self._step(lambda: LocalObjects.get(self, key, version))
        return found

    def start(self, key: str, length: int, version: str | None = None) -> bytes | None:
        """Fail, or read."""
        found: bytes | None = self._step(lambda: LocalObjects.start(self, key, length, version))
        return found


@pytest.mark.parametrize("done_first", [False, True])
def test_a_bucket_that_fails_at_any_step_is_archived_to_all_the_same(
    tmp_path: Path, *, done_first: bool
) -> None:
    """Each call in turn fails once, before or after its effect: it is told, and the next pass ends it."""

    async def work(world: World, _audit: LogInfo, log: LogInfo) -> None:
        number = 0
        while True:
            number += 1
            folder = tmp_path / f"bucket-{number}"
            bucket = Failing(folder)
            bucket.fails_at, bucket.done_first = number, done_first
            ours = archiver(world, bucket)
            went_well = await ours.archive()
            assert went_well == (bucket.calls < number)
            if went_well:
                break
            assert "injected" in (ours.status().failed or "")
            assert await ours.archive()
            assert ours.status().failed is None
            chain = load_chain(bucket, KEY)
            assert chain.logs[str(log.log_id)].size == 700
            assert newest(bucket) == 1
        assert number > 15

    in_world(tmp_path, work)


def test_two_archivers_make_one_chain(tmp_path: Path) -> None:
    """The one that is late finds another manifest where its own was to stand: it goes on after that."""

    async def work(world: World, _audit: LogInfo, log: LogInfo) -> None:
        one, two = archiver(world), archiver(world)
        assert await one.archive()
        assert await two.archive()
        for number in range(4):
            await world.put(log, b"event %d" % number)
            await published(world, log)
            late, quick = (one, two) if number % 2 else (two, one)
            for each in (one, two):
                each.committed(world.store.reader.heads([log.key]))
            assert await quick.archive()
            if not await late.archive():
                assert "something else" in (late.status().failed or "")
                assert await late.archive()
        chain = load_chain(world.objects, KEY)
        assert chain.logs[str(log.log_id)].size == 704
        assert events_in(world, chain.logs[str(log.log_id)]) == 704

    in_world(tmp_path, work)


def test_a_changed_store_is_not_archived_and_keeps_nobody_else_from_it(tmp_path: Path) -> None:
    """An event that was changed underneath does not lead to the published head: told by log, not counted."""

    async def work(world: World, _audit: LogInfo, log: LogInfo) -> None:
        other = world.add_log("other")
        await world.put(other, b"fine")
        await published(world, other)
        changed = "CAST(replace(CAST(payload AS TEXT), '7', '8') AS BLOB)"
        row = log.key << 40 | 1
        change(
            tmp_path / "indelible.db",
            f"UPDATE chunk SET payload = {changed} WHERE id = {row}",  # noqa: S608 - ours
        )
        ours = archiver(world)
        assert not await ours.archive()
        assert str(log.log_id) in (ours.status().failed or "")
        assert "are not those of the published head" in (ours.status().failed or "")
        chain = load_chain(world.objects, KEY)
        assert str(other.log_id) in chain.logs
        assert str(log.log_id) not in chain.logs

    in_world(tmp_path, work)


def test_an_older_store_beside_its_archive_is_told(tmp_path: Path) -> None:
    """A store with fewer events than were archived adds nothing, and says why."""

    async def work(world: World, _audit: LogInfo, log: LogInfo) -> None:
        await world.put(log, b"one more")
        await published(world, log)
        assert await archiver(world).archive()
        world.publisher._published[log.key] = world.publisher._published[log.key]._replace(size=700)
        await world.put(log, b"and another")
        ours = archiver(world)
        assert not await ours.archive()
        assert "older copy" in (ours.status().failed or "")

    in_world(tmp_path, work)


def test_rows_and_audit_are_of_one_moment(tmp_path: Path) -> None:
    """A key that is made while a head is published is in the rows and in `_audit`, or in neither."""

    async def work(world: World, audit: LogInfo, _log: LogInfo) -> None:
        real = world.publisher.at_least
        made = 0

        async def while_others_change(info: LogInfo, size: int) -> Any:
            nonlocal made
            if made < 3 and info == audit:
                made += 1
                key = KeyRow(
                    str(uuid.UUID(int=made)), 1, bytes(32), "k", (), None, None, None, None, 1, None, None
                )
                with world.store.transaction() as transaction:
                    transaction.add_key(key)
                await world.put(audit, b'{"type":"key.created"}')
                return await real(info, world.heads.get(info.key).size)
            return await real(info, size)

        world.publisher.at_least = while_others_change  # type: ignore[method-assign]  # to change rows there
        assert await archiver(world).archive()
        chain = load_chain(world.objects, KEY)
        (workspace,) = chain.workspaces.values()
        state = decode_state(world.objects.get(workspace.state.key) or b"")
        assert len(state.keys) == 3
        assert chain.logs[str(audit.log_id)].size == 1 + 3

    in_world(tmp_path, work)


def test_a_reader_goes_back_to_a_whole_manifest_and_no_further(tmp_path: Path) -> None:
    """Those before it may be gone; one that is missing after it is told by its number."""

    async def work(world: World, _audit: LogInfo, log: LogInfo) -> None:
        ours = archiver(world, limits=replace(FAST, archive_whole_manifests=3))
        for number in range(6):
            await world.put(log, b"event %d" % number)
            await published(world, log)
            ours.committed(world.store.reader.heads([log.key]))
            assert await ours.archive()
        whole = [
            json.loads((world.objects.get(manifest_key(number)) or b"").split(b"\n")[0])["whole"]
            for number in range(1, 7)
        ]
        assert whole == [True, False, False, True, False, False]
        before = load_chain(world.objects, KEY)
        for number in (1, 2, 3):
            assert load_chain(world.objects, KEY, number).number == number
        world.objects.delete(manifest_key(3))
        assert load_chain(world.objects, KEY, 6) == before
        world.objects.delete(manifest_key(5))
        with pytest.raises(ArchiveError, match=manifest_key(5)):
            load_chain(world.objects, KEY, 6)

    in_world(tmp_path, work)


def test_the_newest_manifest_is_found_by_a_few_reads(tmp_path: Path) -> None:
    """However long the chain is."""
    for length in (0, 1, 2, 3, 7, 8, 9, 100):
        objects = Failing(tmp_path / str(length))
        for number in range(1, length + 1):
            LocalObjects.put(objects, manifest_key(number), b"x")
        assert newest(objects) == length
        assert objects.calls <= 16


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"format":"indelible-state/2"}', b'{"format":"indelible-state/1"}']
)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    """With a sentence, not with a fault."""
    with pytest.raises(StateError):
        decode_state(data)
