"""Writing to the embedded engine: one transaction on the one writing connection."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from indelible.model.types import LogInfo
from indelible.store.base import ChunkRow, HeadRow, KeyRow, Locked, LogKeyRow, NodeRow, SegmentRow, ViewRow
from indelible.store.sqlite_read import SEQUENCE_BITS, TILE_HASHES, chunk_id, translate

_HEAD = "SELECT size, time, time_floor, root, frontier FROM head WHERE log = ?"
_PUT_HEAD = "UPDATE head SET size = ?, time = ?, time_floor = ?, root = ?, frontier = ? WHERE log = ?"
_PUT_CHUNK = "INSERT INTO chunk (id, events, time, meta, leaves, payload) VALUES (?, ?, ?, ?, ?, ?)"
_PUT_NODES = (
    "INSERT INTO tile (log, level, tile, hashes) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET hashes = CAST(hashes || excluded.hashes AS BLOB)"
)
_ADD_LOG = (
    "INSERT INTO log (log_id, workspace, name, origin, created, erasable, public_proofs)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_ADD_HEAD = "INSERT INTO head (log, size, time, time_floor, root, frontier) VALUES (?, ?, ?, ?, ?, ?)"


def _json(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else json.dumps(names)


class SqliteTransaction:
    """Implements `store.base.Transaction`; valid only inside `SqliteStore.transaction`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._run = connection.execute

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._run(sql, values)]

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `Transaction`.

        Some errors of the disk end the whole transaction, and the savepoint with it: then the first error
        is the one to tell of.
        """
        self._run("SAVEPOINT part")
        try:
            yield
        except BaseException as error:
            told = translate(error, self._connection.system_errno)
            if self._connection.in_transaction:
                self._run("ROLLBACK TO part")
                self._run("RELEASE part")
            raise told from error
        self._run("RELEASE part")

    def lock_heads(self, logs: Sequence[int]) -> Mapping[int, HeadRow]:
        """See `Transaction`. The one writer holds the whole database, so reading is locking."""
        found = {}
        for log in sorted(logs):
            for row in self._run(_HEAD, (log,)):
                found[log] = HeadRow(*row)
        return found

    def lock(self, logs: Sequence[int], waited: Sequence[int], names: Sequence[str]) -> Locked:
        """See `Transaction`. There are no others to wait for."""
        values = {}
        for name in names:
            for (value,) in self._run("SELECT value FROM meta WHERE name = ?", (name,)):
                values[name] = value
        return Locked(self.lock_heads([*waited, *logs]), values, None)

    def alone(self) -> None:
        """See `Transaction`. The one writer always is."""

    def clock(self) -> None:
        """See `Transaction`."""

    def put_chunk(self, log: int, chunk: ChunkRow) -> None:
        """See `Transaction`."""
        self._run(_PUT_CHUNK, (chunk_id(log, chunk.first), *chunk[1:]))

    def put_nodes(self, log: int, nodes: Iterable[NodeRow]) -> None:
        """See `Transaction`."""
        tiles: dict[tuple[int, int], list[bytes]] = {}
        for node in nodes:
            tiles.setdefault((node.level, node.position // TILE_HASHES), []).append(node.hash)
        for (level, tile), hashes in tiles.items():
            self._run(_PUT_NODES, (log, level, tile, b"".join(hashes)))

    def put_head(self, log: int, head: HeadRow) -> None:
        """See `Transaction`."""
        self._run(_PUT_HEAD, (*head, log))

    def drop_beyond(self, log: int, size: int) -> None:
        """See `Transaction`."""
        bounds = (chunk_id(log, size + 1), chunk_id(log + 1, 0) - 1)
        self._run("DELETE FROM chunk WHERE id BETWEEN ? AND ?", bounds)

    def put_segment(self, log: int, segment: SegmentRow) -> None:
        """See `Transaction`."""
        self._run("INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (log, *segment))

    def trim(self, log: int, size: int) -> int:
        """See `Transaction`."""
        first, last = chunk_id(log, 1), chunk_id(log, size + 1)
        ((kept,),) = self._rows("SELECT max(id) FROM chunk WHERE id BETWEEN ? AND ?", (first, last))
        if kept is None:
            return sum(row[0] for row in self._run("SELECT size FROM trim WHERE log = ?", (log,)))
        trimmed: int = (kept & ((1 << SEQUENCE_BITS) - 1)) - 1
        self._run("INSERT OR REPLACE INTO trim VALUES (?, ?)", (log, trimmed))
        self._run("DELETE FROM chunk WHERE id BETWEEN ? AND ?", (first, kept - 1))
        return trimmed

    def put_meta(self, name: str, value: bytes) -> None:
        """See `Transaction`."""
        sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
        self._run(sql, (name, value))

    def _insert(self, sql: str, values: Sequence[Any], what: str) -> int:
        try:
            self._run(sql, values)
        except apsw.ConstraintError:
            raise KeyError(what) from None
        return self._connection.last_insert_rowid()

    def add_workspace(self, workspace_id: bytes, name: str, created: int) -> int:
        """See `Transaction`."""
        sql = "INSERT INTO workspace (workspace_id, name, created) VALUES (?, ?, ?)"
        return self._insert(sql, (workspace_id, name, created), name)

    def add_log(self, log: LogInfo, head: HeadRow) -> int:
        """See `Transaction`."""
        flags = (log.erasable, log.public_proofs)
        values = (log.log_id.bytes, log.workspace, log.name, log.origin, log.created, *flags)
        key = self._insert(_ADD_LOG, values, log.name)
        self._run(_ADD_HEAD, (key, *head))
        return key

    def set_public_proofs(self, log: int, *, public: bool) -> bool:
        """See `Transaction`."""
        self._run("UPDATE log SET public_proofs = ? WHERE key = ?", (public, log))
        return self._connection.changes() > 0

    def add_log_key(self, key: LogKeyRow) -> None:
        """See `Transaction`."""
        what = f"generation {key.generation} of log {key.log}"
        self._insert("INSERT INTO log_key VALUES (?, ?, ?, ?, ?, ?)", tuple(key), what)

    def add_key(self, key: KeyRow) -> None:
        """See `Transaction`."""
        values = (*key[:4], _json(key.scopes), _json(key.logs), _json(key.views), *key[7:])
        self._run(f"INSERT INTO api_key VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - marks

    def revoke_key(self, key_id: str, when: int) -> bool:
        """See `Transaction`."""
        self._run("UPDATE api_key SET revoked = ? WHERE key_id = ? AND revoked IS NULL", (when, key_id))
        return self._connection.changes() > 0

    def add_view(self, view: ViewRow) -> None:
        """See `Transaction`."""
        self._run(f"INSERT INTO view VALUES ({', '.join('?' * len(view))})", tuple(view))  # noqa: S608 - marks

    def set_view_state(self, view_id: bytes, version: int, state: str) -> bool:
        """See `Transaction`."""
        self._run("UPDATE view SET state = ? WHERE view_id = ? AND version = ?", (state, view_id, version))
        return self._connection.changes() > 0

    def find_keys(self, digests: Sequence[bytes], epochs: Sequence[int]) -> Mapping[bytes, int]:
        """See `Transaction`."""
        marks = ", ".join("?" * len(digests))
        sql = f"SELECT digest, first FROM key_index WHERE epoch = ? AND digest IN ({marks})"  # noqa: S608 - marks
        found: dict[bytes, int] = {}
        for epoch in sorted(epochs):
            found.update(self._run(sql, (epoch, *digests)))
        return found

    def journal_keys(self, body: bytes) -> int:
        """See `Transaction`."""
        self._run("INSERT INTO key_journal (body) VALUES (?)", (body,))
        return self._connection.last_insert_rowid()

    def merge_keys(self, epoch: int, rows: Sequence[tuple[bytes, int]], upto: int) -> None:
        """See `Transaction`."""
        sql = "INSERT INTO key_index VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET first = excluded.first"
        self._connection.executemany(sql, ((epoch, digest, first) for digest, first in rows))
        sql = "INSERT INTO key_count VALUES (?, ?) ON CONFLICT DO UPDATE SET keys = keys + excluded.keys"
        self._run(sql, (epoch, len(rows)))
        self._run("DELETE FROM key_journal WHERE id <= ?", (upto,))

    def drop_epoch(self, epoch: int, limit: int) -> int:
        """See `Transaction`."""
        sql = (
            "DELETE FROM key_index WHERE (epoch, digest) IN"
            " (SELECT epoch, digest FROM key_index WHERE epoch <= ? LIMIT ?)"
        )
        self._run(sql, (epoch, limit))
        dropped = self._connection.changes()
        if dropped < limit:
            self._run("DELETE FROM key_count WHERE epoch <= ?", (epoch,))
        return dropped
