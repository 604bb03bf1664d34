"""The engine for several nodes: PostgreSQL, through psycopg.

The server's COMMIT is the only word for what is stored, and it is believed only when it comes whole: answered
as COMMIT, without a warning. A warning (01000) says that a wait for a standby was cut short. Any other end
leaves it unknown (`StoreUnknown`): the session is closed, and the next transaction is begun on another.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg
from psycopg.errors import Diagnostic

from indelible import telemetry
from indelible.store.base import (
    StoreConflict,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    StoreUnknown,
)
from indelible.store.postgres_bell import Bell
from indelible.store.postgres_look import Look
from indelible.store.postgres_read import REGISTRY, PostgresReader
from indelible.store.postgres_schema import SCHEMA_VERSION, migrate
from indelible.store.postgres_session import (
    NOT_COMMITTED,
    READER,
    WRITER,
    AnyConnection,
    Link,
    facts_of,
    is_lost,
    translate,
)
from indelible.store.postgres_trip import Trips
from indelible.store.postgres_write import PostgresTransaction

GUARDS_KEPT = 4
TIDY_SECONDS = 5.0
_TIDY = (
    "WITH gone AS (DELETE FROM key_count RETURNING epoch, keys)"
    " INSERT INTO key_count SELECT epoch, sum(keys) FROM gone GROUP BY epoch"
)


class PostgresStore:
    """Implements `store.base.Store` in one schema of a PostgreSQL database, beside other processes.

    `on_reconnect` is called on the writer's thread, before the first transaction on another session: what
    answers now may be another server.

    Raises:
        StoreRefused: the database cannot be reached, is not fit, or holds a later schema.
    """

    schema_version = SCHEMA_VERSION

    def __init__(self, url: str) -> None:
        self.link = Link(url)
        self.on_reconnect: Callable[[], None] = lambda: None
        self._warnings: list[str] = []
        self._tidy_at = time.monotonic() + TIDY_SECONDS
        self._writing = threading.Lock()
        self._writer: AnyConnection | None = None
        self._trips: Trips | None = None  # of the writer's session
        self._guards: queue.LifoQueue[AnyConnection] = queue.LifoQueue(GUARDS_KEPT)
        try:
            self._writer = self._open()
            migrate(self._writer)
            self._facts = facts_of(self._writer)
        except BaseException as error:
            self._drop()
            if isinstance(error, StoreUnavailable | psycopg.Error):
                raise StoreRefused(str(translate(error))) from error
            raise
        self._reader = PostgresReader(self.link)

    @property
    def reader(self) -> PostgresReader:
        """See `Store`."""
        return self._reader

    @property
    def shared(self) -> bool:
        """See `Store`."""
        return True

    def facts(self) -> Mapping[str, str]:
        """See `SharedStore`."""
        return self._facts.told()

    def check_rights(self) -> None:
        """See `SharedStore`. What is not asked for here, a start needs at once."""
        sql = "SELECT has_function_privilege('drop_beyond(bigint, bigint)', 'EXECUTE')"
        if not self._reader.rows(sql)[0][0]:
            raise StoreRefused(
                "permission denied: the role may not call drop_beyond; grant it as docs/deploy.md says"
            )

    @property
    def failure(self) -> str | None:
        """See `SharedStore`."""
        return self.link.failure

    def _open(self) -> AnyConnection:
        session = self.link.connect(WRITER)
        session.add_notice_handler(self._note)
        return session

    def _note(self, notice: Diagnostic) -> None:
        """Keep what was said during a COMMIT. By the code: texts are translated."""
        if (notice.sqlstate or "").startswith("01"):
            self._warnings.append(f"{notice.sqlstate} {notice.message_primary}")

    def _session(self) -> AnyConnection:
        if self._writer is None or self._writer.closed:
            session = self._open()
            try:
                self.on_reconnect()
            except BaseException:
                session.close()
                raise
            self._writer = session
        return self._writer

    def _drop(self) -> None:
        """End the writer's session: whatever is under way there is the server's to undo."""
        if self._writer is not None:
            with suppress(psycopg.Error):
                self._writer.close()
        self._writer = self._trips = None

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """See `Store`."""
        with self._writing:
            session = self._session()
            if self._trips is None or self._trips.session is not session:
                self._trips = Trips(session)
            transaction = PostgresTransaction(self._trips)
            try:
                yield transaction
                transaction.flush()
            except BaseException as error:
                self._roll_back(session, error)
                raise translate(error) from error
            self._commit(session)

    def _roll_back(self, session: AnyConnection, error: BaseException) -> None:
        """Undo. Where that fails the session is ended, which undoes as well."""
        if is_lost(error) or session.closed:
            self._drop()
            return
        try:
            if session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                session.execute("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def _commit(self, session: AnyConnection) -> None:
        """Send COMMIT and wait for its answer, however long that takes.

        Raises:
            StoreConflict, StoreError: it was answered that nothing is stored.
            StoreUnknown: it was not answered, or not cleanly.
        """
        self._warnings.clear()
        started = time.perf_counter()
        try:
            # As plain text each time: so it is one message, and can be found in what went over the wire.
            answer = session.execute("COMMIT", prepare=False).statusmessage
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state in NOT_COMMITTED:
                raise StoreConflict(f"another process was in the way: {error}") from error
            if state.startswith("23"):
                raise StoreError(f"the database refused: {error}") from error
            self._drop()
            raise StoreUnknown(f"COMMIT was not answered: {translate(error)}") from error
        except BaseException as error:
            self._drop()
            raise StoreUnknown("COMMIT was interrupted") from error
        if answer == "ROLLBACK":
            raise StoreError("the database undid the transaction at COMMIT")
        if answer != "COMMIT" or self._warnings:
            warnings = "; ".join(self._warnings)
            self._drop()
            raise StoreUnknown(f"COMMIT was answered with {answer} {warnings}")
        telemetry.fsync_seconds.observe(time.perf_counter() - started)

    def clock(self) -> int:
        """The database's clock, µs since 1970.

        Raises:
            StoreUnavailable: it does not answer.
        """
        sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        micros: int = self._reader.rows(sql)[0][0]
        return micros

    def registry_look(self) -> Look:
        """See `SharedStore`."""
        return Look(self.link, REGISTRY, self._reader.registry)

    @contextmanager
    def exclusively(self, name: str) -> Iterator[None]:
        """See `SharedStore`. On a session of its own, which is kept for the next name."""
        try:
            session = self._guards.get_nowait()
        except queue.Empty:
            session = self.link.connect(READER)
        try:
            session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
        except psycopg.Error as error:
            session.close()
            raise translate(error) from error
        try:
            yield
        finally:
            try:
                session.execute("SELECT pg_advisory_unlock_all()")
                self._guards.put_nowait(session)
            except (psycopg.Error, queue.Full):
                session.close()  # which lets go of the name as well

    def bell(self, heard: Callable[[], None]) -> Bell:
        """See `SharedStore`."""
        return Bell(self.link, heard)

    def key_journal(self) -> list[tuple[int, bytes]]:
        """See `Store`."""
        rows = self._reader.rows("SELECT id, body FROM key_journal ORDER BY id")
        return [(row[0], row[1]) for row in rows]

    def key_counts(self) -> Mapping[int, int]:
        """See `Store`."""
        rows = self._reader.rows("SELECT epoch, sum(keys)::bigint FROM key_count GROUP BY epoch")
        return {row[0]: row[1] for row in rows}

    def maintain(self) -> None:
        """See `Store`. The database does its own; here the rows that count keys are summed up."""
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + TIDY_SECONDS
        with self.transaction() as transaction:
            transaction.tidy(_TIDY)

    def close(self) -> None:
        """See `Store`."""
        self._drop()
        while not self._guards.empty():
            self._guards.get_nowait().close()
        self._reader.close()
