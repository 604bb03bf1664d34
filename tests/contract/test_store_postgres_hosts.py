"""PostgreSQL on several hosts, one of which may be away: without a word, as a machine that lost its power."""

import threading
from collections.abc import Callable
from contextlib import closing

from tests.harness.network import apart, loopback
from tests.harness.postgres import Cluster, Standby, eventually, started
from tests.harness.proxy import Proxy

from indelible.store.base import StoreError, StoreUnavailable, StoreUnknown
from indelible.store.postgres import PostgresStore

PATIENCE_SECONDS = 90  # the kernel's own is a quarter of an hour
"""How long something may take that takes the time limits of sessions, some of them one after the other."""


def put(store: PostgresStore, value: bytes, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Set a value; `meanwhile` before COMMIT is sent."""
    with store.transaction() as transaction:
        transaction.put_meta("a", value)
        transaction.flush()
        meanwhile()


def ended(work: Callable[[], object]) -> Callable[[], StoreError | None]:
    """Begin `work` on a thread; gives what waits for its error."""
    found: list[StoreError] = []

    def attempt() -> None:
        try:
            work()
        except StoreError as error:
            found.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()

    def wait() -> StoreError | None:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "it still waits for a machine that is away"
        return found[0] if found else None

    return wait


def test_a_machine_that_vanishes_under_a_commit_or_a_read_is_noticed() -> None:
    """COMMIT was sent and nobody's kernel acknowledged it: unknown, within the time limits of the session.

    What reads meanwhile is told as unavailable, and all goes on when the network is back.
    """

    def work() -> None:
        database = started()
        try:
            _vanish(database)
        finally:
            database.remove()

    apart(work)


def _vanish(database: Cluster) -> None:
    with closing(PostgresStore(f"{database.create()}?connect_timeout=2")) as store:
        try:
            put(store, b"1")
            assert store.reader.meta("a") == b"1"
            committing = ended(lambda: put(store, b"2", lambda: loopback(up=False)))
            reading = ended(lambda: eventually(lambda: store.reader.meta("a") == b"never", PATIENCE_SECONDS))
            assert isinstance(committing(), StoreUnknown)
            assert isinstance(reading(), StoreUnavailable)
            loopback(up=True)
            eventually(lambda: ended(lambda: put(store, b"3"))() is None)
            assert store.reader.meta("a") == b"3"
        finally:
            loopback(up=True)
            database.stop("immediate")  # so that whatever still waits ends


def test_of_several_hosts_the_primary_is_found_and_asked_first_from_then_on() -> None:
    """Whether the URL says that it is to be the primary or not; a host before it that is away costs once."""
    primary = started()
    standby: Standby | None = None
    try:
        url = primary.create()
        standby = Standby(primary, primary.port)
        with Proxy(standby.port) as before:
            hosts = f"127.0.0.1:{before.port},127.0.0.1:{primary.port}"
            several = url.replace(f"127.0.0.1:{primary.port}", hosts)
            with closing(PostgresStore(several)) as store:
                put(store, b"1")
                taken = before.taken
                assert taken >= 1
                with store.exclusively("a"), store.exclusively("b"), store.exclusively("c"):
                    assert store.reader.meta("a") == b"1"
                assert before.taken == taken
    finally:
        if standby is not None:
            standby.remove()
        primary.remove()
