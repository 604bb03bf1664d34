"""Reading from PostgreSQL: single statements, each on a session that is borrowed from a small pool."""

import json
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg

from indelible.model.types import LogInfo
from indelible.store.base import (
    ChunkRow,
    HeadRow,
    KeyRow,
    LogKeyRow,
    SegmentRow,
    StoreClosed,
    StoreUnavailable,
    ViewRow,
    WorkspaceRow,
)
from indelible.store.postgres_session import READER, AnyConnection, Link, is_lost, translate

TILE_HASHES = 256
HASH_BYTES = 32
CONNECTIONS = 8
POOL_SECONDS = 10.0

HEAD = "SELECT log, size, time, time_floor, root, frontier FROM head "
_WORKSPACE = "SELECT key, workspace_id, name, created FROM workspace "
_LOG = "SELECT key, log_id, workspace, name, origin, created, erasable, public_proofs FROM log "
_KEY = (
    "SELECT key_id, workspace, secret_hash, label, scopes, logs, views, not_before, expires,"
    " created, revoked, preset FROM api_key "
)
_LOG_KEY = "SELECT log, generation, holder, verifier_key, statement, created FROM log_key "
_SEGMENT = (
    "SELECT first, last, first_time, last_time, key, sha256, size, version FROM segment WHERE log = %s "
)
_VIEW = (
    "SELECT view_id, log, name, version, component_sha256, config, world, builtin, state, created, author"
    " FROM view "
)
_AT = "(SELECT max(first) FROM chunk WHERE log = %(log)s AND first BETWEEN 1 AND %(at)s)"
_CHUNK = "SELECT first, events, time, meta, leaves, payload FROM chunk WHERE log = %(log)s "

Row = tuple[Any, ...]


def _log(row: Row) -> LogInfo:
    return LogInfo(row[0], UUID(bytes=row[1]), *row[2:])


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))


def _key(row: Row) -> KeyRow:
    names = (_names(row[4]) or (), _names(row[5]), _names(row[6]))
    return KeyRow._make((*row[:4], *names, *row[7:]))


REGISTRY = "SELECT version FROM registry"


class PostgresReader:
    """Implements `store.base.Reader`. Each call borrows a session, so any thread may call.

    Where a session was lost the same statement goes to another: reading twice does no harm. When the database
    was away all of them may be, so there are as many tries as sessions, and one that is opened anew.
    """

    def __init__(self, link: Link, connections: int = CONNECTIONS) -> None:
        self._link = link
        self._pool: queue.LifoQueue[AnyConnection | None] = queue.LifoQueue()
        for _ in range(connections):
            self._pool.put(None)
        self._size = connections
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[AnyConnection]:
        """Borrow a session; one that is lost meanwhile is not given back.

        Raises:
            StoreClosed: the store was closed.
            StoreUnavailable: the database does not answer, or all sessions are in use.
        """
        try:
            session = self._pool.get(timeout=POOL_SECONDS)
        except queue.Empty:
            raise StoreUnavailable("all sessions with the database are in use") from None
        try:
            if self._closed:
                raise StoreClosed("the store was closed")
            if session is None:
                session = self._link.connect(READER)
            yield session
        finally:
            self._pool.put(None if session is None or session.closed else session)

    def close(self) -> None:
        """Close the sessions as they come back: a thread of work that was given up may still hold one."""
        self._closed = True
        for session in [self._pool.get() for _ in range(self._size)]:
            if session is not None:
                session.close()
            self._pool.put(None)  # who waits for one learns that the store was closed

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """Run one statement that reads, and return all rows.

        Raises:
            StoreError: `StoreUnavailable` where the database does not answer.
        """
        for left in reversed(range(self._size + 1)):
            with self.connection() as session:
                try:
                    return session.execute(sql, values, binary=True).fetchall()
                except psycopg.Error as error:
                    if is_lost(error):
                        session.close()
                        if left:
                            continue
                    raise translate(error) from error
        raise AssertionError

    def _row(self, sql: str, *values: Any) -> Row | None:
        rows = self.rows(sql, values)
        return rows[0] if rows else None

    def _count(self, sql: str, *values: Any) -> int:
        row = self._row(sql, *values)
        return int((row and row[0]) or 0)

    def meta(self, name: str) -> bytes | None:
        """See `Reader`."""
        row = self._row("SELECT value FROM meta WHERE name = %s", name)
        return row[0] if row else None

    def workspaces(self) -> list[WorkspaceRow]:
        """See `Reader`."""
        return [WorkspaceRow(*row) for row in self.rows(_WORKSPACE + "ORDER BY key")]

    def workspace_count(self) -> int:
        """See `Reader`."""
        return self._count("SELECT count(*) FROM workspace")

    def _workspace(self, where: str, value: Any) -> WorkspaceRow | None:
        row = self._row(_WORKSPACE + where, value)
        return WorkspaceRow(*row) if row else None

    def workspace_by_key(self, key: int) -> WorkspaceRow | None:
        """See `Reader`."""
        return self._workspace("WHERE key = %s", key)

    def workspace_by_id(self, workspace_id: bytes) -> WorkspaceRow | None:
        """See `Reader`."""
        return self._workspace("WHERE workspace_id = %s", workspace_id)

    def workspace_by_name(self, name: str) -> WorkspaceRow | None:
        """See `Reader`."""
        return self._workspace("WHERE name = %s", name)

    def log_by_id(self, log_id: bytes) -> LogInfo | None:
        """See `Reader`."""
        row = self._row(_LOG + "WHERE log_id = %s", log_id)
        return _log(row) if row else None

    def log_by_name(self, workspace: int, name: str) -> LogInfo | None:
        """See `Reader`."""
        row = self._row(_LOG + "WHERE workspace = %s AND name = %s", workspace, name)
        return _log(row) if row else None

    def log_by_key(self, key: int) -> LogInfo | None:
        """See `Reader`."""
        row = self._row(_LOG + "WHERE key = %s", key)
        return _log(row) if row else None

    def logs(self, workspace: int | None, after: str, limit: int) -> list[LogInfo]:
        """See `Reader`."""
        if workspace is None:
            rows = self.rows(_LOG + "WHERE key > %s ORDER BY key LIMIT %s", (int(after or 0), limit))
        else:
            sql = _LOG + "WHERE workspace = %s AND name > %s ORDER BY name LIMIT %s"
            rows = self.rows(sql, (workspace, after, limit))
        return [_log(row) for row in rows]

    def log_keys(self, log: int) -> list[LogKeyRow]:
        """See `Reader`."""
        return [LogKeyRow(*row) for row in self.rows(_LOG_KEY + "WHERE log = %s ORDER BY generation", (log,))]

    def last_log(self) -> int:
        """See `Reader`."""
        return self._count("SELECT max(key) FROM log")

    def head(self, log: int) -> HeadRow | None:
        """See `Reader`."""
        return self.heads([log]).get(log)

    def heads(self, logs: Sequence[int]) -> Mapping[int, HeadRow]:
        """See `Reader`."""
        rows = self.rows(HEAD + "WHERE log = ANY(%s)", (list(logs),))
        return {row[0]: HeadRow(*row[1:]) for row in rows}

    def newest_time(self) -> int:
        """See `Reader`."""
        return self._count("SELECT max(time) FROM head")

    def registry(self) -> int:
        """See `Reader`."""
        return self._count(REGISTRY)

    def chunks(self, log: int, sequence: int, limit: int, *, reverse: bool = False) -> list[ChunkRow]:
        """See `Reader`."""
        where = "<= " + _AT + " ORDER BY first DESC" if reverse else ">= " + _AT + " ORDER BY first"
        values = {"log": log, "at": sequence, "limit": limit}
        rows = self.rows(_CHUNK + f"AND first >= 1 AND first {where} LIMIT %(limit)s", values)
        return [ChunkRow(*row) for row in rows]

    def metas(self, log: int, first: int, last: int) -> list[ChunkRow]:
        """See `Reader`."""
        sql = (
            "SELECT first, events, time, meta FROM chunk WHERE log = %(log)s"  # noqa: S608 - a constant
            f" AND first >= {_AT} AND first <= %(last)s ORDER BY first"
        )
        rows = self.rows(sql, {"log": log, "at": first, "last": last})
        return [ChunkRow._make((*row, b"", b"")) for row in rows]

    def chunk_time(self, log: int, sequence: int) -> tuple[int, int, int] | None:
        """See `Reader`."""
        sql = f"SELECT first, events, time FROM chunk WHERE log = %(log)s AND first = {_AT}"  # noqa: S608 - same
        rows = self.rows(sql, {"log": log, "at": sequence})
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def leaves(self, log: int, first: int, count: int) -> bytes:
        """See `Reader`."""
        if count == 0:
            return b""
        last = first + count - 1
        sql = (
            "SELECT first, leaves FROM chunk WHERE log = %(log)s"  # noqa: S608 - a constant
            f" AND first >= {_AT} AND first <= %(last)s ORDER BY first"
        )
        rows = self.rows(sql, {"log": log, "at": first, "last": last})
        if not rows:
            raise LookupError(f"no events at {first}")
        skip = (first - rows[0][0]) * HASH_BYTES
        cut = b"".join(row[1] for row in rows)[skip : skip + count * HASH_BYTES]
        if len(cut) != count * HASH_BYTES:
            raise LookupError(f"the leaf hashes of events {first} to {last} are not all there")
        return cut

    def trimmed(self, log: int) -> int:
        """See `Reader`."""
        return self._count("SELECT size FROM trim WHERE log = %s", log)

    def segment(self, log: int, sequence: int) -> SegmentRow | None:
        """See `Reader`."""
        row = self._row(_SEGMENT + "AND first <= %s ORDER BY first DESC LIMIT 1", log, sequence)
        return SegmentRow(*row) if row and sequence <= row[1] else None

    def segment_before(self, log: int, time: int) -> SegmentRow | None:
        """See `Reader`."""
        row = self._row(_SEGMENT + "AND first_time < %s ORDER BY first DESC LIMIT 1", log, time)
        return SegmentRow(*row) if row else None

    def nodes(self, log: int, level: int, start: int, count: int) -> bytes:
        """See `Reader`."""
        if count == 0:
            return b""
        first, last = start // TILE_HASHES, (start + count - 1) // TILE_HASHES
        sql = "SELECT hashes FROM tile WHERE log = %s AND level = %s AND tile BETWEEN %s AND %s ORDER BY tile"
        rows = self.rows(sql, (log, level, first, last))
        skip = (start - first * TILE_HASHES) * HASH_BYTES
        cut = b"".join(row[0] for row in rows)[skip : skip + count * HASH_BYTES]
        if len(cut) != count * HASH_BYTES or len(rows) != last - first + 1:
            raise LookupError(f"nodes {start} to {start + count - 1} of level {level} are not all there")
        return cut

    def tiles(self, log: int, after: tuple[int, int], limit: int) -> list[tuple[int, int, int]]:
        """See `Reader`."""
        sql = (
            "SELECT level, tile, length(hashes) FROM tile"
            " WHERE log = %s AND (level, tile) > (%s::int, %s::bigint) ORDER BY level, tile LIMIT %s"
        )
        return [(row[0], row[1], row[2]) for row in self.rows(sql, (log, *after, limit))]

    def key(self, key_id: str) -> KeyRow | None:
        """See `Reader`."""
        row = self._row(_KEY + "WHERE key_id = %s", key_id)
        return _key(row) if row else None

    def keys(self, workspace: int) -> list[KeyRow]:
        """See `Reader`."""
        rows = self.rows(_KEY + "WHERE workspace = %s ORDER BY created, key_id", (workspace,))
        return [_key(row) for row in rows]

    def views(self, log: int | None = None) -> list[ViewRow]:
        """See `Reader`."""
        if log is None:
            rows = self.rows(_VIEW + "WHERE state <> 'retired' ORDER BY log, name, version")
        else:
            sql = _VIEW + "WHERE log = %s AND state <> 'retired' ORDER BY name, version"
            rows = self.rows(sql, (log,))
        return [ViewRow(*row) for row in rows]

    def versions(self, view_id: bytes) -> list[ViewRow]:
        """See `Reader`."""
        rows = self.rows(_VIEW + "WHERE view_id = %s ORDER BY version", (view_id,))
        return [ViewRow(*row) for row in rows]

    def view_versions(self, log: int) -> list[ViewRow]:
        """See `Reader`."""
        rows = self.rows(_VIEW + "WHERE log = %s ORDER BY created, view_id, version", (log,))
        return [ViewRow(*row) for row in rows]

    def counts(self, workspace: int) -> tuple[int, int]:
        """See `Reader`."""
        logs = self._count("SELECT count(*) FROM log WHERE workspace = %s", workspace)
        sql = "SELECT count(*) FROM api_key WHERE workspace = %s AND revoked IS NULL"
        return logs, self._count(sql, workspace)
