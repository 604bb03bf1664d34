"""A store that was changed underneath is refused with words that say what was found, and signed no more.

Each case changes a stopped store as an intruder or a careless operator would, and starts again.
"""

import asyncio
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.logs import World, check_log

from indelible.log.publish import checkpoint_key
from indelible.log.signers import Signers
from indelible.model.errors import Problem
from indelible.model.types import LogInfo
from indelible.notes.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint

Tamper = Callable[[apsw.Connection, Path, LogInfo], None]
SIZES = (5, 3, 4)  # events a chunk of the log that is changed


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)


def chunk_id(info: LogInfo, first: int) -> int:
    """The row id of a chunk."""
    return info.key << 40 | first


def edit_chunk(column: str, first: int, at: int) -> Tamper:
    """Flip one bit of a chunk's column."""

    def tamper(database: apsw.Connection, _path: Path, info: LogInfo) -> None:
        number = chunk_id(info, first)
        read = f"SELECT {column} FROM chunk WHERE id = ?"  # noqa: S608 - the test's own words
        ((value,),) = database.execute(read, (number,)).fetchall()
        assert isinstance(value, bytes)
        changed = bytearray(value)
        changed[at] ^= 1
        write = f"UPDATE chunk SET {column} = ? WHERE id = ?"  # noqa: S608 - as above
        database.execute(write, (bytes(changed), number))

    return tamper


def sql(statement: str, *values: Callable[[LogInfo], Any]) -> Tamper:
    """Run a statement with values that depend on the log."""

    def tamper(database: apsw.Connection, _path: Path, info: LogInfo) -> None:
        database.execute(statement, tuple(value(info) for value in values))
        assert database.changes() > 0

    return tamper


def key(info: LogInfo) -> int:
    """The log's number."""
    return info.key


def cut_tail(database: apsw.Connection, path: Path, info: LogInfo) -> None:
    """Remove the last chunk and put back the head that stood before it, right in itself."""
    database.execute("DELETE FROM chunk WHERE id = ?", (chunk_id(info, 9),))
    roll_back_head(database, path, info)


def roll_back_head(database: apsw.Connection, _path: Path, info: LogInfo) -> None:
    """Put back the older head and leave the chunks."""
    members = "size, time, time_floor, root, frontier"
    database.execute(
        f"UPDATE head SET ({members}) = (SELECT {members} FROM saved_head) WHERE log = ?",  # noqa: S608 - constants
        (info.key,),
    )


def roll_back_unpublished_head(database: apsw.Connection, path: Path, info: LogInfo) -> None:
    """Put back the older head where no newer one was published, as in the second before a crash."""
    roll_back_head(database, path, info)
    ((size, root),) = database.execute("SELECT size, root FROM head WHERE log = ?", (info.key,)).fetchall()
    assert isinstance(size, int)
    assert isinstance(root, bytes)
    note = sign_checkpoint(Checkpoint(info.origin, size, root), Signers(b"m" * 32).signer(info.origin))
    (path / "objects" / checkpoint_key(info)).write_bytes(note)


def leave_a_chunk_far_beyond(database: apsw.Connection, path: Path, info: LogInfo) -> None:
    """The older head, and the chunk that it does not cover not right behind it."""
    roll_back_unpublished_head(database, path, info)
    ids = (chunk_id(info, 50), chunk_id(info, 9))
    database.execute("UPDATE chunk SET id = ? WHERE id = ?", ids)


def foreign_key(_database: apsw.Connection, path: Path, info: LogInfo) -> None:
    """A checkpoint that another master secret signed."""
    note = (path / "objects" / checkpoint_key(info)).read_bytes()
    checkpoint, _ = open_checkpoint(note, Signers(b"m" * 32).signer(info.origin).verifier)
    signed = sign_checkpoint(checkpoint, Signers(b"x" * 32).signer(info.origin))
    (path / "objects" / checkpoint_key(info)).write_bytes(signed)


def foreign_log(_database: apsw.Connection, path: Path, info: LogInfo) -> None:
    """The checkpoint of another log in its place."""
    proofs = path / "objects" / "proofs"
    other = next(folder for folder in proofs.iterdir() if folder.name != str(info.log_id))
    shutil.copy(other / "checkpoint", path / "objects" / checkpoint_key(info))


def damaged_checkpoint(_database: apsw.Connection, path: Path, info: LogInfo) -> None:
    """Half a checkpoint."""
    place = path / "objects" / checkpoint_key(info)
    place.write_bytes(place.read_bytes()[:40])


def other_head_of_the_same_size(_database: apsw.Connection, path: Path, info: LogInfo) -> None:
    """A published head of the same size with another root, signed with the right key."""
    signer = Signers(b"m" * 32).signer(info.origin)
    checkpoint, _ = open_checkpoint((path / "objects" / checkpoint_key(info)).read_bytes(), signer.verifier)
    forged = Checkpoint(info.origin, checkpoint.size, b"r" * 32)
    (path / "objects" / checkpoint_key(info)).write_bytes(sign_checkpoint(forged, signer))


CASES: dict[str, tuple[Tamper, str]] = {
    "payload": (edit_chunk("payload", 9, 3), "payloads of events 9 to 12 do not match their commitments"),
    "salt": (edit_chunk("meta", 9, 4 + 16 + 5), "payloads of events 9 to 12 do not match their commitments"),
    "commitment": (edit_chunk("meta", 9, 4 + 16 + 16 * 4 + 7), "do not match their commitments"),
    "writer": (edit_chunk("meta", 9, 4 + 9), "entries of events 9 to 12 do not match their leaf hashes"),
    "leaf": (edit_chunk("leaves", 9, 33), "does not follow from the stored hashes"),
    "old leaf": (edit_chunk("leaves", 1, 33), "does not follow from the stored hashes"),
    "length": (edit_chunk("meta", 9, 4 + 16 + 48 * 4 + 3), "missing or damaged"),
    "version": (edit_chunk("meta", 9, 0), "missing or damaged"),
    "time": (sql("UPDATE chunk SET time = time - 1 WHERE id = ?", lambda i: chunk_id(i, 9)), "dated"),
    "root": (
        sql("UPDATE head SET root = zeroblob(32) WHERE log = ?", key),
        "does not follow from its right edge",
    ),
    "frontier": (sql("UPDATE head SET frontier = zeroblob(64) WHERE log = ?", key), "right edge"),
    "frontier length": (sql("UPDATE head SET frontier = x'00' WHERE log = ?", key), "right edge is damaged"),
    "size": (sql("UPDATE head SET size = 10 WHERE log = ?", key), "root at size 10 does not follow"),
    "size of another kind": (sql("UPDATE head SET size = 'x' WHERE log = ?", key), "missing or damaged"),
    "chunk far beyond": (leave_a_chunk_far_beyond, "beyond the head, which says 8"),
    "no head": (sql("DELETE FROM head WHERE log = ?", key), "no stored head"),
    "no last chunk": (sql("DELETE FROM chunk WHERE id = ?", lambda i: chunk_id(i, 9)), "missing or damaged"),
    "no middle chunk": (
        sql("DELETE FROM chunk WHERE id = ?", lambda i: chunk_id(i, 6)),
        "missing or damaged",
    ),
    "cut tail": (cut_tail, "a head of 12 events was published, the store holds 8"),
    "rolled back head": (roll_back_head, "a head of 12 events was published, the store holds 8"),
    "rolled back before it was published": (roll_back_unpublished_head, "beyond the head, which says 8"),
    "foreign key": (foreign_key, "not one of this log signed with its key"),
    "foreign log": (foreign_log, "not one of this log signed with its key"),
    "damaged checkpoint": (damaged_checkpoint, "not one of this log signed with its key"),
    "two heads": (other_head_of_the_same_size, "is not that of the stored events"),
}


async def build(path: Path) -> None:
    """Two logs with published heads; the first one's head before its last chunk is kept aside."""
    world = World(path)
    world.committer.start()
    log, other = world.add_log("changed"), world.add_log("other")
    head = None
    for number, size in enumerate(SIZES):
        if number == 2:
            head = world.store.reader.head(log.key)
        await world.put(log, *[b"%d.%d payload" % (number, i) for i in range(size)])
        await world.put(other, b"%d" % number)
    await world.publisher.stop()  # publishes what is left
    await world.stop()
    database = apsw.Connection(str(path / "indelible.db"))
    database.execute("CREATE TABLE saved_head (size, time, time_floor, root, frontier);")
    assert head is not None
    database.execute("INSERT INTO saved_head VALUES (?, ?, ?, ?, ?)", tuple(head))
    database.close()


async def refused(call: Coroutine[Any, Any, Any]) -> Problem:
    """The problem of a refused call."""
    with pytest.raises(Problem) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("case", CASES)
def test_what_was_changed_underneath_is_refused_and_said(tmp_path: Path, case: str) -> None:
    """No append and no signature for that log, with what was found; the other log goes on."""
    tamper, words = CASES[case]

    async def work() -> None:
        await build(tmp_path)
        database = apsw.Connection(str(tmp_path / "indelible.db"))
        world = World(tmp_path)
        info, other = (world.store.reader.log_by_name(1, name) for name in ("changed", "other"))
        assert info is not None
        assert other is not None
        world.store.close()
        tamper(database, tmp_path, info)
        database.close()
        place = tmp_path / "objects" / checkpoint_key(info)
        before = place.read_bytes()

        world = World(tmp_path)
        world.committer.start()
        with pytest.raises(Problem) as caught:
            await asyncio.to_thread(world.gate.open, info)
        assert caught.value.code.name == "log_behind_published_head"
        assert words in caught.value.detail
        assert [mismatch.log for mismatch in world.gate.refused()] == [info]
        with pytest.raises(Problem):
            world.gate.require(info.key)
        if case != "no head":
            world.publisher.committed({info.key})
            assert (await refused(world.publisher.latest(info))).code.name == "log_behind_published_head"
        world.gate.open(other)
        await world.put(other, b"goes on")
        await world.publisher.stop()
        assert place.read_bytes() == before
        assert len(check_log(world, other)) == 4
        note = world.objects.get(checkpoint_key(other))
        assert note is not None
        assert note.split(b"\n")[1] == b"4"
        await world.stop()

    run(work())


def test_an_untouched_log_opens_and_empty_ones_too(tmp_path: Path) -> None:
    """The cases above are refused for what was changed, not for being looked at."""

    async def work() -> None:
        await build(tmp_path)
        world = World(tmp_path)
        for number in (1, 2):
            info = world.store.reader.log_by_key(number)
            assert info is not None
            world.gate.open(info)
            assert world.gate.is_open(number)
        world.gate.open(world.add_log("empty"))
        assert world.gate.refused() == []
        world.store.close()

    run(work())


@pytest.mark.parametrize("events", [256, 512])
def test_a_log_whose_root_needs_no_leaves_is_looked_at_all_the_same(tmp_path: Path, events: int) -> None:
    """At 256 events the root follows from one stored node: deleted chunks must be noticed, not crash."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, *[b"x"] * events)
        await world.stop()
        database = apsw.Connection(str(tmp_path / "indelible.db"))
        database.execute("DELETE FROM chunk")
        database.close()
        world = World(tmp_path)
        with pytest.raises(Problem, match="no events are stored"):
            world.gate.open(log)
        world.store.close()

    run(work())


def test_an_older_database_beside_a_newer_published_head_does_not_sign(tmp_path: Path) -> None:
    """Restored alone, the database is behind what was published: refused, until it is rolled forward."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        await world.stop()
        shutil.copy(tmp_path / "indelible.db", tmp_path / "older")
        world = World(tmp_path)
        world.committer.start()
        await world.put(log, b"2")
        await world.publisher.stop()
        await world.stop()
        shutil.copy(tmp_path / "older", tmp_path / "indelible.db")
        world = World(tmp_path)
        with pytest.raises(Problem, match="a head of 2 events was published, the store holds 1"):
            world.gate.open(log)
        with pytest.raises(Problem, match=r"refused|does not match"):
            await world.publisher.latest(log)
        world.store.close()

    run(work())


def test_a_head_is_published_before_it_is_served_and_once_a_size(tmp_path: Path) -> None:
    """What `latest` gives stands in the object store; asking again signs nothing."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        first = await world.publisher.at_least(log, 1)
        assert world.objects.get(checkpoint_key(log)) == first.note
        assert await world.publisher.at_least(log, 1) is first
        await world.put(log, b"2")
        real = world.objects.replace

        def fail(_key: str, _data: bytes, _seen: bytes | None) -> bool:
            raise OSError(5, "injected")

        world.objects.replace = fail  # type: ignore[method-assign, assignment]  # the fault
        with pytest.raises(OSError, match="injected"):
            await world.publisher.at_least(log, 2)
        assert await world.publisher.latest(log) is first
        world.objects.replace = real  # type: ignore[method-assign]  # healed
        second = await world.publisher.at_least(log, 2)
        assert world.objects.get(checkpoint_key(log)) == second.note
        assert (await refused(world.publisher.at_least(log, 3))).code.name == "beyond_head"
        await world.stop()

    run(work())


def test_publishing_goes_on_beside_a_log_that_cannot_be(tmp_path: Path) -> None:
    """One damaged checkpoint, or one log that is refused, must not end publishing for the others."""

    async def work() -> None:
        await build(tmp_path)
        world = World(tmp_path)
        one, two = world.store.reader.log_by_key(1), world.store.reader.log_by_key(2)
        assert one is not None
        assert two is not None
        (tmp_path / "objects" / checkpoint_key(one)).write_bytes(b"rubbish")
        world.committer.start()
        await world.put(one, b"x")
        await world.put(two, b"y")
        await world.publisher.stop()
        note = world.objects.get(checkpoint_key(two))
        assert note is not None
        assert note.split(b"\n")[1] == b"4"
        assert (tmp_path / "objects" / checkpoint_key(one)).read_bytes() == b"rubbish"
        assert [mismatch.log for mismatch in world.gate.refused()] == [one]
        assert not world.gate.is_open(1)
        await world.stop()

    run(work())


def test_a_busy_log_is_signed_once_a_round(tmp_path: Path) -> None:
    """Commits that come while checkpoints are written wait for the next round; the round ends."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        puts = 0
        real = world.objects.replace

        def replace(name: str, data: bytes, seen: bytes | None) -> bool:
            nonlocal puts
            puts += 1
            done = real(name, data, seen)
            world.publisher._dirty.add(log.key)  # as a commit does meanwhile
            return done

        world.objects.replace = replace  # type: ignore[method-assign, assignment]  # to look at it
        await asyncio.wait_for(world.publisher._publish_dirty(), 10)
        assert puts == 1
        assert world.publisher._dirty == {log.key}
        await world.stop()

    run(work())
