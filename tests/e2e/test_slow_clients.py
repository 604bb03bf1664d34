"""What a client on the wire can do to the server: be slow, be large, leave, or never read.

The server is real and so are the sockets; behind the HTTP layer stands a service that does nothing, since
none of this may depend on it.
"""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from tests.harness.slow import EVENT, LIMITS, Running, eventually, get, post, serving, until_closed

from indelible.model.limits import KIB


@pytest.fixture
def running() -> Iterator[Running]:
    """Give a server."""
    with serving() as server:
        yield server


# ---------------------------------------------------------------------- slow


@pytest.mark.parametrize("begun", [b"", b"G", b"PRI * HTTP/2.0\r\n", b"GET /healthz HTTP/1.1\r\nHost: local"])
def test_a_header_that_never_ends_is_cut_off(running: Running, begun: bytes) -> None:
    """A connection that stays silent, or stops inside its header, closes when the header's time is over."""
    with running.connect() as connection:
        started = time.monotonic()
        connection.sendall(begun)
        until_closed(connection)
        assert time.monotonic() - started < 6


def test_a_dribbled_header_is_cut_off(running: Running) -> None:
    """One byte at a time does not win more time: the header as a whole has its limit."""
    with running.connect() as connection:
        connection.settimeout(0.2)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        started = time.monotonic()
        closed = False
        while not closed and time.monotonic() - started < 10:
            try:
                connection.sendall(b"a")
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
        assert closed
        assert time.monotonic() - started < 6


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_stops_is_answered_408(running: Running, declared: bool) -> None:
    """A body that is not there in time is refused and the connection closed, chunked or not."""
    how = "Content-Length: 1000" if declared else "Transfer-Encoding: chunked"
    with running.connect() as connection:
        started = time.monotonic()
        connection.sendall(post("/logs/a/append", how) + (b"x" if declared else b"1\r\nx\r\n"))
        answer = until_closed(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer
        assert 3 < time.monotonic() - started < 8
    assert running.service.appended == []


def test_a_dribbled_body_is_answered_408(running: Running) -> None:
    """A body that comes a byte at a time does not win more time either."""
    with running.connect() as connection:
        connection.settimeout(0.2)
        connection.sendall(post("/logs/a/append", "Transfer-Encoding: chunked"))
        started = time.monotonic()
        answer = b""
        while not answer and time.monotonic() - started < 10:
            connection.sendall(b"1\r\nx\r\n")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1_000)
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_slow_clients_leave_the_others_alone(running: Running) -> None:
    """While many connections dribble, another's request is answered at once."""
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.connections - 2):
            connection = stack.enter_context(running.connect())
            connection.sendall(post("/logs/a/append", "Content-Length: 1000") + b"x")
        other = stack.enter_context(running.connect())
        started = time.monotonic()
        other.sendall(post("/logs/a/append", "Content-Length: 2", "Connection: close") + b"{}")
        assert until_closed(other).startswith(b"HTTP/1.1 201 ")
        assert time.monotonic() - started < 1


# ---------------------------------------------------------------------- large


def test_a_declared_body_over_the_limit_is_answered_unread(running: Running) -> None:
    """Content-Length alone is enough to refuse: nothing of the body has to come."""
    with running.connect() as connection:
        connection.sendall(post("/logs/a/append", f"Content-Length: {LIMITS.event_bytes + 1}"))
        answer = connection.recv(4_096)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert f'"limit":{LIMITS.event_bytes}'.encode() in answer


def test_a_declared_body_at_the_limit_is_taken(running: Running) -> None:
    """The limit itself is allowed."""
    with running.connect() as connection:
        head = post("/logs/a/append", f"Content-Length: {LIMITS.event_bytes}", "Connection: close")
        connection.sendall(head + b"x" * LIMITS.event_bytes)
        assert until_closed(connection).startswith(b"HTTP/1.1 201 ")
    assert running.service.appended == [LIMITS.event_bytes]


def test_a_client_that_sends_it_all_still_reads_the_413(running: Running) -> None:
    """A client that writes its whole body before it reads finds the answer, not a reset connection."""
    size = 64 * LIMITS.event_bytes
    with running.connect() as connection:
        connection.sendall(post("/logs/a/append", f"Content-Length: {size}") + b"x" * size)
        assert connection.recv(4_096).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_over_the_limit_is_answered_413(running: Running) -> None:
    """Without a declared length the limit holds as the bytes come."""
    chunk = b"%x\r\n%s\r\n" % (KIB, b"x" * KIB)
    with running.connect() as connection:
        connection.sendall(post("/logs/a/append", "Transfer-Encoding: chunked"))
        with contextlib.suppress(OSError):
            for _ in range(LIMITS.event_bytes // KIB + 1):
                connection.sendall(chunk)
        assert connection.recv(4_096).startswith(b"HTTP/1.1 413 ")
    assert running.service.appended == []


def test_a_chunked_body_is_taken_whole(running: Running) -> None:
    """A chunked body inside the limit arrives as it was sent."""
    with running.connect() as connection:
        connection.sendall(post("/logs/a/append", "Transfer-Encoding: chunked", "Connection: close"))
        for _ in range(100):
            connection.sendall(b"3e8\r\n" + b"y" * 1_000 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 201 ")
    assert running.service.appended == [100_000]


@pytest.mark.parametrize(
    "sent",
    [
        post("/logs/a/append", "Content-Length: 10") + b"abc",
        post("/logs/a/append", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n",
        post("/logs/a/append", "Transfer-Encoding: chunked") + b"3\r\nabc\r\nzz\r\n",
    ],
)
def test_half_a_body_is_never_an_event(running: Running, sent: bytes) -> None:
    """A body that is cut off or broken is refused: half an event must not be logged."""
    with running.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection).startswith(b"HTTP/1.1 400 ")
    assert running.service.appended == []


def test_trailers_are_dropped(running: Running) -> None:
    """Trailers of a chunked body are no part of the event (RFC 9110, 6.5.1)."""
    with running.connect() as connection:
        connection.sendall(post("/logs/a/append", "Transfer-Encoding: chunked", "Connection: close"))
        connection.sendall(b"3\r\nabc\r\n0\r\nx: y\r\n\r\n")
        assert until_closed(connection).startswith(b"HTTP/1.1 201 ")
    assert running.service.appended == [3]


def test_all_large_bodies_together_are_bounded(running: Running) -> None:
    """One workspace's large bodies hold at most its share of memory; one more is refused for now."""
    size = 200 * KIB
    head = post("/logs/a/append", f"Content-Length: {size}")
    with running.connect() as first, running.connect() as second:
        first.sendall(head + b"x")
        time.sleep(0.2)
        second.sendall(head + b"x")
        answer = second.recv(4_096)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        first.sendall(b"x" * (size - 1))
        assert first.recv(4_096).startswith(b"HTTP/1.1 201 ")
    with running.connect() as third:
        third.sendall(head + b"x" * size)
        assert third.recv(4_096).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("count", [1, 200])
def test_headers_over_the_limit_are_answered_431(running: Running, count: int) -> None:
    """One huge header, or very many, is refused before the application sees it."""
    headers = [f"X-{number}: {'a' * (60_000 // count)}" for number in range(count)]
    with running.connect() as connection:
        connection.sendall(get("/healthz", *headers))
        assert until_closed(connection).startswith(b"HTTP/1.1 431 ")


def test_headers_under_the_limit_are_taken(running: Running) -> None:
    """Close to 32 KiB of headers are served."""
    with running.connect() as connection:
        connection.sendall(get("/nothing", f"X-A: {'a' * 30_000}", "Connection: close"))
        assert until_closed(connection).startswith(b"HTTP/1.1 404 ")


def test_connections_over_the_limit_wait(running: Running) -> None:
    """One connection too many is served as soon as another ends, not refused and not served beside them."""
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.connections):
            stack.enter_context(running.connect()).sendall(b"GET")
        time.sleep(0.3)
        waiting = stack.enter_context(running.connect())
        started = time.monotonic()
        waiting.sendall(get("/nothing", "Connection: close"))
        assert until_closed(waiting).startswith(b"HTTP/1.1 404 ")
        assert time.monotonic() - started > 1


# ---------------------------------------------------------------------- leaving, and not reading


def test_a_client_that_leaves_a_long_poll_ends_it(running: Running) -> None:
    """Nothing waits on for a client that has gone."""
    with running.connect() as connection:
        connection.sendall(get("/logs/a/events?wait=60"))
        assert running.service.waiting.wait(5)
    assert running.service.wait_ended.wait(5)


def test_a_stopping_server_ends_long_polls(running: Running) -> None:
    """A graceful stop does not wait a minute for who only waits; the client is told to ask again."""
    with running.connect() as connection:
        connection.sendall(get("/logs/a/events?wait=60"))
        assert running.service.waiting.wait(5)
        started = time.monotonic()
        assert running.call(running.server.stop(10)) is True
        assert time.monotonic() - started < 3
        answer = until_closed(connection)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"stopping"' in answer


NDJSON = "Accept: application/x-ndjson"


def test_a_stream_is_made_as_fast_as_it_is_read(running: Running) -> None:
    """A client that stops reading stops the reading of events; what waits for it stays small."""
    with running.connect() as connection:
        connection.sendall(get("/logs/a/events", NDJSON))
        connection.recv(1_000)
        before = -1
        while running.service.streamed != before:
            before = running.service.streamed
            time.sleep(0.3)
        assert before * len(EVENT.payload) < 16 * 1024 * KIB
        received = 0
        while received < 32 * 1024 * KIB:
            received += len(connection.recv(1 << 20))
        assert running.service.streamed > before


def test_a_client_that_leaves_a_stream_ends_it(running: Running) -> None:
    """The events of a stream are read for nobody no longer than it takes to notice."""
    with running.connect() as connection:
        connection.sendall(get("/logs/a/events", NDJSON))
        connection.recv(1_000)
        assert not running.service.stream_closed.is_set()
    assert running.service.stream_closed.wait(5)


def test_a_stream_has_every_event(running: Running) -> None:
    """A stream of many times what a pipe holds arrives whole and in order of its making."""
    running.service.stream_length = 2_000
    with running.connect() as connection:
        connection.sendall(get("/logs/a/events", NDJSON, "Connection: close"))
        answer = until_closed(connection)
    assert answer.count(b'"sequence":1') == 2_000
    assert answer.endswith(b"\r\n0\r\n\r\n")


def test_a_stream_that_breaks_says_so(running: Running) -> None:
    """The status was sent long ago, so the last line is the refusal; an incomplete export is visible."""
    with running.connect() as connection:
        connection.sendall(get("/logs/broken/events", NDJSON, "Connection: close"))
        lines = until_closed(connection).split(b"\r\n")
    assert b'"code":"internal"' in b"".join(lines)


def test_a_reader_that_stalls_is_dropped(running: Running) -> None:
    """A client that neither reads nor leaves is cut off, so that it can't hold its connection for ever."""
    with running.connect() as connection:
        connection.sendall(get("/logs/a/events", NDJSON))
        connection.recv(1_000)
        assert running.service.stream_closed.wait(30)
    assert eventually(lambda: running.service.streamed < running.service.stream_length)
