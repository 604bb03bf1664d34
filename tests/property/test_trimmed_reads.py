"""Whatever was appended, sealed and trimmed, and when: every way to read a log gives what it gave before."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.logs import START, WRITERS, Hands, World

from indelible.log.archive import Sealed, Sealer
from indelible.log.archive_manifest import ArchivedLog
from indelible.log.read import EventReader, Span
from indelible.log.recompute import recompute
from indelible.log.segmentrows import SegmentRows
from indelible.log.trim import Trimmer
from indelible.log.whole import WholeRows
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.types import LogInfo

LIMITS = replace(DEFAULT_LIMITS, commit_group_events=40, archive_segment_events=256)
NO_CACHE = replace(LIMITS, segment_cache_bytes=0)
STEP_MICROS = 1_000_000

batches = st.lists(st.integers(1, 60) | st.integers(200, 600), min_size=1, max_size=8)
plans = st.lists(st.tuples(batches, st.booleans()), min_size=1, max_size=3)
"""Batches of so many events each, after which all is sealed, or only what fills segments."""

ages = st.lists(st.floats(0, 1), min_size=1, max_size=3)
"""How far to trim, as parts of the log's time."""


def everything(world: World, info: LogInfo, events: EventReader) -> dict[str, object]:
    """What a log gives in every way that it is read."""
    head = world.store.reader.head(info.key)
    assert head is not None
    size, prover, log = head.size, world.prover, info.key
    prover._events = events
    marks = sorted({1, size // 3 or 1, max(1, size - 1), size})
    spans = [Span(first, last) for first in marks for last in marks if first <= last]
    times = sorted({event.time + more for event in events.events(log, Span(1, size)) for more in (-1, 0, 1)})
    return {
        "forward": [list(events.events(log, span)) for span in spans],
        "backward": [list(events.events(log, span, reverse=True)) for span in spans],
        "single": [events.event(log, at) for at in (*marks, size + 1)],
        "columns": [columns_of(events, log, span) for span in spans],
        "since": [events.first_at_or_after(log, size, time) for time in times],
        "cut short": [events.first_at_or_after(log, size // 2, time) for time in times],
        "roots": [prover.root_at(log, at) for at in marks],
        "inclusion": [prover.inclusion(log, at - 1, size) for at in marks],
        "consistency": [prover.consistency(log, at, size) for at in marks],
        "ranges": [prover.range(log, span, size) for span in spans],
        "tiles": [prover.tile(log, 0, at, min(256, size - at * 256)) for at in range(-(-size // 256))],
        "bundles": [prover.entries(log, at, min(256, size - at * 256)) for at in range(-(-size // 256))],
    }


def columns_of(events: EventReader, log: int, span: Span) -> list[tuple[int, bytes, bytes]]:
    """The events of a span as views are given them: batch after batch, without where one ends."""
    found: list[tuple[int, bytes, bytes]] = []
    while len(found) < span.last - span.first + 1:
        columns = events.columns(log, Span(span.first + len(found), span.last), 100, 1 << 20)
        writers = [columns.writers[place] for place in columns.writer_of or [0] * len(columns.times)]
        found += zip(columns.times, writers, [bytes(each) for each in columns.payloads], strict=True)
    return found


async def built(world: World, plan: list[tuple[list[int], bool]]) -> tuple[LogInfo, ArchivedLog | None]:
    """A log as planned, and what is archived of it."""
    info, sealed = world.add_log("a"), Sealed(0, None, ())
    sealer = Sealer(world.objects, world.events, world.prover, LIMITS)
    for batches, by_age in plan:
        for number, size in enumerate(batches):
            payloads = [b'{"n":%d,"of":%d}' % (at, size) for at in range(size)]
            await world.put(info, *payloads, writer=WRITERS[number % len(WRITERS)])
        published = await world.publisher.at_least(info, world.heads.get(info.key).size)
        while more := sealer.next(info, sealed, published, by_age=by_age):
            sealed = more
    if sealed.last is None:
        return info, None
    return info, ArchivedLog(str(info.log_id), "", info.origin, sealed.size, 0, "", sealed.last)


@settings(max_examples=12, deadline=None)
@given(plans, ages)
def test_no_answer_shows_what_was_trimmed(plan: list[tuple[list[int], bool]], parts: list[float]) -> None:
    """Events, times, roots, proofs and tiles are the same before and after each trimming; nothing differs.

    With segments that are kept in memory, and read again each time. What is trimmed is archived, older than
    was asked, and never the last chunk.
    """

    async def work(folder: Path) -> None:
        world = World(folder, LIMITS, Hands(step=STEP_MICROS))
        world.committer.start()
        info, archived = await built(world, plan)
        before = everything(world, info, world.events)
        trimmer, limit = Trimmer(world.store, world.objects, world.events, LIMITS), START
        for part in parts:
            limit = max(limit, START + int((world.hands.wall - START) * part))
            trimmed = world.store.reader.trimmed(info.key)
            reach = trimmer.reach(info, archived, limit)
            if archived is not None:
                done = trimmer.trim(info, archived, reach, lambda _done: None)
                assert done == reach.size - trimmed
            assert world.store.reader.trimmed(info.key) == reach.size
            check_reach(world, info, archived, limit)
            for limits in (LIMITS, NO_CACHE):
                segments = SegmentRows(world.objects, limits)
                assert everything(world, info, EventReader(world.store.reader, segments)) == before
                head, rows = world.store.reader.head(info.key), WholeRows(world.store.reader, segments)
                assert head is not None
                found = recompute(world.store.reader, info, head, lambda _done: None, rows=rows)
                assert list(found) == []
        await world.stop()

    with tempfile.TemporaryDirectory(prefix="indelible-") as name:
        asyncio.run(work(Path(name)))


def check_reach(world: World, info: LogInfo, archived: ArchivedLog | None, before: int) -> None:
    """What is left in the store begins where trimming ended; all went that may go, and nothing else."""
    reader, trimmed = world.store.reader, world.store.reader.trimmed(info.key)
    head = reader.head(info.key)
    assert head is not None
    held = archived.size if archived else 0
    first, *_ = reversed(reader.chunks(info.key, head.size, 1_000_000, reverse=True))
    last = first.first + first.events - 1
    assert (first.first, trimmed <= held) == (trimmed + 1, True)
    assert last == head.size or last > held or first.time >= before
    gone = world.events.event(info.key, trimmed)
    assert gone is None or gone.time < before
