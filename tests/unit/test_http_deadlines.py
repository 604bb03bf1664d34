"""How long a connection may take to send a header: exactly so long, on a clock that the test moves."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from indelible.http.connection import Connection
from indelible.http.exchange import NEVER, Exchange
from indelible.http.server import HttpServer
from indelible.model.limits import Limits

LIMITS = Limits(header_seconds=10, idle_seconds=75)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"


class Wired:
    """A connection between no client and no application: the test is both, and the clock."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.limits = LIMITS
        self.stopping = False
        self.date_line = "date: now"
        self.served: list[Exchange] = []
        self.ended = False
        self.connection = Connection(self, "http")
        loop: Any = SimpleNamespace(time=lambda: self.now)
        self.connection._loop = loop
        transport: Any = SimpleNamespace(
            write=lambda _data: None,
            abort=self._end,
            close=self._end,
            can_write_eof=lambda: True,
            write_eof=lambda: None,
            pause_reading=lambda: None,
            resume_reading=lambda: None,
        )
        self.connection.connection_made(transport)

    def opened(self, connection: Connection) -> None:
        """As the server's."""

    def closed(self, connection: Connection) -> None:
        """As the server's."""

    def serve(self, exchange: Exchange) -> None:
        """Leave the answer to the test."""
        self.served.append(exchange)

    def _end(self) -> None:
        self.ended = True

    def send(self, data: bytes) -> None:
        """Send as a client."""
        self.connection.data_received(data)

    def answer(self) -> None:
        """Answer what was served last."""
        self.served[-1].respond(200, [], b"{}")

    @property
    def left(self) -> float:
        """How many seconds the client has."""
        return self.connection.deadline - self.now

    def dribble(self, seconds: int) -> None:
        """Send a byte of a header each second, and let the server look at the deadline."""
        for _ in range(seconds):
            self.now += 1
            if self.connection.deadline < self.now:
                self.connection.expire()
            if self.ended:
                return
            self.send(b"a")


def wired() -> Wired:
    """A connection that has just been opened."""

    async def make() -> Wired:
        return Wired()

    return asyncio.run(make())


def test_a_header_has_its_time_from_its_first_byte() -> None:
    """However it is cut; the silence before the first byte has as much."""
    wire = wired()
    assert wire.left == 10
    wire.now += 9
    wire.send(b"G")
    assert wire.left == 10
    wire.send(b"ET / HTTP/1.1\r\nX-Slow: ")
    wire.dribble(9)
    assert (wire.left, wire.ended) == (1, False)
    wire.dribble(2)
    assert wire.ended


def test_empty_lines_before_a_request_win_no_time() -> None:
    """They are allowed (RFC 9112, 2.2), and are a part of the header."""
    wire = wired()
    for _ in range(9):
        wire.send(b"\r\n")
        wire.now += 1
    assert wire.left == 1


def test_a_header_behind_a_request_has_its_time_from_the_answer_on() -> None:
    """While the request before it is served, the client owes nothing."""
    wire = wired()
    wire.send(GET + b"GET / HT")
    assert wire.left == NEVER
    wire.now += 100
    wire.answer()
    assert wire.left == 10
    wire.send(b"TP/1.1\r\nX-Slow: ")
    wire.dribble(9)
    assert wire.left == 1


def test_between_requests_a_connection_may_idle() -> None:
    """Until the first byte of the next one."""
    wire = wired()
    wire.send(GET)
    wire.answer()
    assert wire.left == 75
    wire.now += 70
    wire.send(b"G")
    assert wire.left == 10


def test_a_header_that_comes_with_the_end_of_a_body_has_no_more_time() -> None:
    """Of a body that was answered unread: the header had the time of an idle connection."""
    wire = wired()
    wire.send(BODY)
    wire.answer()
    assert wire.left == 2
    wire.send(b"12345GET / HTTP/1.1\r\nX-Slow: ")
    assert wire.left == 10
    wire.dribble(9)
    assert wire.left == 1


def test_a_reader_that_catches_up_wins_no_time_for_its_next_header() -> None:
    """The answer before it was read slowly; that is over, and the header began when it began."""
    wire = wired()
    wire.send(GET)
    wire.connection.pause_writing()
    wire.answer()
    wire.send(b"G")
    assert wire.left == 10
    wire.now += 9
    wire.connection.resume_writing()
    assert wire.left == 1


def test_a_reader_that_catches_up_wins_no_time_for_the_rest_of_a_body() -> None:
    """Nor is its connection idle: what is left of the body still has to come, in the time that it had."""
    wire = wired()
    wire.send(BODY)
    wire.connection.pause_writing()
    wire.answer()
    assert wire.left == 2
    wire.connection.resume_writing()
    assert wire.left == 2


def test_a_slow_reader_with_a_whole_request_behind_owes_nothing() -> None:
    """It is served when there is room for its answer; how slowly a client may read is TCP's business."""
    wire = wired()
    wire.send(GET)
    wire.connection.pause_writing()
    wire.answer()
    wire.send(GET)
    assert len(wire.served) == 1
    assert wire.left == NEVER
    wire.connection.resume_writing()
    assert len(wire.served) == 2


def test_a_connection_that_fails_to_end_leaves_the_others_their_deadlines() -> None:
    """One look at all deadlines follows the other, or a single fault would let every client take for ever."""

    class Stuck(Connection):
        def expire(self) -> None:
            raise OSError("it does not end")

    async def work() -> None:
        server = HttpServer()
        server._loop = asyncio.get_running_loop()
        stuck = Stuck(server, "http")
        stuck.deadline = 0
        server._connections.add(stuck)
        with pytest.raises(OSError, match="does not end"):
            server._sweep()
        assert server._sweeping is not None
        server._sweeping.cancel()

    asyncio.run(work())
