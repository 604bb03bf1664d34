"""Reading from the embedded engine: short statements on a pool of read-only connections."""

import errno
import json
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import apsw

from indelible.model.types import LogInfo
from indelible.store.base import (
    ChunkRow,
    HeadRow,
    KeyRow,
    LogKeyRow,
    SegmentRow,
    StoreBroken,
    StoreClosed,
    StoreError,
    StoreFull,
    ViewRow,
    WorkspaceRow,
)
from indelible.store.sqlite_schema import see_as_current

SEQUENCE_BITS = 40
TILE_HASHES = 256
HASH_BYTES = 32
_NO_ROOM = frozenset({errno.EDQUOT, errno.EFBIG})

_WORKSPACE = "SELECT key, workspace_id, name, created FROM workspace "
_LOG = "SELECT key, log_id, workspace, name, origin, created, erasable, public_proofs FROM log "
_HEAD = "SELECT size, time, time_floor, root, frontier FROM head WHERE log = ?"
_KEY = (
    "SELECT key_id, workspace, secret_hash, label, scopes, logs, views, not_before, expires,"
    " created, revoked, preset FROM api_key "
)
_LOG_KEY = "SELECT log, generation, holder, verifier_key, statement, created FROM log_key "
_SEGMENT = "SELECT first, last, first_time, last_time, key, sha256, size, version FROM segment WHERE log = ? "
_VIEW = (
    "SELECT view_id, log, name, version, component_sha256, config, world, builtin, state, created, author"
    " FROM view "
)
_CHUNK_AT = "SELECT max(id) FROM chunk WHERE id BETWEEN ? AND ?"
_METAS = "SELECT id, events, time, meta FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id"
_CHUNKS = "SELECT id, events, time, meta, leaves, payload FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id "


def chunk_id(log: int, sequence: int) -> int:
    """The row id of the chunk of `log` that begins at `sequence`."""
    return log << SEQUENCE_BITS | sequence


def _log(row: tuple[Any, ...]) -> LogInfo:
    return LogInfo(row[0], UUID(bytes=row[1]), row[2], row[3], row[4], row[5], bool(row[6]), bool(row[7]))


def fetch(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a statement and return all rows, untyped as SQLite's values are."""
    return cast("list[tuple[Any, ...]]", connection.execute(sql, values).fetchall())


def translate(error: BaseException, system_errno: int = 0) -> BaseException:
    """SQLite's errors in the words of the contract; any other as it is.

    `system_errno` is the connection's, which tells a write that a quota or a limit on a file's size refused
    from a disk that fails. SQLite calls only ENOSPC full, but undoes a transaction in the same way after any
    write that failed: no frame of the log of pages counts unless it and all before it were written whole.
    """
    if isinstance(error, apsw.FullError) or (_is_failed_write(error) and system_errno in _NO_ROOM):
        return StoreFull("no space is left for the database")
    if isinstance(error, apsw.IOError | apsw.CorruptError | apsw.NotADBError):
        return StoreBroken(f"stable storage failed: {type(error).__name__} {error}")
    if isinstance(error, apsw.Error):
        return StoreError(f"{type(error).__name__} {error}")
    return error


def _is_failed_write(error: BaseException) -> bool:
    code: int = getattr(error, "extendedresult", apsw.SQLITE_OK)
    return isinstance(error, apsw.IOError) and code == apsw.SQLITE_IOERR_WRITE


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))


def _key(row: tuple[Any, ...]) -> KeyRow:
    names = (_names(row[4]) or (), _names(row[5]), _names(row[6]))
    return KeyRow._make((*row[:4], *names, *row[7:]))


class SqliteReader:
    """Implements `store.base.Reader`. Each call borrows a connection, so any thread may call."""

    def __init__(self, path: Path, connections: int = 4) -> None:
        self._closed = False
        self._pool: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        self._all = [self._open(path) for _ in range(connections)]
        for connection in self._all:
            self._pool.put(connection)

    @staticmethod
    def _open(path: Path) -> apsw.Connection:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(10_000)
        see_as_current(connection)
        return connection

    @contextmanager
    def connection(self) -> Iterator[apsw.Connection]:
        """Borrow a read-only connection for one short statement.

        Raises:
            StoreClosed: the store was closed.
        """
        connection = self._pool.get()
        try:
            if self._closed:
                raise StoreClosed("the store was closed")
            yield connection
        except apsw.Error as error:
            raise translate(error) from error
        finally:
            self._pool.put(connection)

    def close(self) -> None:
        """Close the connections as they come back: a thread of work that was given up may still hold one."""
        self._closed = True
        for connection in [self._pool.get() for _ in self._all]:
            connection.close()
            self._pool.put(connection)  # who waits for one learns that the store was closed

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            return fetch(connection, sql, values)

    def _row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        rows = self._rows(sql, *values)
        return rows[0] if rows else None

    def meta(self, name: str) -> bytes | None:
        """See `Reader`."""
        row = self._row("SELECT value FROM meta WHERE name = ?", name)
        return row[0] if row else None

    def workspaces(self) -> list[WorkspaceRow]:
        """See `Reader`."""
        return [WorkspaceRow(*row) for row in self._rows(_WORKSPACE + "ORDER BY key")]

    def workspace_count(self) -> int:
        """See `Reader`."""
        row = self._row("SELECT count(*) FROM workspace")
        return int(row[0]) if row else 0

    def workspace_by_key(self, key: int) -> WorkspaceRow | None:
        """See `Reader`."""
        row = self._row(_WORKSPACE + "WHERE key = ?", key)
        return WorkspaceRow(*row) if row else None

    def workspace_by_id(self, workspace_id: bytes) -> WorkspaceRow | None:
        """See `Reader`."""
        row = self._row(_WORKSPACE + "WHERE workspace_id = ?", workspace_id)
        return WorkspaceRow(*row) if row else None

    def workspace_by_name(self, name: str) -> WorkspaceRow | None:
        """See `Reader`."""
        row = self._row(_WORKSPACE + "WHERE name = ?", name)
        return WorkspaceRow(*row) if row else None

    def log_by_id(self, log_id: bytes) -> LogInfo | None:
        """See `Reader`."""
        row = self._row(_LOG + "WHERE log_id = ?", log_id)
        return _log(row) if row else None

    def log_by_name(self, workspace: int, name: str) -> LogInfo | None:
        """See `Reader`."""
        row = self._row(_LOG + "WHERE workspace = ? AND name = ?", workspace, name)
        return _log(row) if row else None

    def log_by_key(self, key: int) -> LogInfo | None:
        """See `Reader`."""
        row = self._row(_LOG + "WHERE key = ?", key)
        return _log(row) if row else None

    def logs(self, workspace: int | None, after: str, limit: int) -> list[LogInfo]:
        """See `Reader`."""
        if workspace is None:
            rows = self._rows(_LOG + "WHERE key > ? ORDER BY key LIMIT ?", int(after or 0), limit)
        else:
            sql = _LOG + "WHERE workspace = ? AND name > ? ORDER BY name LIMIT ?"
            rows = self._rows(sql, workspace, after, limit)
        return [_log(row) for row in rows]

    def log_keys(self, log: int) -> list[LogKeyRow]:
        """See `Reader`."""
        return [LogKeyRow(*row) for row in self._rows(_LOG_KEY + "WHERE log = ? ORDER BY generation", log)]

    def last_log(self) -> int:
        """See `Reader`."""
        row = self._row("SELECT max(key) FROM log")
        return (row and row[0]) or 0

    def head(self, log: int) -> HeadRow | None:
        """See `Reader`."""
        row = self._row(_HEAD, log)
        return HeadRow(*row) if row else None

    def heads(self, logs: Sequence[int]) -> Mapping[int, HeadRow]:
        """See `Reader`."""
        found = {}
        with self.connection() as connection:
            for log in logs:
                for row in connection.execute(_HEAD, (log,)):
                    found[log] = HeadRow(*row)
        return found

    def newest_time(self) -> int:
        """See `Reader`."""
        row = self._row("SELECT max(time) FROM head")
        return (row and row[0]) or 0

    def registry(self) -> int:
        """See `Reader`."""
        return 0

    def chunks(self, log: int, sequence: int, limit: int, *, reverse: bool = False) -> list[ChunkRow]:
        """See `Reader`."""
        with self.connection() as connection:
            low, high = chunk_id(log, 1), chunk_id(log + 1, 0) - 1
            ((start,),) = fetch(connection, _CHUNK_AT, (low, chunk_id(log, sequence)))
            if start is None:
                return []
            bounds = (low, start, limit) if reverse else (start, high, limit)
            order = "DESC LIMIT ?" if reverse else "LIMIT ?"
            rows = fetch(connection, _CHUNKS + order, bounds)
        mask = (1 << SEQUENCE_BITS) - 1
        return [ChunkRow(row[0] & mask, *row[1:]) for row in rows]

    def metas(self, log: int, first: int, last: int) -> list[ChunkRow]:
        """See `Reader`."""
        with self.connection() as connection:
            low, high = chunk_id(log, 1), chunk_id(log, last)
            ((start,),) = fetch(connection, _CHUNK_AT, (low, chunk_id(log, first)))
            rows = [] if start is None else fetch(connection, _METAS, (start, high))
        mask = (1 << SEQUENCE_BITS) - 1
        return [ChunkRow(row[0] & mask, row[1], row[2], row[3], b"", b"") for row in rows]

    def chunk_time(self, log: int, sequence: int) -> tuple[int, int, int] | None:
        """See `Reader`."""
        sql = f"SELECT id, events, time FROM chunk WHERE id = ({_CHUNK_AT})"  # noqa: S608 - a constant
        row = self._row(sql, chunk_id(log, 1), chunk_id(log, sequence))
        return (row[0] & ((1 << SEQUENCE_BITS) - 1), row[1], row[2]) if row else None

    def leaves(self, log: int, first: int, count: int) -> bytes:
        """See `Reader`."""
        if count == 0:
            return b""
        low, high = chunk_id(log, 1), chunk_id(log, first + count - 1)
        with self.connection() as connection:
            ((start,),) = fetch(connection, _CHUNK_AT, (low, chunk_id(log, first)))
            if start is None:
                raise LookupError(f"no events at {first}")
            sql = "SELECT leaves FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id"
            joined = b"".join(row[0] for row in fetch(connection, sql, (start, high)))
        skip = (chunk_id(log, first) - start) * HASH_BYTES
        cut = joined[skip : skip + count * HASH_BYTES]
        if len(cut) != count * HASH_BYTES:
            raise LookupError(f"the leaf hashes of events {first} to {first + count - 1} are not all there")
        return cut

    def trimmed(self, log: int) -> int:
        """See `Reader`."""
        row = self._row("SELECT size FROM trim WHERE log = ?", log)
        return row[0] if row else 0

    def segment(self, log: int, sequence: int) -> SegmentRow | None:
        """See `Reader`."""
        row = self._row(_SEGMENT + "AND first <= ? ORDER BY first DESC LIMIT 1", log, sequence)
        return SegmentRow(*row) if row and sequence <= row[1] else None

    def segment_before(self, log: int, time: int) -> SegmentRow | None:
        """See `Reader`."""
        row = self._row(_SEGMENT + "AND first_time < ? ORDER BY first DESC LIMIT 1", log, time)
        return SegmentRow(*row) if row else None

    def nodes(self, log: int, level: int, start: int, count: int) -> bytes:
        """See `Reader`."""
        if count == 0:
            return b""
        first, last = start // TILE_HASHES, (start + count - 1) // TILE_HASHES
        rows = self._rows(
            "SELECT hashes FROM tile WHERE log = ? AND level = ? AND tile BETWEEN ? AND ? ORDER BY tile",
            *(log, level, first, last),
        )
        skip = (start - first * TILE_HASHES) * HASH_BYTES
        cut = b"".join(row[0] for row in rows)[skip : skip + count * HASH_BYTES]
        if len(cut) != count * HASH_BYTES or len(rows) != last - first + 1:
            raise LookupError(f"nodes {start} to {start + count - 1} of level {level} are not all there")
        return cut

    def tiles(self, log: int, after: tuple[int, int], limit: int) -> list[tuple[int, int, int]]:
        """See `Reader`."""
        sql = (
            "SELECT level, tile, length(CAST(hashes AS BLOB)) FROM tile"
            " WHERE log = ? AND (level, tile) > (?, ?) ORDER BY level, tile LIMIT ?"
        )
        return [(row[0], row[1], row[2]) for row in self._rows(sql, log, *after, limit)]

    def key(self, key_id: str) -> KeyRow | None:
        """See `Reader`."""
        row = self._row(_KEY + "WHERE key_id = ?", key_id)
        return _key(row) if row else None

    def keys(self, workspace: int) -> list[KeyRow]:
        """See `Reader`."""
        return [_key(row) for row in self._rows(_KEY + "WHERE workspace = ? ORDER BY created", workspace)]

    def views(self, log: int | None = None) -> list[ViewRow]:
        """See `Reader`."""
        if log is None:
            rows = self._rows(_VIEW + "WHERE state <> 'retired' ORDER BY log, name, version")
        else:
            rows = self._rows(_VIEW + "WHERE log = ? AND state <> 'retired' ORDER BY name, version", log)
        return [ViewRow(*row) for row in rows]

    def versions(self, view_id: bytes) -> list[ViewRow]:
        """See `Reader`."""
        return [ViewRow(*row) for row in self._rows(_VIEW + "WHERE view_id = ? ORDER BY version", view_id)]

    def view_versions(self, log: int) -> list[ViewRow]:
        """See `Reader`."""
        sql = _VIEW + "WHERE log = ? ORDER BY created, view_id, version"
        return [ViewRow(*row) for row in self._rows(sql, log)]

    def counts(self, workspace: int) -> tuple[int, int]:
        """See `Reader`."""
        logs = self._row("SELECT count(*) FROM log WHERE workspace = ?", workspace)
        keys = self._row("SELECT count(*) FROM api_key WHERE workspace = ? AND revoked IS NULL", workspace)
        return (logs or (0,))[0], (keys or (0,))[0]
