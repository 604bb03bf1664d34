"""Rows that are read back from segments: who reads, what is kept, and what is said of a damaged one."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.logs import World

from indelible.log.archive import Sealed, Sealer
from indelible.log.archive_manifest import ArchivedLog, ArchiveError
from indelible.log.read import EventReader, Span
from indelible.log.segment import SegmentError
from indelible.log.segmentrows import SegmentRows
from indelible.log.trim import Trimmer
from indelible.log.whole import WholeRows
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.model.types import LogInfo
from indelible.store.base import SegmentRow
from indelible.store.objects import LocalObjects, ObjectsUnreachable

LIMITS = replace(DEFAULT_LIMITS, commit_group_events=50, archive_segment_events=256)
LATE = 1 << 60


class Watched(LocalObjects):
    """Objects that count what is read of them, and can be away."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def get(self, key: str, version: str | None = None) -> bytes | None:
        """See `Objects`."""
        self.reads.append(key)
        self.before()
        return super().get(key, version)


def trimmed(folder: Path, work: Callable[[World, LogInfo, ArchivedLog, Watched], None]) -> None:
    """Run `work` on a log of 1,000 events, of which 950 were trimmed in four segments."""

    async def run() -> None:
        world = World(folder, LIMITS)
        world.committer.start()
        info, sealed = world.add_log("a"), Sealed(0, None, ())
        sealer = Sealer(world.objects, world.events, world.prover, LIMITS)
        for at in range(20):
            await world.put(info, *[b"%d" % (at * 50 + number) for number in range(50)])
        head = await world.publisher.at_least(info, 1_000)
        while more := sealer.next(info, sealed, head, by_age=True):
            sealed = more
        assert sealed.last is not None
        archived = ArchivedLog(str(info.log_id), "", info.origin, sealed.size, 0, "", sealed.last)
        trimmer = Trimmer(world.store, world.objects, world.events, LIMITS)
        assert trimmer.trim(info, archived, trimmer.reach(info, archived, LATE), lambda _: None) == 950
        work(world, info, archived, Watched(folder / "objects"))
        await world.stop()

    asyncio.run(run())


def row_of(world: World, info: LogInfo, sequence: int) -> SegmentRow:
    """The segment that holds an event."""
    found = world.store.reader.segment(info.key, sequence)
    assert found is not None
    return found


def reader(world: World, objects: LocalObjects, limits: Limits = LIMITS) -> EventReader:
    """What reads events, cold."""
    return EventReader(world.store.reader, SegmentRows(objects, limits))


def test_a_walk_reads_each_segment_once(tmp_path: Path) -> None:
    """In either direction, and where nothing is kept but the last one; what is kept is not read again."""

    def work(world: World, info: LogInfo, _archived: ArchivedLog, objects: Watched) -> None:
        for limits in (LIMITS, replace(LIMITS, segment_cache_bytes=0)):
            for reverse in (False, True):
                objects.reads.clear()
                events = reader(world, objects, limits)
                walked = [
                    event.sequence for event in events.events(info.key, Span(1, 1_000), reverse=reverse)
                ]
                assert sorted(walked) == list(range(1, 1_001))
                assert len(objects.reads) == 4
        events = reader(world, objects)
        for _ in range(3):
            assert events.event(info.key, 300) is not None
            assert events.event(info.key, 980) is not None
        assert len(objects.reads) == 5

    trimmed(tmp_path, work)


def test_a_window_of_time_reads_one_segment_at_most(tmp_path: Path) -> None:
    """Whatever time is asked for: where segments begin is known."""

    def work(world: World, info: LogInfo, _archived: ArchivedLog, objects: Watched) -> None:
        times = sorted({event.time for event in world.events.events(info.key, Span(1, 1_000))})
        for time in (0, *times, times[-1] + 1):
            objects.reads.clear()
            found = reader(world, objects).first_at_or_after(info.key, 1_000, time)
            assert found == 1 + sum(
                event.time < time for event in world.events.events(info.key, Span(1, 1_000))
            )
            assert len(objects.reads) <= 1

    trimmed(tmp_path, work)


def test_of_those_that_ask_at_once_one_reads(tmp_path: Path) -> None:
    """Twenty threads, one read; each has the rows."""

    def work(world: World, info: LogInfo, _archived: ArchivedLog, objects: Watched) -> None:
        rows, row = SegmentRows(objects, LIMITS), row_of(world, info, 300)
        asking, found = threading.Barrier(20), []

        def ask() -> None:
            asking.wait(20)
            found.append(rows.rows(row).rows[0].first)

        release = threading.Event()

        def wait() -> None:
            release.wait(20)

        objects.before = wait
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        release.set()
        for thread in threads:
            thread.join(20)
        assert found == [257] * 20
        assert objects.reads == [row.key]

    trimmed(tmp_path, work)


def test_objects_that_are_away_are_asked_again(tmp_path: Path) -> None:
    """Who asks meanwhile is told so; the store's own events go on being read; nothing bad is remembered."""

    def work(world: World, info: LogInfo, _archived: ArchivedLog, objects: Watched) -> None:
        def away() -> None:
            raise ObjectsUnreachable("away")

        events = reader(world, objects)
        objects.before = away
        for _ in range(2):
            with pytest.raises(ObjectsUnreachable):
                events.event(info.key, 300)
            assert events.event(info.key, 960) is not None
        objects.before = lambda: None
        assert events.event(info.key, 300) is not None

    trimmed(tmp_path, work)


def test_a_segment_that_is_not_the_one_is_never_believed(tmp_path: Path) -> None:
    """Changed, missing, or another segment in its place: each is named, and no event of it is given."""

    def work(world: World, info: LogInfo, _archived: ArchivedLog, objects: Watched) -> None:
        first, second = row_of(world, info, 1), row_of(world, info, 257)
        path = tmp_path / "objects" / second.key
        whole = path.read_bytes()
        for content in (whole[:-1] + bytes([whole[-1] ^ 1]), (tmp_path / "objects" / first.key).read_bytes()):
            path.write_bytes(content)
            with pytest.raises(SegmentError, match=f"{second.key} was changed"):
                reader(world, objects).event(info.key, 300)
        path.unlink()
        with pytest.raises(SegmentError, match=f"{second.key} is missing"):
            reader(world, objects).event(info.key, 300)
        told: list[tuple[str, str]] = []
        rows = WholeRows(
            world.store.reader,
            SegmentRows(objects, LIMITS),
            lambda segment, error: told.append((segment.key, str(error))),
        )
        assert rows.chunks(info.key, 300, 1) == []
        assert told == [(second.key, f"{second.key} is missing")]
        path.write_bytes(whole)
        elsewhere = first._replace(sha256=second.sha256, key=second.key)
        with pytest.raises(SegmentError, match="holds other events than 1 to 256"):
            SegmentRows(objects, LIMITS).rows(elsewhere)

    trimmed(tmp_path, work)


def test_trimming_stops_where_a_segment_does_not_hold_what_is_stored(tmp_path: Path) -> None:
    """An archive of other events takes nothing out of the store, though it fits in itself."""

    def work(world: World, info: LogInfo, archived: ArchivedLog, _objects: Watched) -> None:
        other = World(tmp_path / "other", LIMITS)
        log = other.add_log("a")
        assert log.log_id == info.log_id

        async def fill() -> None:
            other.committer.start()
            await other.put(log, *[b"other"] * 900)
            await other.put(log, b"last")
            await other.committer.stop()

        asyncio.get_running_loop()  # this one runs: the other store has its own
        thread = threading.Thread(target=lambda: asyncio.run(fill()))
        thread.start()
        thread.join(60)
        trimmer = Trimmer(other.store, world.objects, other.events, LIMITS)
        reach = trimmer.reach(log, archived, LATE)
        assert reach.size == 900
        with pytest.raises(ArchiveError, match="holds other events than the store has from 1 to 256"):
            trimmer.trim(log, archived, reach, lambda _: None)
        assert other.store.reader.trimmed(log.key) == 0
        other.store.close()

    (tmp_path / "other").mkdir()
    trimmed(tmp_path, work)
