"""The embedded engine where a quota or a limit on a file refuses a write: no room, and no failing disk.

The limit here is the system's own (RLIMIT_FSIZE), so that SQLite and its errors are the real ones.
"""

import errno
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from tests.harness.faults import failing_disk
from tests.harness.store_rows import add_log, chunk, fill

from indelible.store.base import StoreBroken, StoreFull
from indelible.store.sqlite import PAGE_BYTES, SqliteStore
from indelible.store.sqlite_read import translate


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process grows past `size` bytes in the block (EFBIG; Python ignores the signal)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def put_much(store: SqliteStore, log: int, *, part: bool) -> None:
    """Add a chunk of many pages, with a value beside it."""
    with store.transaction() as transaction:
        transaction.put_meta("a", b"1")
        if part:
            with transaction.savepoint():
                transaction.put_chunk(log, chunk(log, 2, 1, 20)._replace(payload=b"x" * 400_000))
        else:
            transaction.put_chunk(log, chunk(log, 2, 1, 20)._replace(payload=b"x" * 400_000))


def put_small(store: SqliteStore, value: bytes) -> None:
    """Set a value."""
    with store.transaction() as transaction:
        transaction.put_meta("a", value)


@pytest.mark.parametrize("pages", [0, 1, 20, 80, 97])
@pytest.mark.parametrize("part", [False, True])
def test_a_write_past_the_limit_of_a_file_stores_nothing_and_passes(
    tmp_path: Path, pages: int, part: bool
) -> None:
    """At whichever page: nothing of it is there, after a crash at that moment neither; the next goes."""
    (tmp_path / "data").mkdir()
    store = SqliteStore(tmp_path / "data")
    log = add_log(store)
    fill(store, log, [1])
    wal = tmp_path / "data" / "indelible.db-wal"
    with files_up_to(wal.stat().st_size + pages * (PAGE_BYTES + 24) + 100), pytest.raises(StoreFull):
        put_much(store, log, part=part)
    shutil.copytree(tmp_path / "data", tmp_path / "cut")
    assert store.reader.meta("a") is None
    put_small(store, b"5")
    put_much(store, log, part=part)
    store.close()
    again = SqliteStore(tmp_path / "data")
    assert len(again.reader.chunks(log, 2, 1)[0].payload) == 400_000
    again.close()
    cut = SqliteStore(tmp_path / "cut")
    assert cut.reader.meta("a") is None
    assert cut.reader.chunks(log, 2, 9)[0].first == 1
    cut.close()


def test_a_small_write_goes_on_where_a_large_one_has_no_room(tmp_path: Path) -> None:
    """The connection is as good as before."""
    store = SqliteStore(tmp_path)
    log = add_log(store)
    with files_up_to((tmp_path / "indelible.db-wal").stat().st_size + 100_000):
        for value in (b"1", b"2"):
            with pytest.raises(StoreFull):
                put_much(store, log, part=False)
            put_small(store, value)
            assert store.reader.meta("a") == value
    store.close()


def test_housekeeping_that_has_no_room_stops_nothing(tmp_path: Path) -> None:
    """The log of pages stays where it is while the database cannot grow; commits go on."""
    store = SqliteStore(tmp_path)
    log = add_log(store)
    for at in range(1, 40):
        with store.transaction() as transaction:
            transaction.put_chunk(log, chunk(log, at, 1, at)._replace(payload=b"x" * 300_000))
    with files_up_to((tmp_path / "indelible.db").stat().st_size + 500_000):
        store.maintain()
        store._checkpointer.wait()
    put_small(store, b"1")
    for _ in range(2):  # beside the writer, and by the writer
        store.maintain()
        store._checkpointer.wait()
    put_small(store, b"2")
    assert store._wal_pages < 10
    assert len(store.reader.chunks(log, 1, 99)) == 39
    store.close()


def _io_error(extended: int) -> Exception:
    error = apsw.exception_for(extended)
    error.extendedresult = extended  # type: ignore[attr-defined]  # as apsw sets it on its own
    return error


@pytest.mark.parametrize(
    ("extended", "number", "kind"),
    [
        (apsw.SQLITE_IOERR_WRITE, errno.EDQUOT, StoreFull),
        (apsw.SQLITE_IOERR_WRITE, errno.EFBIG, StoreFull),
        (apsw.SQLITE_IOERR_WRITE, errno.EIO, StoreBroken),
        (apsw.SQLITE_IOERR_WRITE, errno.EROFS, StoreBroken),
        (apsw.SQLITE_IOERR_WRITE, 0, StoreBroken),
        (apsw.SQLITE_IOERR_FSYNC, errno.EDQUOT, StoreBroken),
        (apsw.SQLITE_IOERR_TRUNCATE, errno.EFBIG, StoreBroken),
        (apsw.SQLITE_IOERR_READ, errno.EDQUOT, StoreBroken),
        (apsw.SQLITE_IOERR_SHMSIZE, errno.EDQUOT, StoreBroken),
    ],
)
def test_only_a_write_that_was_refused_for_room_is_no_broken_disk(
    extended: int, number: int, kind: type[Exception]
) -> None:
    """A sync that fails for whatever reason may have lost what was written before: nothing goes on then."""
    assert type(translate(_io_error(extended), number)) is kind


def test_a_transaction_that_cannot_be_undone_breaks_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However harmless its first error was: what is still open would be stored by the next commit."""
    with failing_disk() as disk:
        store = SqliteStore(tmp_path)
        put_small(store, b"1")
        monkeypatch.setattr(store, "_roll_back", lambda: False)
        disk.fail("write", "-wal", apsw.SQLITE_FULL)
        with pytest.raises(StoreBroken, match="could not be undone"):
            put_small(store, b"2")
        disk.heal()
        with pytest.raises(StoreBroken):
            put_small(store, b"3")
        store.close()
