"""What is wrong with a database file as such: its structure, and rows that belong to nothing."""

from collections.abc import Iterator

from indelible.store.base import StoreError
from indelible.store.sqlite_read import SEQUENCE_BITS, SqliteReader

_STRUCTURE = "PRAGMA integrity_check({limit})"
_REFERENCES = 'SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1'
# One look at an index for each log, not one for each row.
_TILES = """
    WITH RECURSIVE of (log) AS (
        SELECT min(log) FROM tile
        UNION ALL SELECT (SELECT min(log) FROM tile WHERE log > of.log) FROM of WHERE of.log IS NOT NULL
    )
    SELECT log FROM of WHERE log IS NOT NULL AND log NOT IN (SELECT key FROM log)
"""
_CHUNKS = f"""
    WITH RECURSIVE of (log) AS (
        SELECT min(id) >> {SEQUENCE_BITS} FROM chunk
        UNION ALL
        SELECT (SELECT min(id) >> {SEQUENCE_BITS} FROM chunk WHERE id >= (of.log + 1) << {SEQUENCE_BITS})
        FROM of WHERE of.log IS NOT NULL
    )
    SELECT log FROM of WHERE log IS NOT NULL AND log NOT IN (SELECT key FROM log)
"""  # noqa: S608 - a constant
_ZEROTH = f"SELECT log.key FROM log JOIN chunk ON chunk.id = log.key << {SEQUENCE_BITS}"  # noqa: S608 - same


def flaws(reader: SqliteReader, limit: int) -> Iterator[str]:
    """Say what is wrong; of the structure at most `limit` things. Nothing is changed."""
    for check in (_structure, _references, _strays):
        try:
            yield from check(reader, limit)
        except (StoreError, TypeError) as error:
            yield f"it cannot be read in whole: {error}"


def _structure(reader: SqliteReader, limit: int) -> list[str]:
    with reader.connection() as connection:
        said = [str(row[0]) for row in connection.execute(_STRUCTURE.format(limit=limit))]
    return [] if said == ["ok"] else [f"its structure is damaged: {each}" for each in said]


def _references(reader: SqliteReader, _limit: int) -> list[str]:
    with reader.connection() as connection:
        rows = list(connection.execute(_REFERENCES))
    return [f"{count} rows of the table {table} belong to a row that is not there" for table, count in rows]


def _strays(reader: SqliteReader, _limit: int) -> list[str]:
    found = []
    with reader.connection() as connection:
        for what, sql in (("tiles", _TILES), ("events", _CHUNKS)):
            found += [
                f"{what} are stored of log number {row[0]}, which is none" for row in connection.execute(sql)
            ]
        found += [
            f"log number {row[0]} has a chunk before its first event" for row in connection.execute(_ZEROTH)
        ]
    return found
