"""What a client can do to a connection over TLS, and what comes of it."""

import contextlib
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.harness.slow import LIMITS, Running, eventually, get, post, serving, until_closed
from tests.harness.tls import make_certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for localhost and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def running(certificate: tuple[Path, Path]) -> Iterator[Running]:
    """Give a server that speaks TLS."""
    with serving(certificate) as server:
        yield server


@pytest.fixture
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Give what a client trusts."""
    return ssl.create_default_context(cafile=str(certificate[0]))


def connect(running: Running, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Open a connection and shake hands."""
    return context.wrap_socket(running.connect(), server_hostname="localhost")


def test_large_bodies_and_streams_are_whole(running: Running, context: ssl.SSLContext) -> None:
    """A body at its limit arrives, and a stream and a large page are complete."""
    running.service.stream_length, running.service.page_events = 2_000, 800
    size = LIMITS.event_bytes
    with connect(running, context) as connection:
        head = post("/logs/a/append", f"Content-Length: {size}")
        connection.sendall(head + b"x" * size + get("/logs/a/events", "Accept: application/x-ndjson"))
        connection.sendall(get("/logs/a/events", "Connection: close"))
        answer = until_closed(connection)
    assert running.service.appended == [size]
    assert answer.count(b'{"sequence":1,"time"') == 2_801  # with the receipt
    assert answer.endswith(b"}\n")


def test_a_stop_waits_until_answers_are_taken(running: Running, context: ssl.SSLContext) -> None:
    """What TLS has queued is no answer yet either."""
    running.service.page_events = 3_000
    with connect(running, context) as connection, ThreadPoolExecutor() as pool:
        connection.sendall(get("/logs/a/events"))
        received = len(connection.recv(1_024))
        stopping = pool.submit(running.call, running.server.stop(20))
        assert eventually(lambda: running.server.stopping)
        with pytest.raises(TimeoutError):
            stopping.result(0.5)
        received += len(until_closed(connection))
        assert stopping.result(10) is True
    assert received > 3_000 * 10_000


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_handshake_that_is_none_gives_its_room_back(
    running: Running, context: ssl.SSLContext, sent: bytes
) -> None:
    """Silence, half a greeting and plain HTTP end in time; then as many connections as ever are served."""
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.connections):
            stack.enter_context(running.connect()).sendall(sent)
        assert eventually(lambda: running.server._room._value == LIMITS.connections - 1)
        for _ in range(LIMITS.connections):
            connection = stack.enter_context(connect(running, context))
            connection.sendall(get("/nothing"))
            assert connection.recv(4_096).startswith(b"HTTP/1.1 404 ")


def test_leaving_in_the_middle_gives_the_room_back(running: Running, context: ssl.SSLContext) -> None:
    """The end of TLS, or of TCP without it, inside a header, a body or a stream, leaves nothing behind."""
    body = post("/logs/a/append", "Content-Length: 9") + b"x"
    for sent in (b"", b"GET", body, get("/logs/a/events", "Accept: application/x-ndjson")):
        for politely in (True, False):
            connection = connect(running, context)
            connection.sendall(sent)
            if politely:
                with contextlib.suppress(OSError):
                    connection.settimeout(0.2)
                    connection.unwrap()
            connection.close()
    assert eventually(lambda: running.server._room._value == LIMITS.connections - 1)
    assert running.service.appended == []


def test_a_stop_does_not_wait_for_who_is_silent(running: Running, context: ssl.SSLContext) -> None:
    """Neither a handshake in progress nor a client that does not agree to the end holds a stop up."""
    with running.connect() as shaking, connect(running, context) as idle:
        shaking.sendall(b"\x16\x03\x01")
        idle.sendall(get("/nothing"))
        assert idle.recv(4_096).startswith(b"HTTP/1.1 404 ")
        assert running.call(running.server.stop(4)) is True
