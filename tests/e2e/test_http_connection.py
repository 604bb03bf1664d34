"""What HTTP/1.1 asks of a connection: one request at a time, and nothing that reads in two ways."""

import socket
from collections.abc import Iterator

import pytest
from tests.harness.slow import LIMITS, Running, get, post, serving, until_closed


@pytest.fixture
def running() -> Iterator[Running]:
    """Give a server."""
    with serving() as server:
        yield server


def ask(running: Running, sent: bytes, *, then_end: bool = False) -> bytes:
    """Send bytes and return all that comes until the server closes."""
    with running.connect() as connection:
        connection.sendall(sent)
        if then_end:
            connection.shutdown(socket.SHUT_WR)
        return until_closed(connection)


def append(body: bytes, *headers: str) -> bytes:
    """Return an append with its body."""
    return post("/logs/a/append", f"Content-Length: {len(body)}", *headers) + body


def test_requests_of_one_connection_are_answered_in_order(running: Running) -> None:
    """Requests sent at once, without waiting for answers, are all served, each after the one before it."""
    many = b"".join(append(b"x" * size) for size in range(1, 10))
    answer = ask(running, many + append(b"x" * 10, "Connection: close"))
    assert answer.count(b"HTTP/1.1 201 ") == 10
    assert running.service.appended == list(range(1, 11))


def test_a_flood_of_requests_ahead_ends_the_connection(running: Running) -> None:
    """Some may wait behind the one that is served; of a thousand sent at once some are answered."""
    answer = ask(running, append(b"x") * 1_000)
    assert 1 <= answer.count(b"HTTP/1.1 201 ") < 100
    assert len(running.service.appended) == answer.count(b"HTTP/1.1 201 ")


def test_a_request_cut_anywhere_is_the_same_request(running: Running) -> None:
    """Where the network cuts the bytes makes no difference."""
    whole = append(b"abc") + post("/logs/a/append", "Transfer-Encoding: chunked") + b"2\r\nde\r\n0\r\n\r\n"
    with running.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(whole)):
            connection.sendall(whole[at : at + 1])
        connection.shutdown(socket.SHUT_WR)
        assert until_closed(connection).count(b"HTTP/1.1 201 ") == 2
    assert running.service.appended == [3, 2]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: \x01\r\n\r\n",
        b"GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n",
        get("/healthz").replace(b"Host: localhost\r\n", b""),
        get("/healthz", "Host: elsewhere"),
        post("/logs/a/append", "Content-Length: 3", "Content-Length: 3") + b"abc",
        post("/logs/a/append", "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        post("/logs/a/append", "Content-Length: +3") + b"abc",
        post("/logs/a/append", "Content-Length: 99999999999999999999999") + b"abc",
        get("http://[::1/healthz"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(running: Running, sent: bytes) -> None:
    """Whatever a proxy in front could understand otherwise than we do is 400, and the connection ends."""
    answer = ask(running, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"malformed"' in answer
    assert b"connection: close" in answer
    assert running.service.appended == []


def test_another_transfer_coding_is_refused(running: Running) -> None:
    """A body that was packed on its way is not what was to be logged."""
    sent = post("/logs/a/append", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n"
    assert ask(running, sent, then_end=True).startswith(b"HTTP/1.1 415 ")
    assert running.service.appended == []


def test_an_upgrade_is_not_taken(running: Running) -> None:
    """An offer of another protocol is answered in this one (RFC 9110, 7.8), and the connection ends."""
    answer = ask(running, get("/nothing", "Connection: upgrade", "Upgrade: h2c") + get("/smuggled"))
    assert answer.count(b"HTTP/1.1 404 ") == answer.count(b"HTTP/1.1") == 1


def test_a_client_is_told_to_go_on(running: Running) -> None:
    """Who waits for 100 (curl, for larger bodies) gets it when the body is wanted, and else the refusal."""
    with running.connect() as connection:
        connection.sendall(
            post("/logs/a/append", "Content-Length: 3", "Expect: 100-continue", "Connection: close")
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert until_closed(connection).startswith(b"HTTP/1.1 201 ")
    with running.connect() as connection:
        size = LIMITS.event_bytes + 1
        connection.sendall(post("/logs/a/append", f"Content-Length: {size}", "Expect: 100-continue"))
        assert connection.recv(4_096).startswith(b"HTTP/1.1 413 ")


def test_http_1_0_is_served(running: Running) -> None:
    """An old client gets a plain answer and the end of the connection; a stream of any length, too."""
    running.service.stream_length = 20
    assert ask(running, b"GET /nothing HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    streamed = ask(running, b"GET /logs/a/events HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n")
    head, _, lines = streamed.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert lines.count(b"\n") == 20
    assert lines.startswith(b'{"sequence":1,')


def test_an_absolute_target_is_served(running: Running) -> None:
    """The request line of a proxy's client names the whole URL (RFC 9112, 3.2.2)."""
    assert ask(running, get("http://localhost/nothing?x=1", "Connection: close")).startswith(b"HTTP/1.1 404 ")


def test_a_client_that_ends_its_sending_is_answered(running: Running) -> None:
    """Closing one direction after the request does not take the answer away."""
    assert ask(running, append(b"abc"), then_end=True).startswith(b"HTTP/1.1 201 ")


def test_a_small_refused_body_does_not_end_the_connection(running: Running) -> None:
    """What is left of it is read and dropped, and the next request served."""
    refused = post("/nothing", "Content-Length: 5")
    with running.connect() as connection:
        connection.sendall(refused + b"ab")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"cde" + append(b"xyz", "Connection: close"))
        assert until_closed(connection).startswith(b"HTTP/1.1 201 ")
    assert running.service.appended == [3]


def test_a_connection_may_idle_longer_than_a_header_may_take(running: Running) -> None:
    """Between two requests a client has `idle_seconds`; a header that it began has `header_seconds`."""
    with running.connect() as connection:
        connection.settimeout(LIMITS.header_seconds + 1)
        connection.sendall(get("/nothing"))
        assert connection.recv(4_096).startswith(b"HTTP/1.1 404 ")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: ")
        assert connection.recv(1) == b""


def test_head_has_the_headers_alone(running: Running) -> None:
    """HEAD gives the length and not the body, so that the next answer begins where it should."""
    answer = ask(
        running, get("/logs/a/events").replace(b"GET", b"HEAD") + get("/nothing", "Connection: close")
    )
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert b"content-length: " in first
    assert rest.startswith(b"HTTP/1.1 404 ")
