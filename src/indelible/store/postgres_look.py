"""Asking PostgreSQL one small question again and again from the event loop, without a thread.

Every request waits for such a question. On a thread it would wait for the thread as well, and for the
interpreter twice: in a busy process most of the time that the question takes.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg.pq import ExecStatus, Format

from indelible.store.base import StoreUnavailable
from indelible.store.postgres_session import READER, AnyConnection, Link

_NAME = b"look"


class Look:
    """One session that reads one number. Its calls belong to one event loop, and come one after the other."""

    def __init__(self, link: Link, sql: str, otherwise: Callable[[], int]) -> None:
        """`otherwise` blocks and reads the same: called where the session fails; its errors are told."""
        self._link = link
        self._sql = sql.encode()
        self._otherwise = otherwise
        self._session: AnyConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched = -1
        self._answer: asyncio.Future[int] | None = None
        self._found: int | None = None
        self._ended = False

    async def read(self) -> int:
        """The number, read after this call began.

        Raises:
            StoreError: as `otherwise` does.
        """
        try:
            if not self._ended:
                return await self._ask(self._session or await self._open())
        except (psycopg.Error, OSError, StoreUnavailable):  # perhaps there are other sessions
            self._drop()
        except BaseException:
            self._drop()  # an answer may be under way, and would be taken for the next one's
            raise
        return await asyncio.to_thread(self._otherwise)

    def close(self) -> None:
        """End the session for good."""
        self._ended = True
        self._drop()

    def _drop(self) -> None:
        """End the session; the next reading opens another."""
        session, self._session = self._session, None
        if session is not None:
            if self._loop is not None and self._watched >= 0:
                with suppress(RuntimeError, OSError, ValueError):  # the loop is closed, or the socket is
                    self._loop.remove_reader(self._watched)
            session.close()

    async def _open(self) -> AnyConnection:
        session = await asyncio.to_thread(self._connect)
        self._session, self._loop = session, asyncio.get_running_loop()
        self._watched = session.pgconn.socket
        self._loop.add_reader(self._watched, self._readable)
        return session

    def _connect(self) -> AnyConnection:
        session = self._link.connect(READER)
        result = session.pgconn.prepare(_NAME, self._sql)
        if result.status != ExecStatus.COMMAND_OK:
            session.close()
            raise psycopg.errors.error_from_result(result, encoding="utf-8")
        return session

    async def _ask(self, session: AnyConnection) -> int:
        self._found = None
        self._answer = asyncio.get_running_loop().create_future()
        session.pgconn.send_query_prepared(_NAME, (), result_format=Format.TEXT)
        if session.pgconn.flush():  # some fifty bytes: the other side takes nothing any more
            raise psycopg.OperationalError("the database does not take a question")
        return await self._answer

    def _readable(self) -> None:
        """Take what has come; without a question under way that is the end of the session."""
        session, answer = self._session, self._answer
        if session is None:
            return
        try:
            session.pgconn.consume_input()
            if answer is None or answer.done():
                self._drop()
            elif self._take(session):
                self._answer = None
                answer.set_result(self._found or 0)
        except psycopg.Error as error:
            self._drop()
            if answer is not None and not answer.done():
                answer.set_exception(error)

    def _take(self, session: AnyConnection) -> bool:
        """Take results that have come; True at the end of an answer."""
        while not session.pgconn.is_busy():
            result = session.pgconn.get_result()
            if result is None:
                return True
            if result.status != ExecStatus.TUPLES_OK:
                raise psycopg.errors.error_from_result(result, encoding="utf-8")
            value = result.get_value(0, 0) if result.ntuples else None
            self._found = int(value) if value is not None else 0
        return False
