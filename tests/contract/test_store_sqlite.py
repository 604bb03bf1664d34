"""The embedded engine keeps the contract of storage, also on a disk that fails."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from tests.contract.store_close_contract import CloseContract
from tests.contract.store_contract import Engine, StoreContract
from tests.contract.store_keys_contract import KeysContract
from tests.contract.store_trim_contract import TrimContract
from tests.harness.faults import Disk, Step, failing_disk
from tests.harness.store_rows import add_log, chunk, fill

from indelible import telemetry
from indelible.store.base import Store, StoreBroken, StoreFull, StoreRefused, Transaction
from indelible.store.sqlite import WAL_PAGES_BEFORE_CHECKPOINT, SqliteStore, copy_database


class TestSqlite(StoreContract, KeysContract, CloseContract, TrimContract):
    """`SqliteStore` in a fresh directory."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Open in a directory of this test; what is left open is closed."""
        stores: list[SqliteStore] = []

        def start() -> Store:
            stores.append(SqliteStore(tmp_path))
            return stores[-1]

        yield Engine(start)
        for store in stores:
            store.close()


def test_a_copy_is_of_one_state_and_its_owners_alone(tmp_path: Path) -> None:
    """A copy made while serving has what was committed before it, and events in it are in clear."""
    before = os.umask(0o022)
    try:
        store = SqliteStore(tmp_path)
        log = add_log(store)
        fill(store, log, [2, 3])
        target = tmp_path / "copy" / "indelible.db"
        target.parent.mkdir()
        told: list[tuple[int, int]] = []
        copy_database(store.path, target, lambda done, total: told.append((done, total)))
        assert told[-1][0] == told[-1][1] > 0
        assert target.stat().st_mode & 0o077 == 0
        copy = SqliteStore(target.parent)
        assert copy.reader.head(log) == store.reader.head(log)
        assert copy.reader.chunks(log, 1, 9) == store.reader.chunks(log, 1, 9)
        copy.close()
        store.close()
    finally:
        os.umask(before)


# ---------------------------------------------------------------------- who may open what


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """The lock holds across processes, and goes with the process that held it."""
    store = SqliteStore(tmp_path)
    code = (
        "import sys; from pathlib import Path; from indelible.store.sqlite import SqliteStore as S\n"
        "S(Path(sys.argv[1]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode != 0
    assert "in use by another process" in run.stderr
    store.close()
    SqliteStore(tmp_path).close()


def test_a_file_that_is_no_store_is_refused_and_the_directory_freed(tmp_path: Path) -> None:
    """Rubbish in the database's place is told of, and left as it is; the next start can try again."""
    file = tmp_path / "indelible.db"
    file.write_bytes(b"not a database at all" * 1_000)
    for _ in range(2):
        with pytest.raises(StoreRefused, match="damaged or no database"):
            SqliteStore(tmp_path)
    assert file.read_bytes().startswith(b"not a database")


def test_a_store_of_a_later_program_is_refused(tmp_path: Path) -> None:
    """An older program does not write into a newer schema."""
    SqliteStore(tmp_path).close()
    connection = apsw.Connection(str(tmp_path / "indelible.db"))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreRefused, match="schema version 99"):
        SqliteStore(tmp_path)


def test_only_the_owner_may_read_any_file_of_the_store(tmp_path: Path) -> None:
    """Also in a directory that others may enter, and for the log of pages, which holds events in clear."""
    tmp_path.chmod(0o755)
    before = os.umask(0o022)
    try:
        store = SqliteStore(tmp_path)
        add_log(store)
        files = sorted(path.name for path in tmp_path.iterdir())
        assert "indelible.db-wal" in files
        assert [path.name for path in tmp_path.iterdir() if path.stat().st_mode & 0o077] == []
        store.close()
    finally:
        os.umask(before)


# ---------------------------------------------------------------------- a disk that fails


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """All stores of the test stand on a disk that can be made to fail."""
    with failing_disk() as shim:
        yield shim


def _put(store: Store, value: bytes) -> None:
    with store.transaction() as transaction:
        transaction.put_meta("a", value)


def test_every_commit_syncs_the_log_of_pages_after_its_last_write(tmp_path: Path, disk: Disk) -> None:
    """What `transaction` returned from is on stable storage: no write of a page after the last sync."""
    store = SqliteStore(tmp_path)
    for at in range(20):
        disk.steps.clear()
        _put(store, b"%d" % at)
        wal = [step for step, name in disk.steps if name.endswith("-wal") and step != "read"]
        assert wal[-1] == "sync"
        assert "write" in wal
    store.close()


def test_a_commit_that_a_killed_process_left_unsynced_is_synced_before_it_is_shown(
    tmp_path: Path, disk: Disk
) -> None:
    """After a kill the page cache may hold a commit that no disk does; opening brings it there first."""
    code = (
        "import os, sys; from pathlib import Path; from indelible.store.sqlite import SqliteStore as S\n"
        "s = S(Path(sys.argv[1]))\n"
        "with s.transaction() as t: t.put_meta('a', b'1')\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert (tmp_path / "indelible.db-wal").stat().st_size > 0
    store = SqliteStore(tmp_path)
    steps = [(step, name) for step, name in disk.steps if step != "read"]
    assert ("sync", str(tmp_path / "indelible.db-wal")) in steps
    assert store.reader.meta("a") == b"1"
    store.close()


def test_each_commit_that_is_durable_is_timed_and_no_other(tmp_path: Path, disk: Disk) -> None:
    """`indelible_fsync_seconds` has one observation a commit; a disk that was full is not its business."""

    def observed() -> float:
        return telemetry.REGISTRY.get_sample_value("indelible_fsync_seconds_count") or 0

    store = SqliteStore(tmp_path)
    before = observed()
    _put(store, b"1")
    _put(store, b"2")
    disk.fail("write", "-wal", apsw.SQLITE_FULL)
    with pytest.raises(StoreFull):
        _put(store, b"3")
    assert observed() == before + 2
    disk.heal()
    store.close()


@pytest.mark.parametrize("after", [False, True])
def test_a_failed_sync_breaks_the_store_for_good(tmp_path: Path, disk: Disk, after: bool) -> None:
    """Nothing is written, synced or tried again on any file of the store, not even at closing."""
    store = SqliteStore(tmp_path)
    _put(store, b"1")
    disk.fail("sync", "-wal", apsw.SQLITE_IOERR_FSYNC, after=after)
    with pytest.raises(StoreBroken):
        _put(store, b"2")
    disk.heal()
    disk.steps.clear()
    with pytest.raises(StoreBroken):
        _put(store, b"3")
    with pytest.raises(StoreBroken):
        _put(store, b"4")
    store.maintain()
    assert store.reader.meta("a") == b"1"  # what is not known to be stored is not shown
    store.close()
    assert [step for step, _ in disk.steps if step != "read"] == []
    again = SqliteStore(tmp_path)
    assert again.reader.meta("a") in {b"1", b"2"}  # whole, whichever it was
    again.close()


def test_a_failed_write_breaks_the_store(tmp_path: Path, disk: Disk) -> None:
    """An I/O error other than a full disk says nothing about what is stored."""
    store = SqliteStore(tmp_path)
    _put(store, b"1")
    disk.fail("write", "-wal", apsw.SQLITE_IOERR_WRITE)
    with pytest.raises(StoreBroken):
        _put(store, b"2")
    disk.heal()
    with pytest.raises(StoreBroken):
        _put(store, b"3")
    store.close()


@pytest.mark.parametrize("skip", range(8))
def test_a_full_disk_stores_nothing_and_passes(tmp_path: Path, disk: Disk, skip: int) -> None:
    """At whichever page it is full: nothing of the transaction is there, now or later; the next goes."""
    store = SqliteStore(tmp_path)
    log = add_log(store)
    fill(store, log, [1])
    disk.fail("write", "-wal", apsw.SQLITE_FULL, skip=skip)
    big = chunk(log, 2, 1, 20)._replace(payload=b"x" * 200_000)

    def attempt() -> None:
        with store.transaction() as transaction:
            transaction.put_chunk(log, big)
            transaction.put_meta("a", b"1")

    with pytest.raises(StoreFull):
        attempt()
    assert store.reader.chunks(log, 2, 1)[0].first == 1
    disk.heal()
    _put(store, b"5")
    with store.transaction() as transaction:
        transaction.put_chunk(log, big)
    store.close()
    again = SqliteStore(tmp_path)
    assert again.reader.meta("a") == b"5"
    assert again.reader.chunks(log, 2, 1) == [big]
    again.close()


def grown(path: Path) -> tuple[SqliteStore, int, int]:
    """A store whose log of pages is due to be copied, a log in it, and how many chunks that has."""
    store = SqliteStore(path)
    log = add_log(store)
    at = 0
    while store._wal_pages < WAL_PAGES_BEFORE_CHECKPOINT:
        at += 1
        with store.transaction() as transaction:
            transaction.put_chunk(log, chunk(log, at, 1, at)._replace(payload=b"x" * 900_000))
    return store, log, at


def pass_by(store: SqliteStore) -> None:
    """One pass of housekeeping, to its end."""
    store.maintain()
    store._checkpointer.wait()


def test_housekeeping_copies_beside_the_writer_and_then_begins_the_log_anew(
    tmp_path: Path, disk: Disk
) -> None:
    """The long pass is not the writer's: commits go on meanwhile. The writer's short one empties the log."""
    store, _, _ = grown(tmp_path)
    at_it, may_end = threading.Event(), threading.Event()

    def decide(step: Step, name: str) -> int | None:
        if step == "write" and name.endswith("indelible.db") and not may_end.is_set():
            at_it.set()
            may_end.wait(30)
        return None

    disk.decide = decide
    store.maintain()
    assert at_it.wait(30)
    _put(store, b"1")
    store.maintain()  # a pass is under way: nothing to do, and nothing to wait for
    _put(store, b"2")
    may_end.set()
    store._checkpointer.wait()
    store.maintain()
    _put(store, b"3")
    assert store._wal_pages < 10
    store.close()


@pytest.mark.parametrize("by_writer", [False, True])
def test_a_full_disk_at_housekeeping_stops_nothing(tmp_path: Path, disk: Disk, by_writer: bool) -> None:
    """The log of pages stays where it is while the database cannot grow, whoever copies; commits go on."""
    store, _, _ = grown(tmp_path)
    store._passed_pages = store._wal_pages if by_writer else 0
    disk.fail("write", "indelible.db", apsw.SQLITE_FULL)
    pass_by(store)
    _put(store, b"1")
    disk.heal()
    pass_by(store)
    pass_by(store)
    _put(store, b"2")
    assert store._wal_pages < 10
    store.close()


@pytest.mark.parametrize("by_writer", [False, True])
def test_a_failed_sync_of_the_database_at_housekeeping_breaks_the_store(
    tmp_path: Path, disk: Disk, by_writer: bool
) -> None:
    """Pages whose sync failed must not be taken for stored, whoever copied them."""
    store, log, chunks = grown(tmp_path)
    store._passed_pages = store._wal_pages if by_writer else 0
    disk.fail("sync", "indelible.db", apsw.SQLITE_IOERR_FSYNC)
    if not by_writer:
        pass_by(store)
    with pytest.raises(StoreBroken):
        store.maintain()
    with pytest.raises(StoreBroken):
        _put(store, b"1")
    store.close()
    disk.heal()
    again = SqliteStore(tmp_path)
    assert len(again.reader.chunks(log, 1, 10_000)) == chunks
    again.close()


def test_an_error_of_the_disk_inside_a_savepoint_is_told_as_such(tmp_path: Path, disk: Disk) -> None:
    """A savepoint must not turn a broken disk into a refusal of one call."""
    store = SqliteStore(tmp_path)
    add_log(store)
    store.close()
    store = SqliteStore(tmp_path)

    def attempt() -> None:
        with store.transaction() as transaction, transaction.savepoint():
            disk.fail("read", "indelible.db", apsw.SQLITE_IOERR_READ)
            _read_much(transaction)

    def _read_much(transaction: Transaction) -> None:
        transaction.revoke_key("none", 1)
        transaction.find_keys([b"d" * 16], [1])
        transaction.set_view_state(b"v", 1, "retired")

    with pytest.raises(StoreBroken):
        attempt()
    disk.heal()
    with pytest.raises(StoreBroken):
        _put(store, b"1")
    store.close()


def test_readers_tell_of_a_damaged_file_in_the_words_of_the_contract(tmp_path: Path, disk: Disk) -> None:
    """No layer above knows SQLite's own errors."""
    store = SqliteStore(tmp_path)
    add_log(store)
    store.close()
    store = SqliteStore(tmp_path)
    disk.fail("read", "indelible.db", apsw.SQLITE_IOERR_READ)
    with pytest.raises(StoreBroken):
        store.reader.key("none")
    disk.heal()
    store.close()
