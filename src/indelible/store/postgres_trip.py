"""One round trip to PostgreSQL: all statements are sent at once, and their answers are waited for once.

The driver's own pipeline waits before each statement that it sends, and each wait gives up the interpreter,
which takes long to come back in a process that is busy: a third of a commit's time. So this speaks to the
driver's lower half (`psycopg.pq`), in the same pipeline mode of libpq.
"""

import select
from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from indelible.store.postgres_session import AnyConnection

PREPARED_AT_MOST = 200
"""So many statements a session keeps prepared: one of each shape, and of each width of its integers."""

_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)

Statement = tuple[str, Sequence[Any]]
"""SQL with a `%s` for each value."""


_Shape = tuple[bytes, tuple[int, ...]]
"""What one prepared statement serves: SQL, and the types of its values."""


class Answer(NamedTuple):
    """What a statement answered: its rows, and how many it changed or gave."""

    rows: list[tuple[Any, ...]]
    changed: int


class _Bound(NamedTuple):
    """A statement and its values as they go over."""

    sql: bytes
    types: tuple[int, ...]
    formats: Sequence[Format] | None
    values: Sequence[Any]


class Trips:
    """Round trips of one session. One thread at a time; statements that return at most rows, no COPY."""

    def __init__(self, session: AnyConnection) -> None:
        self.session = session
        self._sql: dict[str, bytes] = {}
        self._seen: set[_Shape] = set()
        self._prepared: dict[_Shape, bytes] = {}
        self._named = 0

    def go(self, statements: Sequence[Statement]) -> list[Answer]:
        """Send statements, and return their answers in order.

        Raises:
            psycopg.Error: of the first one that failed; those after it were not done.
        """
        bound = [self._bind(sql, values) for sql, values in statements]
        prepares: list[tuple[_Shape, bytes] | None] = []  # for each answer: what it prepares, None: nothing
        try:
            results = self._exchange(bound, prepares)
        except BaseException:
            self.session.close()  # whatever is under way there cannot be told any more
            raise
        both = list(zip(results, prepares, strict=True))
        self._prepared.update(each for result, each in both if each and result.status in _DONE)
        for result in results:
            if result.status not in _DONE:
                raise errors.error_from_result(result, encoding="utf-8")
        return [self._read(result) for result, prepared in both if prepared is None]

    def _exchange(
        self, bound: Sequence[_Bound], prepares: list[tuple[_Shape, bytes] | None]
    ) -> list[PGresult]:
        connection = self.session.pgconn
        connection.enter_pipeline_mode()
        fresh: dict[_Shape, bytes] = {}
        for each in bound:
            shape = (each.sql, each.types)
            name = self._prepared.get(shape) or fresh.get(shape)
            if name is None and self._is_due(shape):
                self._named += 1
                name = fresh[shape] = b"indelible_%d" % self._named
                connection.send_prepare(name, each.sql, each.types)
                prepares.append((shape, name))
            _send(connection, name, each)
            prepares.append(None)
        connection.pipeline_sync()
        results = _answers(connection)
        connection.exit_pipeline_mode()
        return results

    def _is_due(self, shape: _Shape) -> bool:
        """Whether to prepare a statement: when it comes for the second time, and has values."""
        if not shape[1] or len(self._prepared) >= PREPARED_AT_MOST:
            return False
        if shape in self._seen:
            return True
        self._seen.add(shape)
        return False

    def _bind(self, sql: str, values: Sequence[Any]) -> _Bound:
        text = self._sql.get(sql)
        if text is None:
            text = self._sql[sql] = _numbered(sql)
        if not values:
            return _Bound(text, (), None, ())
        adapter = Transformer(self.session)
        dumped = adapter.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return _Bound(text, adapter.types or (), adapter.formats, dumped)

    def _read(self, result: PGresult) -> Answer:
        changed = result.command_tuples or 0
        if result.status != ExecStatus.TUPLES_OK:
            return Answer([], changed)
        adapter = Transformer(self.session)
        adapter.set_pgresult(result, format=Format.BINARY)
        return Answer(adapter.load_rows(0, result.ntuples, tuple), changed)


def _send(connection: PGconn, name: bytes | None, each: _Bound) -> None:
    if name is None:
        connection.send_query_params(
            each.sql, each.values, each.types, each.formats, result_format=Format.BINARY
        )
    else:
        connection.send_query_prepared(name, each.values, each.formats, result_format=Format.BINARY)


def _numbered(sql: str) -> bytes:
    """The statement with PostgreSQL's own marks for values."""
    first, *others = sql.split("%s")
    return "".join((first, *(f"${at}{part}" for at, part in enumerate(others, 1)))).encode()


def _answers(connection: PGconn) -> list[PGresult]:
    """Send what is queued, and collect all answers up to the pipeline's end."""
    results: list[PGresult] = []
    waiting = select.poll()
    unsent = connection.flush()
    waiting.register(connection.socket, select.POLLIN | (select.POLLOUT if unsent else 0))
    while True:
        waiting.poll()
        connection.consume_input()
        if unsent:
            unsent = connection.flush()
            if not unsent:
                waiting.modify(connection.socket, select.POLLIN)
        if _collect(connection, results):
            return results


def _collect(connection: PGconn, results: list[PGresult]) -> bool:
    """Take the answers that have come; True at the end of the pipeline."""
    was_end = False  # of one statement's answers
    while not connection.is_busy():
        result = connection.get_result()
        if result is None:
            if was_end:
                return False  # nothing is known to come: wait for more
            was_end = True
        elif result.status == ExecStatus.PIPELINE_SYNC:
            return True
        else:
            results.append(result)
            was_end = False
    return False
