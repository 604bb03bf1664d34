"""Sessions with PostgreSQL: how they are opened and checked, and what their errors mean.

Which settings a session needs is said where it is set. Nothing here retries: that is for those who know what
was under way.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from indelible.store.base import (
    StoreConflict,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from indelible.store.postgres_hosts import led_by, seek_primary

OLDEST_SERVER = 140_000
CONNECT_SECONDS = 5
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0

# A peer that vanished is noticed by these, never by a time limit on a statement: one would cancel a COMMIT.
# The last is for what was sent and is not acknowledged: there the kernel sends no keepalives, and tries again
# for a quarter of an hour. (A COMMIT that waits for a standby was acknowledged, and may wait.)
VANISHED_SECONDS = 11
_KEEPALIVES = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": VANISHED_SECONDS * 1000,
}
READ_TIMEOUT_SECONDS = 30

WRITER = (
    # A role's or database's own limits would cancel a COMMIT that waits for a standby.
    "SET statement_timeout = 0; SET lock_timeout = '1s';"
    # A process that hangs inside a transaction holds heads that others wait for.
    " SET idle_in_transaction_session_timeout = '10s'"
)
READER = f"SET statement_timeout = '{READ_TIMEOUT_SECONDS}s'; SET lock_timeout = '5s'"

_FACTS = (
    "SELECT pg_is_in_recovery(), current_setting('transaction_read_only'),"
    " current_setting('server_version_num')::int, current_setting('server_version'),"
    " current_setting('server_encoding'), current_setting('fsync'), current_setting('synchronous_commit'),"
    " current_setting('synchronous_standby_names'), current_setting('full_page_writes')"
)

_LOST_CLASSES = ("08", "57P", "25P")
_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
_NO_ROOM = frozenset({"53100"})
_NOT_NOW = frozenset({"25006", "0A000", "53200", "53300", "53400", "57014", "42501"})
NOT_COMMITTED = frozenset({"40001", "40P01"})
"""Answers to COMMIT that say that nothing is stored. All others, but for class 23, leave it unknown."""

AnyConnection = Connection[tuple[Any, ...]]


class Facts(NamedTuple):
    """What a server says of itself, as far as the contract of storage depends on it."""

    in_recovery: bool
    read_only: str
    version_number: int
    version: str
    encoding: str
    fsync: str
    synchronous_commit: str
    standbys: str
    full_page_writes: str

    def told(self) -> Mapping[str, str]:
        """What an operator should know of it."""
        return {
            "version": self.version,
            "synchronous_commit": self.synchronous_commit,
            "synchronous_standby_names": self.standbys,
            "full_page_writes": self.full_page_writes,
        }


def translate(error: BaseException) -> BaseException:
    """The driver's errors before COMMIT in the words of the contract; any other as it is."""
    if not isinstance(error, psycopg.Error):
        return error
    state = error.sqlstate
    words = _words(error)
    if is_lost(error):
        return StoreUnavailable(f"the connection to the database was lost: {words}")
    if state in _CONFLICTS:
        return StoreConflict(f"another process was in the way: {words}")
    if state in _NO_ROOM:
        return StoreFull("no space is left for the database")
    if state in _NOT_NOW:
        return StoreUnavailable(f"the database refuses for now: {words}")
    return StoreError(f"{type(error).__name__} {words}")


def is_lost(error: BaseException) -> bool:
    """Whether a session ended with this error."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_LOST_CLASSES)


def _words(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip().replace("\n", " ")


class Link:
    """Opens sessions with one database, and knows for how long it is useless to try again.

    While it does not answer, calls fail at once instead of one after the other waiting for it.

    Raises (from the constructor):
        StoreRefused: the URL is no connection string.
    """

    def __init__(self, url: str) -> None:
        self._parameters = _parameters(url)
        self._trying = threading.Lock()
        self._failed_until = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._why = ""

    def connect(self, settings: str) -> AnyConnection:
        """Open a session that may write, with `settings` set.

        Raises:
            StoreUnavailable: there is none, or it is a standby; the next calls fail at once for a while.
        """
        if time.monotonic() < self._failed_until:
            raise StoreUnavailable(self._why)
        if not self._trying.acquire(blocking=self._why == ""):
            raise StoreUnavailable(self._why)  # another thread is finding out
        try:
            connection = self._open(settings)
        except StoreUnavailable as error:
            self._failed(error)
            raise
        finally:
            self._trying.release()
        self._answered()
        return connection

    @property
    def failure(self) -> str | None:
        """Why no session could be opened the last time; None where one could."""
        return self._why or None

    def _open(self, settings: str) -> AnyConnection:
        try:
            connection = psycopg.connect(**self._parameters, autocommit=True)
        except psycopg.Error as error:
            raise StoreUnavailable(f"the database cannot be reached: {_words(error)}") from None
        try:
            connection.execute(settings)
            wrong = unfit(facts_of(connection))
        except psycopg.Error as error:
            connection.close()
            raise StoreUnavailable(f"the database does not answer: {_words(error)}") from None
        if wrong is not None:
            connection.close()
            raise StoreUnavailable(wrong)
        self._parameters = led_by(self._parameters, connection.info.host, connection.info.port)
        return connection

    def _failed(self, error: StoreUnavailable) -> None:
        if not self._why:
            structlog.get_logger().error("the database does not answer", reason=str(error))
        self._why = str(error)
        self._failed_until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _answered(self) -> None:
        if self._why:
            structlog.get_logger().warning("the database answers again")
        self._why, self._failed_until, self._pause = "", 0.0, FIRST_PAUSE_SECONDS


def _parameters(url: str) -> dict[str, Any]:
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise StoreRefused(
            "the database's URL cannot be read; it looks like postgres://user@host:5432/name"
        ) from None
    defaults: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": "indelible"}
    return seek_primary({**defaults, **_KEEPALIVES, **given, "client_encoding": "utf8"})


def facts_of(connection: AnyConnection) -> Facts:
    """Ask a server what it is."""
    return Facts(*connection.execute(_FACTS).fetchall()[0])


def facts_at(url: str) -> Facts:
    """Ask the server of a URL what it is, whatever is in its database.

    Raises:
        StoreRefused: the URL is no connection string.
        StoreUnavailable: it does not answer, or no receipt may rest on it.
    """
    session = Link(url).connect(READER)
    try:
        return facts_of(session)
    finally:
        session.close()


def unfit(facts: Facts) -> str | None:
    """Why no receipt may rest on such a server; None where one may."""
    wrong = (
        (facts.in_recovery, "the database is a standby (in recovery); give the address of the primary"),
        (facts.read_only == "on", "the database is read-only (default_transaction_read_only)"),
        (
            facts.version_number < OLDEST_SERVER,
            f"the database is PostgreSQL {facts.version}; it takes 14 or later",
        ),
        (
            facts.encoding != "UTF8",
            f"the database's encoding is {facts.encoding}; create one with ENCODING 'UTF8'",
        ),
        (
            facts.fsync == "off",
            "the database runs with fsync = off: what it says is stored can be lost; set it to on",
        ),
        (
            facts.synchronous_commit == "off",
            "synchronous_commit is off: COMMIT is answered before it is stored; set it to on",
        ),
    )
    return next((words for found, words in wrong if found), None)
