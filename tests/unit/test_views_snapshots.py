"""Snapshots as they are stored: bound to what they are of, pruned, and dropped when they are broken."""

from dataclasses import replace
from pathlib import Path

import pytest

from indelible.model.limits import DEFAULT_LIMITS
from indelible.store.objects import LocalObjects
from indelible.views.snapshots import (
    Manifest,
    Shelf,
    SnapshotBroken,
    SnapshotRefused,
    forget_versions,
)
from indelible.views.types import Deployment, ViewError

VIEW = Deployment(
    "11111111-2222-3333-4444-555555555555", 1, 1, "v", 1, "ab" * 32, "{}", (("origin", "x/logs/1"),)
)
FOLDER = f"views/{VIEW.view_id}/1/"


def shelf_of(objects: LocalObjects, view: Deployment = VIEW, **limits: int) -> Shelf:
    """The snapshots of a deployment under these limits."""
    return Shelf(objects, view, replace(DEFAULT_LIMITS, **limits))


def write(shelf: Shelf, sequence: int, *parts: str | bytes) -> Manifest:
    """Store a snapshot."""
    return shelf.write(
        parts, sequence=sequence, root=b"r" * 32, world="indelible:view", live=True, memory_bytes=5, now=9
    )


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    """An empty bucket."""
    return LocalObjects(tmp_path)


@pytest.mark.parametrize("parts", [("é\0", "", "z"), (b"\xff\0", b"")])
def test_parts_come_back_as_they_went(objects: LocalObjects, parts: tuple[str | bytes, ...]) -> None:
    """Text as text, bytes as bytes, in order, empty ones included; the manifest says what it is of."""
    shelf = shelf_of(objects)
    written = write(shelf, 7, *parts)
    assert list(shelf.manifests()) == [written]
    assert tuple(shelf.parts(written)) == parts
    assert (written.sequence, written.origin, written.root) == (7, "x/logs/1", "72" * 32)


def test_only_the_newest_stay_with_their_parts(objects: LocalObjects) -> None:
    """Older ones go, parts and all, and so does what a writer that died had left before them."""
    shelf = shelf_of(objects, snapshots_kept=2, snapshots_past=0)
    objects.put(f"{FOLDER}{1:020d}-00000-{'0' * 16}.part", b"left by a writer that died")
    for sequence in (2, 10, 9_999_999_999):
        write(shelf, sequence, f"state {sequence}", "more")
    assert [each.sequence for each in shelf.manifests()] == [9_999_999_999, 10]
    assert len(objects.list(FOLDER)) == 6
    assert [list(shelf.parts(each)) for each in shelf.manifests()][1] == ["state 10", "more"]


def test_older_ones_stay_ever_further_apart_with_their_parts(objects: LocalObjects) -> None:
    """Each that is kept has its parts, and none of the others has any."""
    shelf = shelf_of(objects, snapshots_kept=2, snapshots_past=3)
    for sequence in range(1, 41):
        write(shelf, sequence, f"state {sequence}", "more")
    stored = [each.sequence for each in shelf.manifests()]
    assert stored[:2] == [40, 39]
    assert len(stored) == 5
    assert [next(iter(shelf.parts(each))) for each in shelf.manifests()] == [
        f"state {each}" for each in stored
    ]
    assert len(objects.list(FOLDER)) == 15
    assert stored[-1] < 30, "the oldest is older than the five newest"


def test_what_another_node_is_writing_is_not_taken_for_left_over(objects: LocalObjects) -> None:
    """Parts without a manifest stay while they are as new as the newest snapshots."""
    shelf = shelf_of(objects, snapshots_kept=2, snapshots_past=3)
    for sequence in (10, 20):
        write(shelf, sequence, "state")
    key = f"{FOLDER}{25:020d}-00000-{'0' * 16}.part"
    objects.put(key, b"of a snapshot that is being written")
    write(shelf, 30, "state")
    assert key in objects.list(FOLDER)
    write(shelf, 40, "state")
    assert key not in objects.list(FOLDER)


@pytest.mark.parametrize(
    "other",
    [
        VIEW._replace(component_sha256="cd" * 32),
        VIEW._replace(config='{"a": 1}'),
        VIEW._replace(facts=(("origin", "x/logs/2"),)),
    ],
)
def test_a_snapshot_of_something_else_is_dropped(objects: LocalObjects, other: Deployment) -> None:
    """Another component, configuration or log under the same key is never restored."""
    write(shelf_of(objects), 7, "state")
    assert list(shelf_of(objects, other).manifests()) == []
    assert list(shelf_of(objects).manifests()) == [], "and it is gone"


@pytest.mark.parametrize("data", [b"", b"{", b"null", b"\xff", b'{"format": "indelible/view-snapshot/v1"}'])
def test_a_manifest_that_cannot_be_read_is_dropped(objects: LocalObjects, data: bytes) -> None:
    """The one before it is used."""
    shelf = shelf_of(objects)
    good = write(shelf, 7, "state")
    objects.put(f"{FOLDER}{8:020d}.manifest", data)
    assert list(shelf.manifests()) == [good]
    assert len(objects.list(FOLDER)) == 2


def test_a_manifest_under_another_sequence_is_dropped(objects: LocalObjects) -> None:
    """A copy that claims to be newer than it is would skip events."""
    shelf = shelf_of(objects)
    good = write(shelf, 7, "state")
    stored = objects.get(f"{FOLDER}{7:020d}.manifest")
    assert stored is not None
    objects.put(f"{FOLDER}{8:020d}.manifest", stored)
    assert list(shelf.manifests()) == [good]


def test_a_damaged_or_missing_part_is_noticed(objects: LocalObjects) -> None:
    """A flipped bit, or nothing there."""
    shelf = shelf_of(objects)
    manifest = write(shelf, 7, "state", "more")
    key = manifest.parts[1].key
    objects.put(key, b"morf")
    with pytest.raises(SnapshotBroken):
        list(shelf.parts(manifest))
    objects.delete(key)
    with pytest.raises(SnapshotBroken):
        list(shelf.parts(manifest))
    shelf.drop(manifest)
    assert objects.list(FOLDER) == []


@pytest.mark.parametrize(
    ("parts", "limits"),
    [
        ((), {}),
        (("aaaa",), {"snapshot_part_bytes": 3}),
        (("aa", "aa"), {"snapshot_bytes": 3}),
        (("",) * 4, {"snapshot_bytes": 3}),
        (("a",) * 4, {"snapshot_parts": 3}),
    ],
)
def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
    objects: LocalObjects, parts: tuple[str, ...], limits: dict[str, int]
) -> None:
    """No parts at all, too large a part, too much in all, too many parts."""
    with pytest.raises(SnapshotRefused):
        write(shelf_of(objects, VIEW, **limits), 7, *parts)
    assert objects.list(FOLDER) == []


def test_a_failure_is_remembered_for_this_deployment_only(objects: LocalObjects) -> None:
    """What another component could not fold says nothing about this one."""
    shelf = shelf_of(objects)
    assert shelf.failure() is None
    shelf.write_failure(ViewError(41, "why"))
    assert shelf.failure() == ViewError(41, "why")
    assert shelf_of(objects, VIEW._replace(config="x")).failure() is None
    objects.put(f"{FOLDER}failed.json", b"garbage")
    assert shelf.failure() is None


def test_forgetting_a_view_removes_everything_of_all_its_versions(objects: LocalObjects) -> None:
    """And nothing of another view."""
    shelf, other = shelf_of(objects), shelf_of(objects, VIEW._replace(version=2))
    write(shelf, 7, "state")
    shelf.write_failure(ViewError(8, "why"))
    write(other, 3, "other")
    another = shelf_of(objects, VIEW._replace(view_id="21111111-2222-3333-4444-555555555555"))
    kept = write(another, 3, "another")
    shelf.forget()
    assert objects.list(f"views/{VIEW.view_id}/") == []
    assert list(another.manifests()) == [kept]


def test_snapshots_of_some_versions_go_and_where_they_failed_stays_known(objects: LocalObjects) -> None:
    """Version 1 is not version 10."""
    shelves = {version: shelf_of(objects, VIEW._replace(version=version)) for version in (1, 2, 10)}
    for shelf in shelves.values():
        write(shelf, 7, "state", "more")
        shelf.write_failure(ViewError(8, "why"))
    forget_versions(objects, VIEW.view_id, [1, 2])
    assert [len(list(shelf.manifests())) for shelf in shelves.values()] == [0, 0, 1]
    assert [shelf.failure() for shelf in shelves.values()] == [ViewError(8, "why")] * 3
    assert not [key for key in objects.list(f"views/{VIEW.view_id}/1/") if key.endswith(".part")]


def test_the_newest_at_or_before_an_event_is_found(objects: LocalObjects) -> None:
    """What is beyond it is passed over, and stays."""
    shelf = shelf_of(objects)
    for sequence in (5, 9, 10):
        write(shelf, sequence, "state")
    found = {upto: [each.sequence for each in shelf.manifests(upto)] for upto in (0, 4, 5, 9, 10, 10**18)}
    assert found == {0: [], 4: [], 5: [5], 9: [9, 5], 10: [10, 9, 5], 10**18: [10, 9, 5]}
