"""Round trips to a real PostgreSQL: answers in order, errors the first of errors, sizes beyond any buffer."""

from collections.abc import Iterator

import psycopg
import pytest
from tests.harness.postgres import cluster

from indelible.store import postgres_trip
from indelible.store.postgres_session import WRITER, Link
from indelible.store.postgres_trip import Trips


@pytest.fixture
def trips() -> Iterator[Trips]:
    """Round trips of a session with a database of its own."""
    session = Link(cluster().create()).connect(WRITER)
    yield Trips(session)
    session.close()


def test_answers_stand_in_the_order_of_what_was_asked(trips: Trips) -> None:
    """Rows, counts and statements without either, the first time, when they are prepared, and after."""
    trips.go([("CREATE TABLE t (a bigint, b bytea, c text[])", ())])
    for number in range(5):
        put = ("INSERT INTO t VALUES (%s, %s, %s)", (number, b"\0\xff", ["x", "y"]))
        one = ("SELECT a, b, c FROM t WHERE a = %s", (number,))
        answers = trips.go([put, one, ("UPDATE t SET a = a", ()), ("SELECT 1 WHERE false", ())])
        assert [answer.changed for answer in answers] == [1, 1, number + 1, 0]
        assert [answer.rows for answer in answers] == [[], [(number, b"\0\xff", ["x", "y"])], [], []]


def test_the_error_is_that_of_the_first_statement_that_failed(trips: Trips) -> None:
    """What stands after it is not done, and the session goes on once the transaction is undone."""
    trips.go([("CREATE TABLE t (a bigint PRIMARY KEY)", ())])
    for _ in range(4):  # also when they are prepared in the trip that fails
        with pytest.raises(psycopg.errors.UniqueViolation):
            trips.go(
                [
                    ("BEGIN", ()),
                    ("INSERT INTO t VALUES (%s)", (1,)),
                    ("INSERT INTO t VALUES (%s)", (1,)),
                    ("INSERT INTO nowhere VALUES (%s)", (1,)),
                ]
            )
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            trips.go([("SELECT a FROM t WHERE a = %s", (1,))])
        trips.go([("ROLLBACK", ())])
        assert trips.go([("SELECT a FROM t WHERE a > %s", (0,))])[0].rows == []


def test_values_and_rows_may_be_larger_than_any_buffer(trips: Trips) -> None:
    """32 MiB go over while as much comes back: neither side waits for the other for ever."""
    large = bytes(range(256)) * (1 << 15)
    answers = trips.go([("SELECT %s::bytea", (large,))] * 4)
    assert all(answer.rows == [(large,)] for answer in answers)


def test_a_session_prepares_a_bounded_number_of_statements(
    trips: Trips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit they are sent as they are, and answer the same."""
    monkeypatch.setattr(postgres_trip, "PREPARED_AT_MOST", 3)
    for _ in range(3):
        for number in range(6):
            assert trips.go([(f"SELECT %s::int + {number}", (1,))])[0].rows == [(number + 1,)]
    assert trips.go([("SELECT count(*) FROM pg_prepared_statements", ())])[0].rows == [(3,)]


def test_a_session_that_was_ended_says_so_and_is_closed(trips: Trips) -> None:
    """An answer that never comes is an error of the connection, not a wait."""
    (pid,) = trips.session.execute("SELECT pg_backend_pid()").fetchall()[0]
    cluster().run(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(psycopg.OperationalError):
        trips.go([("SELECT 1", ()), ("SELECT %s::int", (1,))])
    assert trips.session.closed
