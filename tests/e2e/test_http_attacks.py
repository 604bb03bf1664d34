"""What a hostile client, a bad network or an unlucky operator does to a connection, and what comes of it."""

from collections.abc import Iterator

import pytest
from tests.harness.slow import Running, eventually, get, post, serving, until_closed

CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")


@pytest.fixture
def running() -> Iterator[Running]:
    """Give a server."""
    with serving() as server:
        yield server


def append(size: int, *headers: str) -> bytes:
    """Return an append of so many bytes."""
    return post("/logs/a/append", f"Content-Length: {size}", *headers) + b"x" * size


def ask(running: Running, sent: bytes) -> bytes:
    """Send bytes and return all that comes until the server closes."""
    with running.connect() as connection:
        connection.sendall(sent)
        return until_closed(connection)


def serves(running: Running) -> bool:
    """Say whether a request is being served."""
    return any(one._current is not None for one in running.server._connections)


# ---------------------------------------------------------------------- read in two ways


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("framing", "body"), [("Content-Length: 3", b"abc"), (CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")]
)
def test_an_offer_of_another_protocol_keeps_its_body(
    running: Running, framing: str, body: bytes, cut: bool
) -> None:
    """A request that offers HTTP/2 (Java's client does, with each) is logged whole: it was logged empty."""
    head = post("/logs/a/append", *UPGRADE, framing)
    with running.connect() as connection:
        connection.sendall(head + body[:1])
        connection.sendall(body[1:] if cut else body[1:] + append(1))
        answer = until_closed(connection)
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 201 ") == 1
    assert b"connection: close" in answer
    assert running.service.appended == [3]


@pytest.mark.parametrize(
    "sent",
    [
        get("/healthz").replace(b"HTTP/1.1", b"HTTP/2.0"),
        get("/healthz").replace(b"HTTP/1.1", b"HTTP/0.9"),
        b"GET /healthz\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        get("/healthz", "Host: \u00e9"),
        post("/logs/a/append", CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        post("/logs/a/append", CHUNKED, CHUNKED) + b"0\r\n\r\n",
        post("/logs/a/append", "Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
        post("/logs/a/append", CHUNKED) + b"1\nx\n0\n\n",
        post("/logs/a/append", "Content-Length: 1, 1") + b"x",
    ],
)
def test_what_is_not_quite_http_1_1_is_refused(running: Running, sent: bytes) -> None:
    """Other versions, two hosts of which one can't be read, and doubtful framing are 400 and the end."""
    answer = ask(running, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer
    assert running.service.appended == []


def test_a_length_with_many_zeros_is_a_length(running: Running) -> None:
    """Python reads no number of 5,000 digits; the request was never answered, and its connection stayed."""
    zeros = "0" * 5_000
    sent = post("/logs/a/append", f"Content-Length: {zeros}3", "Connection: close")
    assert ask(running, sent + b"abc").startswith(b"HTTP/1.1 201 ")
    assert running.service.appended == [3]


def test_a_refusal_in_place_of_100_ends_the_connection(running: Running) -> None:
    """Who waited to be told to send a body may never send it: what comes next would be taken for it."""
    answer = ask(running, post("/nothing", "Content-Length: 5", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close" in answer


def test_an_old_client_is_not_told_to_go_on(running: Running) -> None:
    """HTTP/1.0 has no 100; its client would take that for the answer (RFC 9110, 10.1.1)."""
    head = post("/logs/a/append", "Content-Length: 3", "Expect: 100-continue")
    with running.connect() as connection:
        connection.sendall(head.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert eventually(lambda: serves(running))
        connection.sendall(b"abc")
        assert until_closed(connection).startswith(b"HTTP/1.1 201 ")
