"""A database opened for reading only, by those who examine it: its rows, and what is wrong with itself."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from indelible.store.base import Reader, StoreError, StoreRefused
from indelible.store.shared import SharedStore
from indelible.store.sqlite_flaws import flaws
from indelible.store.sqlite_read import SqliteReader


class Database(Protocol):
    """What every engine shows."""

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""

    @property
    def place(self) -> str:
        """Where it is, in words that hold no secret."""

    @property
    def reader(self) -> Reader:
        """Its rows, through one connection."""

    def facts(self) -> Mapping[str, str]:
        """What the engine says of itself: `version`, and the settings that storage depends on."""

    def size_bytes(self) -> int:
        """How much it takes on its disk."""

    def damage(self) -> str | None:
        """What is wrong with its structure, None when it is intact, or when the engine looks after that."""

    def flaws(self, limit: int) -> Iterator[str]:
        """What is wrong with the database as such; of its structure at most `limit` things."""

    def snapshot(self) -> AbstractContextManager[None]:
        """See one moment in all that is read inside; not for long, since the engine keeps it for us."""

    def close(self) -> None:
        """Close it."""


class SqliteDatabase:
    """The embedded engine's file, opened without its lock."""

    kind = "sqlite"

    def __init__(self, file: Path) -> None:
        self.file = file
        self.place = str(file)
        self.reader = SqliteReader(file, connections=1)

    def facts(self) -> Mapping[str, str]:
        """See `Database`."""
        with self.reader.connection() as connection:
            return {"version": str(next(iter(connection.execute("SELECT sqlite_version()")))[0])}

    def size_bytes(self) -> int:
        """See `Database`."""
        return self.file.stat().st_size

    def damage(self) -> str | None:
        """See `Database`."""
        try:
            with self.reader.connection() as connection:
                found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)")]
        except StoreError as error:
            return str(error)
        return None if found == ["ok"] else "; ".join(found)

    def flaws(self, limit: int) -> Iterator[str]:
        """See `Database`."""
        return flaws(self.reader, limit)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Database`. The server's log of pages grows meanwhile."""
        with self.reader.connection() as connection:  # the only one
            connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(StoreError), self.reader.connection() as connection:
                if connection.in_transaction:  # a damaged page ends it
                    connection.execute("ROLLBACK")

    def close(self) -> None:
        """See `Database`."""
        self.reader.close()


# The driver is an extra: the embedded engine does without.


def open_shared_store(url: str) -> SharedStore:
    """The engine for several nodes.

    Raises:
        StoreRefused: it cannot be reached, is not fit, or its driver is not installed.
    """
    try:
        from indelible.store.postgres import PostgresStore  # noqa: PLC0415 - the embedded engine does without
    except ImportError:
        raise _no_driver() from None
    return PostgresStore(url)


def open_shared_database(url: str) -> Database:
    """The database of several nodes, for reading only; raises as `open_shared_store`."""
    try:
        from indelible.store.postgres_database import PostgresDatabase  # noqa: PLC0415 - same
    except ImportError:
        raise _no_driver() from None
    return PostgresDatabase(url)


def shared_facts(url: str) -> Mapping[str, str]:
    """What a database says of itself, served or not; raises as `open_shared_store`, or `StoreUnavailable`."""
    try:
        from indelible.store.postgres_session import facts_at  # noqa: PLC0415 - same
    except ImportError:
        raise _no_driver() from None
    return facts_at(url).told()


def _no_driver() -> StoreRefused:
    return StoreRefused("PostgreSQL needs a driver; install it with: pip install 'indelible[postgres]'")
