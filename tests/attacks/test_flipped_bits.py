"""One bit of what is stored is changed underneath a stopped server: each is found, or shown to be idle."""

import asyncio
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.harness.attacking import (
    SIZE,
    Victim,
    chunk,
    database,
    flip_cell,
    flipped,
    found_at_start,
    found_by_fsck,
    run,
)
from tests.harness.logs import World

from indelible.log.group import Committed, Known
from indelible.log.read import EventReader, Span
from indelible.model.types import Event
from indelible.operate.differences import Difference
from indelible.operate.sites import Site

WRITERS, SALT, COMMITMENT = 4, 16, 32
BATCH, EVENTS = 4, 250  # the chunk that the directed cases change
META_SALTS = WRITERS + 16
META_COMMITMENTS = META_SALTS + SALT * EVENTS
META_LENGTHS = META_COMMITMENTS + COMMITMENT * EVENTS


def only(found: list[Difference]) -> Difference:
    """The one difference."""
    assert len(found) == 1, found
    assert (found[0].log, found[0].workspace) == ("acme", "default")
    return found[0]


DIRECTED = {
    "payload": ("payload", 5, 4, "payload"),
    "salt": ("meta", META_SALTS + 16 * 9, 13, "payload"),
    "commitment": ("meta", META_COMMITMENTS + 32 * 9 + 3, 13, "commitment"),
    "leaf": ("leaves", 32 * 9 + 31, 13, "leaf"),
    "version": ("meta", 0, 4, "chunk"),
    "flags": ("meta", 1, 4, "chunk"),
    "number of writers": ("meta", 3, 4, "chunk"),
    "length": ("meta", META_LENGTHS + 3, 4, "chunk"),
}


@pytest.mark.parametrize("case", DIRECTED)
def test_a_flipped_bit_of_a_batch_is_one_difference_at_its_event(victim: Victim, case: str) -> None:
    """Attack: one bit of a stored payload, salt, commitment, leaf hash or column. Finder: fsck, by its event.

    It is named once: what stands above is compared with its own next link, not with the changed bit.
    """
    column, at, sequence, kind = DIRECTED[case]
    flip_cell(victim, "chunk", column, chunk(victim, BATCH), at * 8)
    found = only(found_by_fsck(victim))
    assert (found.kind, found.sequence) == (kind, sequence)


def test_a_flipped_writer_is_named_at_each_event_it_stands_for(victim: Victim) -> None:
    """Attack: who appended a batch. Finder: fsck: no such key, and the tree confirms the old leaf hashes."""
    flip_cell(victim, "chunk", "meta", chunk(victim, BATCH), WRITERS * 8)
    found = found_by_fsck(victim, fsck_differences_per_log=1_000)
    assert {difference.kind for difference in found} == {"writer", "entry"}
    entries = sorted(difference.sequence or 0 for difference in found if difference.kind == "entry")
    assert entries == list(range(BATCH, BATCH + EVENTS))


def test_a_flipped_time_is_named_at_each_event_it_stands_for(victim: Victim) -> None:
    """Attack: when a batch was received. Finder: fsck: the tree confirms the leaf hashes of the old time."""
    flip_cell(victim, "chunk", "time", chunk(victim, BATCH), 3)
    found = found_by_fsck(victim, fsck_differences_per_log=1_000)
    assert {difference.kind for difference in found} == {"entry"}
    assert len(found) == EVENTS


HEAD = {
    "size": ("gap", "events 601 to 602 are not all there"),
    "root": ("root", "the stored root does not follow"),
    "frontier": ("frontier", "the stored right edge does not follow"),
    "time": ("head", "the head is dated"),
}


@pytest.mark.parametrize("column", HEAD)
def test_a_flipped_bit_of_the_head_is_found_by_both(victim: Victim, column: str) -> None:
    """Attack: one bit of a log's head. Finders: the gate at the next start refuses the log; fsck names it."""
    kind, words = HEAD[column]
    flip_cell(victim, "head", column, f"log = {victim.log}", 1)
    found = found_by_fsck(victim)
    assert any(difference.kind == kind and words in difference.found for difference in found), found
    assert len(found_at_start(victim)) == 1


def test_a_time_floor_in_the_future_is_found(victim: Victim) -> None:
    """Attack: the floor under which no event may be dated is raised. Finder: fsck, once it is in the future.

    Lowered or raised into the past it changes nothing: events are never dated before the one before them.
    """
    flip_cell(victim, "head", "time_floor", f"log = {victim.log}", 3)
    assert found_by_fsck(victim) == []
    run(victim, "UPDATE head SET time_floor = 1 << 52 WHERE log = ?", victim.log)
    assert only(found_by_fsck(victim)).kind == "head"


@pytest.mark.parametrize("node", [0, 1])
def test_a_flipped_bit_of_a_tile_names_its_node(victim: Victim, node: int) -> None:
    """Attack: one bit of a stored tile. Finders: fsck by level and node; the gate, as the root needs it."""
    flip_cell(victim, "tile", "hashes", f"log = {victim.log}", (32 * node + 5) * 8)
    found = only(found_by_fsck(victim))
    assert (found.kind, found.sequence) == ("node", 256 * (node + 1))
    assert f"node {node} of tile level 1" in found.found
    assert "does not follow from the stored hashes" in found_at_start(victim)[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 8 * 400))
def test_any_flipped_bit_of_a_checkpoint_is_found(victim: Victim, bit: int) -> None:
    """Attack: one bit of the published checkpoint's file. Finders: the gate, and fsck."""
    before = victim.checkpoint.read_bytes()
    victim.checkpoint.write_bytes(flipped(before, bit))
    try:
        assert only(found_by_fsck(victim)).kind == "checkpoint"
        assert "not one of this log" in found_at_start(victim)[0]
    finally:
        victim.checkpoint.write_bytes(before)


# ---------------------------------------------------------------------- any bit of any row

CELLS = [
    *(
        (column, first)
        for column in ("payload", "meta", "leaves", "time", "events")
        for first in (1, 4, 254, 596)
    )
]


@pytest.fixture(scope="module")
def scratch(original: Victim, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """Give a copy that each example leaves as it found it."""
    return original.copy(tmp_path_factory.mktemp("scratch") / "data")


def stored(victim: Victim, column: str, first: int) -> object:
    """One value of a chunk."""
    with database(victim) as connection:
        sql = f"SELECT {column} FROM chunk WHERE {chunk(victim, first)}"  # noqa: S608 - the test's own words
        return connection.execute(sql).fetchall()[0][0]


def put(victim: Victim, column: str, first: int, value: object) -> None:
    """Change one value of a chunk."""
    with database(victim) as connection:
        sql = f"UPDATE chunk SET {column} = ? WHERE {chunk(victim, first)}"  # noqa: S608 - the test's own words
        connection.execute(sql, (value,))


@settings(max_examples=150, deadline=None)
@given(cell=st.sampled_from(CELLS), bit=st.integers(0, 1 << 20))
def test_any_flipped_bit_of_a_chunk_is_found(scratch: Victim, cell: tuple[str, int], bit: int) -> None:
    """Attack: any one bit of any column of a stored chunk. Finder: fsck, in that chunk.

    All of `meta` but what remembers idempotency keys, which no tree covers: see the next test.
    """
    column, first = cell
    before = stored(scratch, column, first)
    if column == "meta" and first == 596:
        assert isinstance(before, bytes)
        bit %= 8 * (len(before) - 2 * KEY)
    put(scratch, column, first, flipped(before, bit))
    try:
        found = found_by_fsck(scratch)
        assert found
        assert {difference.log for difference in found} == {"acme"}
        sequences = [difference.sequence or 0 for difference in found]
        assert min(sequences) >= first
    finally:
        put(scratch, column, first, before)


KEY = 40  # bytes of a remembered key: offset u32, events u32, digest[16], fingerprint[16]


@pytest.mark.parametrize("bit", range(0, KEY * 8, 3))
def test_a_flipped_bit_of_a_remembered_key_touches_no_event(scratch: Victim, bit: int) -> None:
    """Attack: one bit of an idempotency key beside its events. Idle: each event is read and proved as before.

    Where the chunk cannot be as it says (a key of no event, or of one beyond it), gate and fsck find it. Else
    nobody does: a retry with that key may be refused, or told another count; it adds nothing.
    """
    before, events = stored(scratch, "meta", 596), events_of(scratch)
    assert isinstance(before, bytes)
    put(scratch, "meta", 596, before[:-KEY] + flipped(before[-KEY:], bit))
    try:
        kinds = {difference.kind for difference in found_by_fsck(scratch)}
        if "chunk" in kinds:
            assert len(found_at_start(scratch)) == 1
        else:
            assert kinds <= {"event"}
            assert found_at_start(scratch) == []
            assert events_of(scratch) == events
    finally:
        put(scratch, "meta", 596, before)


def events_of(victim: Victim) -> list[Event]:
    """The events of the last chunk, as they are read."""
    with Site(victim.data) as site:
        return list(EventReader(site.reader).events(victim.log, Span(596, SIZE)))


def test_a_retry_after_a_flipped_digest_adds_nothing(victim: Victim) -> None:
    """Attack: the digest of a remembered key, beside its events. Idle: the index alone is asked."""
    before = stored(victim, "meta", 596)
    assert isinstance(before, bytes)
    put(victim, "meta", 596, before[: -2 * KEY] + flipped(before[-2 * KEY : -KEY], 70) + before[-KEY:])
    assert found_by_fsck(victim) == []

    async def retry() -> Committed | Known:
        world = World(victim.data, master=victim.master)
        world.committer.start()
        outcome = await world.put(victim.info, b'{"n":1}', key="k1")
        await world.stop()
        return outcome

    assert isinstance(asyncio.run(retry()), Known)


# ---------------------------------------------------------------------- objects


def test_a_flipped_bit_of_a_snapshot_or_a_component_is_found(victim: Victim) -> None:
    """Attack: one bit of a view's state or program. Finder: fsck. A server drops such snapshots."""
    objects = victim.data / "objects"
    for pattern, kind in (("views/**/*.part", "snapshot"), ("components/*.wasm", "component")):
        path = min(objects.glob(pattern))
        before = path.read_bytes()
        path.write_bytes(flipped(before, 77))
        assert {difference.kind for difference in found_by_fsck(victim)} == {kind}
        path.write_bytes(before)
    assert found_by_fsck(victim) == []


def test_a_snapshot_of_another_history_is_found(victim: Victim, tmp_path: Path) -> None:
    """Attack: a view's snapshot is bound to another root, digests right. Finder: fsck, by its sequence."""
    path = min((victim.data / "objects" / "views").rglob("*.manifest"))
    text = path.read_text()
    root = text.split('"root":"')[1][:64]
    path.write_text(text.replace(root, "0" * 64))
    found = only(found_by_fsck(victim))
    assert (found.kind, found.sequence) == ("snapshot", int(path.stem))
    shutil.copy(path, path.with_name("0" * 19 + "7.manifest"))
    assert any("belongs to something else" in each.found for each in found_by_fsck(victim))
