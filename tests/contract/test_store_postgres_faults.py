"""PostgreSQL where sessions end, servers stop, and the answer to COMMIT is lost or comes with a doubt."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from tests.harness.postgres import Cluster, backends, cluster, started, terminate
from tests.harness.proxy import Loss, Proxy
from tests.harness.store_rows import EMPTY, add_log, fill

from indelible.store.base import (
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    StoreUnknown,
)
from indelible.store.postgres import PostgresStore


@pytest.fixture
def url() -> str:
    """A database of the test's own."""
    return cluster().create()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    """A store on it."""
    with closing(PostgresStore(url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def other() -> Iterator[Cluster]:
    """A cluster that tests stop and set."""
    made = started()
    yield made
    made.remove()


def put(store: PostgresStore, value: bytes) -> None:
    """Set a value."""
    with store.transaction() as transaction:
        transaction.put_meta("a", value)


def writers(store: PostgresStore, url: str) -> list[int]:
    """The process number of the session that writes."""
    assert store._writer is not None
    return [store._writer.info.backend_pid] if store._writer.info.backend_pid in backends(url) else []


# ---------------------------------------------------------------------- sessions that end


def test_a_session_that_ends_before_commit_stores_nothing_and_another_follows(
    store: PostgresStore, url: str
) -> None:
    """The transaction says so, with no effect; whoever is to compare what is published hears of the other."""
    told: list[int] = []
    store.on_reconnect = lambda: told.append(1)
    put(store, b"1")

    def attempt() -> None:
        with store.transaction() as transaction:
            transaction.put_meta("a", b"2")
            transaction.clock()
            terminate(url, writers(store, url))
            transaction.put_meta("a", b"3")

    with pytest.raises(StoreUnavailable):
        attempt()
    assert (store.reader.meta("a"), told) == (b"1", [])
    put(store, b"4")
    assert (store.reader.meta("a"), told) == (b"4", [1])


def test_a_session_that_ended_between_transactions_is_told_once(store: PostgresStore, url: str) -> None:
    """What is begun on it stores nothing; reading does not notice at all."""
    put(store, b"1")
    terminate(url, backends(url))
    assert store.reader.meta("a") == b"1"
    with pytest.raises(StoreUnavailable):
        put(store, b"2")
    assert store.reader.meta("a") == b"1"
    put(store, b"3")
    assert store.reader.meta("a") == b"3"


# ---------------------------------------------------------------------- COMMIT


@pytest.mark.parametrize(("loss", "stored"), [("request", b"1"), ("answer", b"2")])
def test_a_commit_that_is_not_answered_is_unknown_and_the_next_goes(
    url: str, loss: Loss, stored: bytes
) -> None:
    """Whether it reached the server or not; what is so is read afterwards, on another session."""
    with (
        Proxy(cluster().port) as proxy,
        closing(PostgresStore(url.replace(str(cluster().port), str(proxy.port)))) as store,
    ):
        put(store, b"1")
        proxy.lose(loss)
        with pytest.raises(StoreUnknown):
            put(store, b"2")
        with closing(PostgresStore(url)) as beside:  # after whatever the lost session still did
            with beside.transaction() as transaction:
                transaction.put_meta("b", b"1")
            assert beside.reader.meta("a") == stored
        assert store.reader.meta("a") == stored
        put(store, b"3")
        assert store.reader.meta("a") == b"3"


def test_a_commit_whose_wait_for_a_standby_was_cut_short_is_unknown(other: Cluster) -> None:
    """It is answered as COMMIT, with a warning: the rows are shown, and on no standby."""
    url = other.create()
    with closing(PostgresStore(url)) as store:
        put(store, b"before")
        other.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        other.run("SELECT pg_reload_conf()")
        try:
            failures: list[BaseException] = []

            def attempt() -> None:
                at = 0
                while not failures and at < 10_000:  # some may pass before the setting counts
                    at += 1
                    try:
                        put(store, b"%d" % at)
                    except StoreError as error:
                        failures.append(error)

            thread = threading.Thread(target=attempt)
            thread.start()
            while not other.run("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
                time.sleep(0.01)
            assert thread.is_alive()  # it waits for as long as it takes
            before = store.reader.meta("a")
            other.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            thread.join(20)
            assert [type(error) for error in failures] == [StoreUnknown]
            assert "01000" in str(failures[0])
            assert store.reader.meta("a") != before  # shown, though no standby has it
        finally:
            other.run("ALTER SYSTEM RESET synchronous_standby_names")
            other.run("SELECT pg_reload_conf()")
        put(store, b"3")


def test_a_time_limit_of_the_role_does_not_reach_a_commit(url: str) -> None:
    """A limit set for the role or the database would cancel a COMMIT that waits."""
    database = url.rsplit("/", 1)[1]
    cluster().run(f"ALTER DATABASE {database} SET statement_timeout = '1ms'")
    with closing(PostgresStore(url)) as store, store.transaction() as transaction:
        show = transaction._trips.session.execute
        assert show("SHOW statement_timeout").fetchall() == [("0",)]
        assert show("SHOW idle_in_transaction_session_timeout").fetchall() == [("10s",)]


def test_a_role_that_may_not_make_tables_serves_what_is_there(url: str) -> None:
    """With the four rights on the tables; on an empty database it is refused with a sentence."""
    database = url.rsplit("/", 1)[1]
    cluster().run(f"CREATE ROLE {database} LOGIN")
    limited = cluster().url(database, user=database)
    with pytest.raises(StoreRefused, match="grant it CREATE"):
        PostgresStore(limited)
    with closing(PostgresStore(url)) as store:
        log = add_log(store)
    rights = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
    cluster().run(f"GRANT {rights} TO {database}", database)
    with closing(PostgresStore(limited)) as store:
        add_log(store, "another")
        fill(store, log, [2, 1])
        assert store.reader.last_log() > log


# ---------------------------------------------------------------------- servers that stop, or are not fit


def test_a_server_that_stops_is_told_at_once_and_found_again(other: Cluster) -> None:
    """Reads and writes fail with no effect and without waiting; they go on when it is back."""
    with closing(PostgresStore(other.create())) as store:
        put(store, b"1")
        other.stop()
        started_at = time.monotonic()
        for _ in range(50):
            with pytest.raises(StoreUnavailable):
                put(store, b"2")
            with pytest.raises(StoreUnavailable):
                store.reader.meta("a")
        assert time.monotonic() - started_at < 5
        other.start()
        deadline = time.monotonic() + 30
        while True:
            try:
                put(store, b"3")
                break
            except StoreUnavailable:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert store.reader.meta("a") == b"3"


def test_a_primary_that_became_read_only_or_a_standby_gives_no_receipt(other: Cluster) -> None:
    """Fenced by a setting it refuses writes; as a standby it is refused as a whole."""
    url = other.create()
    with closing(PostgresStore(url)) as store:
        put(store, b"1")
        other.run("ALTER SYSTEM SET default_transaction_read_only = on")
        other.run("SELECT pg_reload_conf()")
        time.sleep(0.2)
        with pytest.raises(StoreUnavailable, match="read-only"):
            put(store, b"2")
        with psycopg.connect(
            other.url(), autocommit=True, options="-c default_transaction_read_only=off"
        ) as c:
            c.execute("ALTER SYSTEM RESET default_transaction_read_only")
        other.stop()
        (other.folder / "data" / "standby.signal").touch()
        other.start()
        with pytest.raises(StoreUnavailable):
            put(store, b"3")
        with pytest.raises(StoreRefused, match="standby"):
            PostgresStore(url)
        other.stop()
        (other.folder / "data" / "standby.signal").unlink()
        other.start()
        with closing(PostgresStore(url)) as again:
            assert again.reader.meta("a") == b"1"


@pytest.mark.parametrize(
    ("name", "value"), [("synchronous_commit", "off"), ("default_transaction_read_only", "on")]
)
def test_a_database_on_which_no_receipt_may_rest_is_refused(url: str, name: str, value: str) -> None:
    """With a sentence that names the setting."""
    cluster().run(f"ALTER DATABASE {url.rsplit('/', 1)[1]} SET {name} = {value}")
    with pytest.raises(StoreRefused, match=name):
        PostgresStore(url)


@pytest.mark.parametrize("bad", ["postgres://127.0.0.1:1/x", "nonsense", "mysql://x/y"])
def test_an_address_that_cannot_be_used_is_refused(bad: str) -> None:
    """In one sentence."""
    with pytest.raises(StoreRefused):
        PostgresStore(bad)


# ---------------------------------------------------------------------- others on the same logs


def test_a_head_that_another_process_holds_is_skipped_and_waited_for_in_bounds(
    store: PostgresStore, url: str
) -> None:
    """Skipped where that is asked for, and a conflict after a second where it is waited for."""
    one, two = add_log(store, "one"), add_log(store, "two")
    with closing(PostgresStore(url)) as beside:
        with beside.transaction() as holding:
            assert set(holding.lock([one], [], []).heads) == {one}
            with store.transaction() as transaction:
                assert transaction.lock([one, two], [], []).heads == {two: EMPTY}
            with pytest.raises(StoreConflict), store.transaction() as transaction:
                transaction.lock([two], [one], [])
        with store.transaction() as transaction:
            assert set(transaction.lock([two], [one], []).heads) == {one, two}


def test_what_is_read_after_a_lock_is_what_was_committed_before_it(store: PostgresStore, url: str) -> None:
    """Values too, although the statement that waited began before they were committed."""
    log = add_log(store)
    with closing(PostgresStore(url)) as beside:
        found: list[object] = []

        def wait() -> None:
            with store.transaction() as transaction:
                locked = transaction.lock([], [log], ["mark"])
                found.append((locked.heads[log].size, locked.values))

        with beside.transaction() as transaction:
            transaction.lock([], [log], [])
            thread = threading.Thread(target=wait)
            thread.start()
            while not cluster().run("SELECT 1 FROM pg_locks WHERE NOT granted"):
                time.sleep(0.005)
            transaction.put_meta("mark", b"1")
        thread.join(20)
        assert found == [(0, {"mark": b"1"})]
        fill(store, log, [1])


def test_those_who_decide_by_what_is_committed_do_so_one_by_one(store: PostgresStore, url: str) -> None:
    """Two processes that count what a reader shows, then add, never see the same count."""
    with closing(PostgresStore(url)) as beside:

        def count(mine: PostgresStore) -> None:
            for _ in range(25):
                with mine.transaction() as transaction:
                    transaction.alone()
                    seen = int(mine.reader.meta("n") or b"0")
                    transaction.put_meta("n", b"%d" % (seen + 1))

        threads = [threading.Thread(target=count, args=(each,)) for each in (store, beside)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert store.reader.meta("n") == b"50"


def test_two_first_starts_at_once_make_one_schema(url: str) -> None:
    """The second waits, and finds it made."""
    opened: list[PostgresStore] = []
    threads = [threading.Thread(target=lambda: opened.append(PostgresStore(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(opened) == 4
    for store in opened:
        store.close()


def test_a_schema_that_this_program_cannot_run_beside_is_refused(store: PostgresStore, url: str) -> None:
    """One that only added is used as it is; so old and new nodes run together."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_version VALUES (3, 1)")
        PostgresStore(url).close()
        connection.execute("INSERT INTO schema_version VALUES (4, 4)")
    with pytest.raises(StoreRefused, match="schema version 4"):
        PostgresStore(url)


def test_readers_find_another_session_when_all_of_them_ended(store: PostgresStore, url: str) -> None:
    """As after a restart of the database: nobody who reads is told of it, however many read at once."""
    together = threading.Barrier(8)

    def read(_number: int) -> bytes | None:
        together.wait(10)
        return store.reader.meta("a")

    put(store, b"1")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(read, range(8))) == [b"1"] * 8
            terminate(url, backends(url))
