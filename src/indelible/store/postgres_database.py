"""A PostgreSQL database opened for reading only, by those who examine it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg

from indelible.store.base import StoreError, StoreRefused, StoreUnavailable
from indelible.store.postgres_read import PostgresReader
from indelible.store.postgres_schema import SCHEMA_VERSION
from indelible.store.postgres_session import Link, facts_of

# One look at an index for each log, not one for each row.
_STRAYS = """
    WITH RECURSIVE of (log) AS (
        SELECT min(log) FROM {table}
        UNION ALL SELECT (SELECT min(log) FROM {table} WHERE log > of.log) FROM of WHERE of.log IS NOT NULL
    )
    SELECT log FROM of WHERE log IS NOT NULL AND log NOT IN (SELECT key FROM log)
"""
_ZEROTH = "SELECT key FROM log WHERE EXISTS (SELECT FROM chunk WHERE chunk.log = log.key AND first < 1)"


class PostgresDatabase:
    """Implements `databases.Database` over one session. Nothing is migrated, and nothing written.

    Raises:
        StoreRefused: it cannot be reached, is not fit, or was never served.
    """

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self._link = Link(url)
        self.reader = PostgresReader(self._link, connections=1)
        try:
            self.place = self._checked()
        except BaseException:
            self.reader.close()
            raise

    def _checked(self) -> str:
        """Where it is, if it holds a store that this program can read."""
        try:
            with self.reader.connection() as session:
                place = f"the database {session.info.dbname} at {session.info.host}"
                found = session.execute("SELECT to_regclass('schema_version')").fetchone()
                if found is None or found[0] is None:
                    raise StoreRefused(f"{place} holds no store of Indelible")
                row = session.execute("SELECT max(version) FROM schema_version").fetchone()
        except (StoreUnavailable, psycopg.Error) as error:
            raise StoreRefused(str(error)) from error
        version = (row and row[0]) or 0
        if version < SCHEMA_VERSION:
            raise StoreRefused(f"{place} has schema version {version}: bring it on with indelible migrate")
        return place

    def facts(self) -> Mapping[str, str]:
        """See `Database`."""
        with self.reader.connection() as session:
            return facts_of(session).told()

    def size_bytes(self) -> int:
        """See `Database`."""
        return int(self.reader.rows("SELECT pg_database_size(current_database())")[0][0])

    def damage(self) -> str | None:
        """See `Database`. Its own checksums and amcheck are the database administrator's."""
        return None

    def flaws(self, limit: int) -> Iterator[str]:
        """See `Database`."""
        for what, table in (("tiles", "tile"), ("events", "chunk")):
            for (log,) in self.reader.rows(_STRAYS.format(table=table))[:limit]:
                yield f"{what} are stored of log number {log}, which is none"
        for (log,) in self.reader.rows(_ZEROTH)[:limit]:
            yield f"log number {log} has a chunk before its first event"

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Database`."""
        with self.reader.connection() as session:  # the only one
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            with suppress(StoreError, psycopg.Error), self.reader.connection() as session:
                session.execute("ROLLBACK")

    def close(self) -> None:
        """See `Database`."""
        self.reader.close()
