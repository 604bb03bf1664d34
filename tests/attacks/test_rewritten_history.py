"""History is rewritten underneath a stopped server, by somebody who knows the format and has the disk."""

import shutil
import uuid

import pytest
from tests.harness.attacking import (
    SIZE,
    Victim,
    chunk,
    database,
    flip_cell,
    found_at_start,
    found_by_fsck,
    run,
)

from indelible.log.chunk import Chunk, decode_chunk, encode_meta
from indelible.log.signers import Signers
from indelible.merkle.entry import commit_payloads, entry_leaf_hashes
from indelible.merkle.frontier import EMPTY_FRONTIER, encode_frontier, extend, root
from indelible.notes.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from indelible.operate.differences import Difference
from indelible.operate.sites import Site
from indelible.store.base import ChunkRow

FORGED = b'{"type":"record.updated","actor":"somebody_else"}'


def chunks(victim: Victim) -> list[Chunk]:
    """All chunks of the attacked log."""
    with Site(victim.data) as site:
        return [decode_chunk(row) for row in site.reader.chunks(victim.log, 1, 100)]


def remade(old: Chunk, payloads: list[bytes], first: int | None = None) -> ChunkRow:
    """A chunk with other payloads and all its hashes right."""
    first = first or old.first
    salts = (old.salts + bytes(16 * len(payloads)))[: 16 * len(payloads)]
    commitments = commit_payloads(salts, payloads)
    leaves = entry_leaf_hashes(first, old.time, old.writers[0], commitments)
    meta = encode_meta(
        old.writers[:1],
        [],
        salts=salts,
        commitments=b"".join(commitments),
        lengths=[len(payload) for payload in payloads],
        keys=[],
    )
    return ChunkRow(first, len(payloads), old.time, meta, b"".join(leaves), b"".join(payloads))


def store(victim: Victim, row: ChunkRow) -> None:
    """Put a chunk in the place of the one that begins there, if there is one."""
    with database(victim) as connection:
        sql = "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?)"
        connection.execute(sql, (victim.log << 40 | row.first, *row[1:]))


def regrow(victim: Victim) -> Checkpoint:
    """Recompute tiles and head over the chunks as they are now; gives the head."""
    rows = chunks(victim)
    leaves = [row.leaf(at) for row in rows for at in range(row.events)]
    growth = extend(EMPTY_FRONTIER, leaves)
    hashes = b"".join(node.hash for node in growth.stored)
    size, top = growth.frontier.size, root(growth.frontier)
    run(victim, "UPDATE tile SET hashes = ? WHERE log = ?", hashes, victim.log)
    run(
        victim,
        "UPDATE head SET size = ?, time = ?, root = ?, frontier = ? WHERE log = ?",
        *(size, rows[-1].time, top, encode_frontier(growth.frontier), victim.log),
    )
    return Checkpoint(victim.info.origin, size, top)


def sign(victim: Victim, head: Checkpoint) -> None:
    """Publish a head with the stolen master secret."""
    signer = Signers(victim.master).signer(victim.info.origin)
    victim.checkpoint.write_bytes(sign_checkpoint(head, signer))


def drop(victim: Victim, first: int) -> None:
    """Remove a chunk."""
    run(victim, "DELETE FROM chunk WHERE id = ?", victim.log << 40 | first)


def kinds(found: list[Difference]) -> set[str]:
    """The kinds of the differences, all of which are in the attacked log."""
    assert {difference.log for difference in found} == {"acme"}, found
    return {difference.kind for difference in found}


# ---------------------------------------------------------------------- events, with nothing recomputed above


def test_an_event_replaced_with_its_own_hashes_names_its_tile(victim: Victim) -> None:
    """Attack: another event, with payload, commitment and leaf hash right. Finder: fsck, by the node above.

    The gate does not look for it: at a start it reads what the root needs, which is no leaf of a full tile.
    """
    old = chunks(victim)[3]
    store(victim, remade(old, [FORGED, *old.payloads()[1:]]))
    (found,) = found_by_fsck(victim)
    assert (found.kind, found.sequence) == ("node", 256)
    assert "node 0 of tile level 1 is another than events 1 to 256 give" in found.found
    assert found_at_start(victim) == []


def test_a_replaced_event_in_the_last_tile_shows_in_the_right_edge(victim: Victim) -> None:
    """Attack: the same behind the last full tile. Finders: fsck, and the gate refuses the log at a start."""
    old = chunks(victim)[-1]
    payloads = [FORGED, *old.payloads()[1:]]
    store(victim, remade(old, payloads))
    assert kinds(found_by_fsck(victim)) == {"frontier", "root", "checkpoint", "snapshot"}
    assert "does not follow from the stored hashes" in found_at_start(victim)[0]


def test_a_dropped_chunk_is_a_gap_and_the_rest_is_still_checked(victim: Victim) -> None:
    """Attack: a batch is deleted, and one more event is changed behind it. Finder: fsck names both."""
    drop(victim, 4)
    flip_cell(victim, "chunk", "leaves", chunk(victim, 254), 5)
    found = found_by_fsck(victim)
    assert [(each.kind, each.sequence) for each in found] == [("gap", 4), ("leaf", 254)]
    assert "events 4 to 253 are not all there" in found[0].found


@pytest.mark.parametrize("first", [1, 2, 254, 596])
def test_any_dropped_chunk_is_a_gap(victim: Victim, first: int) -> None:
    """Attack: events are deleted, at the beginning, inside, or at the end. Finder: fsck, by sequence."""
    drop(victim, first)
    found = found_by_fsck(victim)
    assert ("gap", first) in {(each.kind, each.sequence) for each in found}
    assert kinds(found) <= {"gap", "head"}


def test_a_gap_without_end_ends_the_examination_of_nothing(victim: Victim) -> None:
    """Attack: a chunk and the head are moved so far that a walk over the gap would take years. Finder: fsck.

    It names the gap, and still checks the events behind it; no other log's events are taken for this one's.
    """
    far = 1 << 38
    run(victim, "UPDATE chunk SET id = ? WHERE id = ?", victim.log << 40 | far, victim.log << 40 | 596)
    run(victim, "UPDATE head SET size = 1 << 62 WHERE log = ?", victim.log)
    found = found_by_fsck(victim)
    assert {"gap", "leaf", "frontier"} <= kinds(found)
    gaps = [each for each in found if each.kind == "gap"]
    assert [each.sequence for each in gaps] == [596, far + 5]
    assert {each.sequence for each in found if each.kind == "leaf"} == set(range(far, far + 5))
    assert len(found_at_start(victim)) == 1


def test_swapped_events_are_found_at_both_places(victim: Victim) -> None:
    """Attack: two events change places. Finder: fsck at each: an entry holds its sequence."""
    with database(victim) as connection:
        one, two = (victim.log << 40 | first for first in (1, 2))
        connection.execute("UPDATE chunk SET id = 0 WHERE id = ?", (one,))
        connection.execute("UPDATE chunk SET id = ? WHERE id = ?", (one, two))
        connection.execute("UPDATE chunk SET id = ? WHERE id = 0", (two,))
    found = [each for each in found_by_fsck(victim) if each.kind != "time"]
    assert {each.sequence for each in found} == {1, 2, 256}
    assert {each.kind for each in found} == {"leaf", "node"}


def test_a_duplicated_event_is_found(victim: Victim) -> None:
    """Attack: an event is stored again at the end, and the head moved over it. Finders: fsck and gate."""
    with database(victim) as connection:
        sql = "INSERT INTO chunk SELECT ?, events, time, meta, leaves, payload FROM chunk WHERE id = ?"
        connection.execute(sql, (victim.log << 40 | SIZE + 1, victim.log << 40 | 3))
    assert "events are stored beyond the head" in found_at_start(victim)[0]
    assert kinds(found_by_fsck(victim)) == {"beyond"}
    run(victim, "UPDATE head SET size = size + 1 WHERE log = ?", victim.log)
    assert len(found_at_start(victim)) == 1
    assert {"time", "leaf", "frontier", "root"} <= kinds(found_by_fsck(victim))


def test_an_inserted_event_is_found(victim: Victim) -> None:
    """Attack: a row between two others. Finder: fsck: it overlaps, wherever it says that it ends."""
    old = chunks(victim)[3]
    store(victim, remade(old, [FORGED], first=100))
    (found,) = found_by_fsck(victim)
    assert (found.kind, found.sequence) == ("chunk", 100)
    assert "overlaps" in found.found


# ---------------------------------------------------------------------- heads


def forget_snapshots(victim: Victim) -> None:
    """Remove the snapshots of views, each of which is bound to a root."""
    shutil.rmtree(victim.data / "objects" / "views")


def cut(victim: Victim) -> Checkpoint:
    """Remove the last chunk and set back all that stands above it."""
    drop(victim, 596)
    return regrow(victim)


def test_a_cut_tail_is_found_by_the_published_checkpoint(victim: Victim) -> None:
    """Attack: the newest events are removed, head and tiles set back, hashes right. Finders: gate and fsck.

    Both by the checkpoint that stands outside the database; where that is gone too, nobody who has only this
    machine finds it. Snapshots of views, which would tell as well, are gone in any case here.
    """
    forget_snapshots(victim)
    cut(victim)
    assert kinds(found_by_fsck(victim)) == {"checkpoint"}
    assert "a head of 600 events was published, the store holds 595" in found_at_start(victim)[0]
    victim.checkpoint.unlink()
    assert found_at_start(victim) == []
    assert found_by_fsck(victim) == []


def test_a_head_set_back_before_its_events_is_found(victim: Victim) -> None:
    """Attack: only the head is set back, so that new events take the old numbers. Finders: gate and fsck."""
    forget_snapshots(victim)
    saved = chunks(victim)[-1]
    cut(victim)
    store(victim, remade(saved, saved.payloads()))
    victim.checkpoint.unlink()
    assert "events are stored beyond the head, which says 595" in found_at_start(victim)[0]
    assert kinds(found_by_fsck(victim)) == {"beyond"}


def rewrite(victim: Victim) -> Checkpoint:
    """Replace an event and recompute every hash after it."""
    old = chunks(victim)[3]
    store(victim, remade(old, [FORGED, *old.payloads()[1:]]))
    return regrow(victim)


def test_a_history_recomputed_in_the_database_is_found_by_the_published_checkpoint(victim: Victim) -> None:
    """Attack: an event is replaced and every hash after it recomputed. Finders: the gate and fsck.

    Both by the checkpoint outside the database; fsck also by a view's snapshot, which is bound to a root.
    """
    rewrite(victim)
    assert kinds(found_by_fsck(victim)) == {"checkpoint", "snapshot"}
    assert "is not that of the stored events" in found_at_start(victim)[0]


def test_a_history_recomputed_and_signed_again_is_found_by_no_one_inside(victim: Victim) -> None:
    """Attack: the same by an operator with the master secret, who signs the new head and drops the snapshots.

    Finder: nobody who has only this machine. Whoever kept a checkpoint, a proof or a cosignature from before
    finds it: the same size, signed twice, with two roots.
    """
    kept = victim.checkpoint.read_bytes()
    sign(victim, rewrite(victim))
    forget_snapshots(victim)
    assert found_by_fsck(victim) == []
    assert found_at_start(victim) == []
    verifier = Signers(victim.master).signer(victim.info.origin).verifier
    before, after = (open_checkpoint(note, verifier)[0] for note in (kept, victim.checkpoint.read_bytes()))
    assert (before.size, before.origin) == (after.size, after.origin)
    assert before.root != after.root


def test_events_by_a_key_that_never_was_are_found(victim: Victim) -> None:
    """Attack: events are added, all hashes right, signed, by a writer that no key stands for. Finder: fsck.

    By an existing key's name they are found as a recomputed history is: by what somebody kept.
    """
    last = chunks(victim)[-1]
    other = last._replace(writers=(uuid.UUID(int=77).bytes,))
    store(victim, remade(other, [FORGED], first=SIZE + 1))
    sign(victim, regrow(victim))
    (found,) = found_by_fsck(victim)
    assert (found.kind, found.sequence) == ("writer", SIZE + 1)
    assert str(uuid.UUID(int=77)) in found.found
