"""Writing to PostgreSQL: one transaction, whose statements go over in as few round trips as can be.

What is written is queued, and goes with the next statement that is asked for an answer. COMMIT alone is sent
by itself, so that an error before it is known to be one before it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from indelible.model.types import LogInfo
from indelible.store.base import ChunkRow, HeadRow, KeyRow, Locked, LogKeyRow, NodeRow, SegmentRow, ViewRow
from indelible.store.postgres_read import HEAD, TILE_HASHES
from indelible.store.postgres_session import translate
from indelible.store.postgres_trip import Answer, Statement, Trips

ALONE_LOCK = 0x616C6F6E  # "alon": of those who decide by what readers show
TIDY_LOCK = 0x74696479  # "tidy"
_WAIT = HEAD + "WHERE log = ANY(%s) ORDER BY log FOR UPDATE"
_SKIP = _WAIT + " SKIP LOCKED"
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_CLOCK_AND_VALUES = (
    "SELECT c.now, m.name, m.value"
    " FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) c"
    " LEFT JOIN meta m ON m.name = ANY(%s)"
)
_PUT_META = "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_PUT_HEAD = "UPDATE head SET size = %s, time = %s, time_floor = %s, root = %s, frontier = %s WHERE log = %s"
_PUT_CHUNK = (
    "INSERT INTO chunk (log, first, events, time, meta, leaves, payload) VALUES (%s, %s, %s, %s, %s, %s, %s)"
)
_PUT_NODES = (
    "INSERT INTO tile (log, level, tile, hashes) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (log, level, tile) DO UPDATE SET hashes = tile.hashes || excluded.hashes"
)
_PUT_SEGMENT = (
    "INSERT INTO segment VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (log, first) DO UPDATE SET"
    " (last, first_time, last_time, key, sha256, size, version) = (excluded.last, excluded.first_time,"
    " excluded.last_time, excluded.key, excluded.sha256, excluded.size, excluded.version)"
)
_KEPT = "SELECT max(first) FROM chunk WHERE log = %s AND first BETWEEN 1 AND %s"
_TRIMMED = "SELECT size FROM trim WHERE log = %s FOR UPDATE"
_TRIM = "INSERT INTO trim VALUES (%s, %s) ON CONFLICT (log) DO UPDATE SET size = excluded.size"
_ADD_WORKSPACE = (
    "INSERT INTO workspace (workspace_id, name, created) VALUES (%s, %s, %s)"
    " ON CONFLICT DO NOTHING RETURNING key"
)
_ADD_LOG = (
    "INSERT INTO log (log_id, workspace, name, origin, created, erasable, public_proofs)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING key"
)
_ADD_HEAD = "INSERT INTO head (log, size, time, time_floor, root, frontier) VALUES (%s, %s, %s, %s, %s, %s)"
_ADD_LOG_KEY = (
    "INSERT INTO log_key (log, generation, holder, verifier_key, statement, created)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING log"
)
_ADD_KEY = (
    "INSERT INTO api_key (key_id, workspace, secret_hash, label, scopes, logs, views, not_before, expires,"
    " created, revoked, preset) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_ADD_VIEW = (
    "INSERT INTO view (view_id, log, name, version, component_sha256, config, world, builtin, state, created,"
    " author) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
# One look into the index for each key and epoch: left to itself, the planner may read whole epochs instead.
_FIND_KEYS = (
    "SELECT found.digest, found.first FROM unnest(%s::bigint[]) e, unnest(%s::bytea[]) d,"
    " LATERAL (SELECT digest, first FROM key_index WHERE epoch = e AND digest = d OFFSET 0) found ORDER BY e"
)
_MERGE = (
    "INSERT INTO key_index (epoch, digest, first) SELECT %s, * FROM unnest(%s::bytea[], %s::bigint[])"
    " ON CONFLICT (epoch, digest) DO UPDATE SET first = excluded.first"
)
_DROP_EPOCH = (
    "DELETE FROM key_index WHERE (epoch, digest) IN"
    " (SELECT epoch, digest FROM key_index WHERE epoch <= %s LIMIT %s)"
)


def _json(names: tuple[str, ...] | None) -> str | None:
    return None if names is None else json.dumps(names)


class PostgresTransaction:
    """Implements `store.base.Transaction`; valid only inside `PostgresStore.transaction`."""

    def __init__(self, trips: Trips) -> None:
        self._trips = trips
        self._queued: list[Statement] = [("BEGIN ISOLATION LEVEL READ COMMITTED", ())]
        self._announced = False

    # ------------------------------------------------------------------ the round trips

    def flush(self) -> None:
        """Send what is queued, and wait until all of it was done."""
        if self._queued:
            self._ask()

    def _ask(self, *asked: Statement) -> list[Answer]:
        """Send what is queued and then statements whose answers are wanted, in one round trip."""
        queued, self._queued = [*self._queued, *asked], []
        answers = self._trips.go(queued)
        return answers[len(queued) - len(asked) :]

    def _put(self, sql: str, *values: Any) -> None:
        self._queued.append((sql, values))

    def _changed(self, sql: str, *values: Any) -> int:
        (answer,) = self._ask((sql, values))
        return answer.changed

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `Transaction`. An error that ended the whole session is the one to tell of."""
        self._put("SAVEPOINT part")
        try:
            yield
            self._put("RELEASE part")
            self.flush()
        except BaseException as error:
            told = translate(error)
            if not self._trips.session.closed:
                self._undo_part()
            raise told from error

    def _undo_part(self) -> None:
        """Undo to the savepoint, which may be queued still; what stands before it in the queue stays."""
        starts = [at for at, (sql, _) in enumerate(self._queued) if sql == "SAVEPOINT part"]
        if starts:
            del self._queued[starts[-1] :]
            return
        self._queued = [("ROLLBACK TO part", ()), ("RELEASE part", ())]
        self.flush()

    # ------------------------------------------------------------------ heads

    def lock_heads(self, logs: Sequence[int]) -> Mapping[int, HeadRow]:
        """See `Transaction`."""
        (answer,) = self._ask((_WAIT, (sorted(logs),)))
        return _heads(answer)

    def lock(self, logs: Sequence[int], waited: Sequence[int], names: Sequence[str]) -> Locked:
        """See `Transaction`. One round trip; each statement sees what was committed before it began."""
        asked: list[Statement] = [(_CLOCK_AND_VALUES, (list(names),))]
        if logs:
            asked.insert(0, (_SKIP, (sorted(logs),)))
        if waited:
            asked.insert(0, (_WAIT, (sorted(waited),)))
        *locked, seen = self._ask(*asked)
        heads = {log: head for answer in locked for log, head in _heads(answer).items()}
        rows = seen.rows
        values = {name: value for _, name, value in rows if name is not None}
        return Locked(heads, values, rows[0][0])

    def alone(self) -> None:
        """See `Transaction`."""
        self._ask(("SELECT pg_advisory_xact_lock(%s)", (ALONE_LOCK,)))

    def clock(self) -> int:
        """See `Transaction`."""
        (answer,) = self._ask((_CLOCK, ()))
        micros: int = answer.rows[0][0]
        return micros

    # ------------------------------------------------------------------ logs

    def put_chunk(self, log: int, chunk: ChunkRow) -> None:
        """See `Transaction`."""
        self._put(_PUT_CHUNK, log, *chunk)

    def put_nodes(self, log: int, nodes: Iterable[NodeRow]) -> None:
        """See `Transaction`."""
        tiles: dict[tuple[int, int], list[bytes]] = {}
        for node in nodes:
            tiles.setdefault((node.level, node.position // TILE_HASHES), []).append(node.hash)
        for (level, tile), hashes in tiles.items():
            self._put(_PUT_NODES, log, level, tile, b"".join(hashes))

    def put_head(self, log: int, head: HeadRow) -> None:
        """See `Transaction`."""
        self._put(_PUT_HEAD, *head, log)

    def drop_beyond(self, log: int, size: int) -> None:
        """See `Transaction`."""
        self._put("SELECT drop_beyond(%s, %s)", log, size)

    def put_segment(self, log: int, segment: SegmentRow) -> None:
        """See `Transaction`."""
        self._put(_PUT_SEGMENT, log, *segment)

    def trim(self, log: int, size: int) -> int:
        """See `Transaction`."""
        before, at = self._ask((_TRIMMED, (log,)), (_KEPT, (log, size + 1)))
        trimmed: int = sum(row[0] for row in before.rows)
        kept: int | None = at.rows[0][0]
        if kept is None:
            return trimmed
        self._put(_TRIM, log, kept - 1)  # what the trigger lets go
        self._put("DELETE FROM chunk WHERE log = %s AND first > %s AND first < %s", log, trimmed, kept)
        return kept - 1

    def put_meta(self, name: str, value: bytes) -> None:
        """See `Transaction`."""
        self._put(_PUT_META, name, value)

    # ------------------------------------------------------------------ the registry

    def _registered(self) -> None:
        """Count a change of the registry, once a transaction."""
        if not self._announced:
            self._put("UPDATE registry SET version = version + 1")
            self._announced = True

    def _insert(self, sql: str, values: Sequence[Any], what: str) -> int:
        (answer,) = self._ask((sql, values))
        rows = answer.rows
        if not rows:
            raise KeyError(what)
        return int(rows[0][0])

    def add_workspace(self, workspace_id: bytes, name: str, created: int) -> int:
        """See `Transaction`."""
        return self._insert(_ADD_WORKSPACE, (workspace_id, name, created), name)

    def add_log(self, log: LogInfo, head: HeadRow) -> int:
        """See `Transaction`."""
        flags = (log.erasable, log.public_proofs)
        values = (log.log_id.bytes, log.workspace, log.name, log.origin, log.created, *flags)
        key = self._insert(_ADD_LOG, values, log.name)
        self._put(_ADD_HEAD, key, *head)
        return key

    def set_public_proofs(self, log: int, *, public: bool) -> bool:
        """See `Transaction`."""
        self._registered()
        return self._changed("UPDATE log SET public_proofs = %s WHERE key = %s", public, log) > 0

    def add_log_key(self, key: LogKeyRow) -> None:
        """See `Transaction`."""
        self._insert(_ADD_LOG_KEY, tuple(key), f"generation {key.generation} of log {key.log}")

    def add_key(self, key: KeyRow) -> None:
        """See `Transaction`."""
        names = (_json(key.scopes), _json(key.logs), _json(key.views))
        self._put(_ADD_KEY, *key[:4], *names, *key[7:])

    def revoke_key(self, key_id: str, when: int) -> bool:
        """See `Transaction`."""
        self._registered()
        sql = "UPDATE api_key SET revoked = %s WHERE key_id = %s AND revoked IS NULL"
        return self._changed(sql, when, key_id) > 0

    def add_view(self, view: ViewRow) -> None:
        """See `Transaction`."""
        self._registered()
        self._put(_ADD_VIEW, *view)

    def set_view_state(self, view_id: bytes, version: int, state: str) -> bool:
        """See `Transaction`."""
        self._registered()
        sql = "UPDATE view SET state = %s WHERE view_id = %s AND version = %s"
        return self._changed(sql, state, view_id, version) > 0

    # ------------------------------------------------------------------ idempotency keys

    def find_keys(self, digests: Sequence[bytes], epochs: Sequence[int]) -> Mapping[bytes, int]:
        """See `Transaction`."""
        (answer,) = self._ask((_FIND_KEYS, (list(epochs), list(digests))))
        return dict(answer.rows)

    def journal_keys(self, body: bytes) -> int:
        """See `Transaction`."""
        return self._insert("INSERT INTO key_journal (body) VALUES (%s) RETURNING id", (body,), "")

    def merge_keys(self, epoch: int, rows: Sequence[tuple[bytes, int]], upto: int) -> None:
        """See `Transaction`."""
        digests, firsts = [row[0] for row in rows], [row[1] for row in rows]
        self._put(_MERGE, epoch, digests, firsts)
        self._put("INSERT INTO key_count VALUES (%s, %s)", epoch, len(rows))
        if upto:
            self._put("DELETE FROM key_journal WHERE id <= %s", upto)

    def drop_epoch(self, epoch: int, limit: int) -> int:
        """See `Transaction`."""
        dropped = self._changed(_DROP_EPOCH, epoch, limit)
        if dropped < limit:
            self._put("DELETE FROM key_count WHERE epoch <= %s", epoch)
        return dropped

    def tidy(self, sql: str) -> None:
        """Run a statement of housekeeping, where no other process does now."""
        (answer,) = self._ask(("SELECT pg_try_advisory_xact_lock(%s)", (TIDY_LOCK,)))
        if answer.rows[0][0]:
            self._put(sql)


def _heads(answer: Answer) -> dict[int, HeadRow]:
    return {row[0]: HeadRow(*row[1:]) for row in answer.rows}
