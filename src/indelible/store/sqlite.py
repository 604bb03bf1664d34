"""The embedded engine: SQLite in WAL mode with full synchronisation, through apsw's own SQLite."""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from indelible import telemetry
from indelible.store.base import StoreBroken, StoreFull, StoreRefused
from indelible.store.checkpointer import Checkpointer
from indelible.store.durable import sync
from indelible.store.sqlite_read import SqliteReader, fetch, translate
from indelible.store.sqlite_schema import migrate
from indelible.store.sqlite_write import SqliteTransaction

# Older versions can corrupt a WAL database that is reset while another connection reads it.
OLDEST_SQLITE = (3, 51, 3)
# Rows of some KiB overflow small pages and fill them; of large pages they would leave a third empty.
PAGE_BYTES = 4 << 10
WAL_PAGES_BEFORE_CHECKPOINT = 2_048
WAL_PAGES_AT_MOST = 16 * WAL_PAGES_BEFORE_CHECKPOINT
WAL_PAGES_LEFT = WAL_PAGES_BEFORE_CHECKPOINT // 8  # so few the writer copies itself


class SqliteStore:
    """Implements `store.base.Store` in one file.

    The directory is locked for the life of the object: a second process is refused.

    Raises:
        StoreRefused: the directory is in use, the file is no store of ours, or SQLite is too old.
    """

    def __init__(self, directory: Path) -> None:
        if tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) < OLDEST_SQLITE:
            raise StoreRefused(
                f"SQLite {apsw.sqlite_lib_version()} can corrupt a store; install a newer apsw package"
            )
        self.path = directory / "indelible.db"
        self._lock_file = _lock(directory)
        self._broken: str | None = None
        self._closed = False
        self._wal_pages = 0
        self._passed_pages = 0  # of the log as it is now: what the last pass beside the writer took
        try:
            self._writer = _open_writer(self.path)
            self._writer.set_wal_hook(self._count_wal)
            self._reader = SqliteReader(self.path)
        except BaseException:
            os.close(self._lock_file)
            raise
        self._checkpointer = Checkpointer(self.path)
        self._writing = threading.Lock()

    @property
    def reader(self) -> SqliteReader:
        """See `Store`."""
        return self._reader

    @property
    def shared(self) -> bool:
        """See `Store`. The directory is locked."""
        return False

    def _count_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._wal_pages:  # SQLite began its log anew
            self._passed_pages = 0
        self._wal_pages = pages
        return apsw.SQLITE_OK

    @contextmanager
    def transaction(self) -> Iterator[SqliteTransaction]:
        """See `Store`."""
        with self._writing:
            if self._broken:
                raise StoreBroken(self._broken)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield SqliteTransaction(self._writer)
                self._commit()
            except BaseException as error:
                told = translate(error, self._writer.system_errno)
                if not self._roll_back():
                    told = StoreBroken(f"a transaction could not be undone after: {told}")
                raise self._remember(told) from error

    def _commit(self) -> None:
        started = time.perf_counter()
        self._writer.execute("COMMIT")
        telemetry.fsync_seconds.observe(time.perf_counter() - started)

    def _roll_back(self) -> bool:
        if self._writer.in_transaction:
            with suppress(apsw.Error):  # the first error is the one to tell of
                self._writer.execute("ROLLBACK")
        return not self._writer.in_transaction

    def _remember(self, told: BaseException) -> BaseException:
        if isinstance(told, StoreBroken):
            self._broken = str(told)
        return told

    def key_journal(self) -> list[tuple[int, bytes]]:
        """See `Store`."""
        with self._reader.connection() as connection:
            rows = fetch(connection, "SELECT id, body FROM key_journal ORDER BY id")
            return [(row[0], row[1]) for row in rows]

    def key_counts(self) -> Mapping[int, int]:
        """See `Store`."""
        with self._reader.connection() as connection:
            return {row[0]: row[1] for row in fetch(connection, "SELECT epoch, keys FROM key_count")}

    def maintain(self) -> None:
        """See `Store`. A checkpoint copies pages that are durable already; a failed one is fatal too.

        First passes beside the writer, until little is left of what came meanwhile; that the writer copies.
        """
        if self._checkpointer.failure is not None:
            raise self._remember(self._checkpointer.failure)
        if self._wal_pages < WAL_PAGES_BEFORE_CHECKPOINT or self._broken:
            return
        if self._checkpointer.running:
            if self._wal_pages < WAL_PAGES_AT_MOST:
                return
            self._checkpointer.wait()
        left = self._wal_pages - self._passed_pages
        if left <= WAL_PAGES_LEFT or self._wal_pages >= WAL_PAGES_AT_MOST:
            self._checkpoint()
        else:
            self._passed_pages = self._wal_pages
            self._checkpointer.begin()

    def _checkpoint(self) -> None:
        with self._writing:
            try:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as error:
                told = translate(error, self._writer.system_errno)
                if isinstance(told, StoreFull):
                    return  # the log of pages stays, and the next commit will say that the disk is full
                raise self._remember(told) from error
            self._wal_pages = self._passed_pages = 0

    def close(self) -> None:
        """See `Store`. Closing again does nothing: the lock's number may be another file's by then."""
        if self._closed:
            return
        self._closed = True
        self._checkpointer.close()
        self._reader.close()
        if self._broken:  # nothing is tried again over storage that failed
            self._writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        else:
            with suppress(apsw.Error):  # what is in the log of pages is durable; it is copied at next start
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._writer.close()
        os.close(self._lock_file)


def copy_database(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Write a consistent copy to a new file, while a server may be committing to the source.

    One read transaction sees one state. `progress` gets pages done and pages in all.

    Raises:
        StoreRefused: the source is damaged, or there is no room for the copy.
    """
    try:
        connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(10_000)
        pages = int(connection.pragma("page_count") or 0)
        target.touch(mode=0o600)  # the copy holds all events in clear
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(target, pages, progress, done))
        watcher.start()
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        finally:
            done.set()
            watcher.join()
            connection.close()
    except apsw.Error as error:
        raise StoreRefused(f"{source} could not be copied: {error}") from error
    progress(pages, pages)
    sync(target)


def _watch(target: Path, pages: int, progress: Callable[[int, int], None], done: threading.Event) -> None:
    while not done.wait(0.2):
        if target.exists():
            progress(min(pages, target.stat().st_size // PAGE_BYTES), pages)


def _lock(directory: Path) -> int:
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + 2  # a server that was just killed may still be going away
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise StoreRefused(
                    f"{directory} is in use by another process; stop it or choose another directory"
                ) from None
            time.sleep(0.05)
        else:
            return handle


def _open_writer(path: Path) -> apsw.Connection:
    try:
        path.touch(mode=0o600)  # SQLite gives its other files the mode of this one
        path.chmod(0o600)
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(10_000)
        connection.pragma("page_size", PAGE_BYTES)
        if connection.pragma("journal_mode", "wal") != "wal":
            raise StoreRefused(f"{path} cannot have a write-ahead log here; use a local file system")
        connection.pragma("synchronous", "FULL")
        connection.pragma("wal_autocheckpoint", 0)
        connection.pragma("foreign_keys", value=True)
        connection.pragma("cache_size", -64 << 10)  # 64 MiB: the page cache does not grow with a log
        migrate(connection, path)
        # A process that was killed may have left a commit that was written and never synced. Reading shows
        # it, so it must be on stable storage before anybody is told of it or its head is signed.
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreRefused(f"{path} is damaged or no database: {error}; restore a backup") from error
    except (apsw.Error, OSError) as error:
        raise StoreRefused(f"{path} cannot be opened: {error}") from error
    return connection
