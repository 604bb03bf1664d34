"""What a hostile client, a bad network or an unlucky operator does to a connection, and what comes of it."""

from collections.abc import Iterator

import pytest
from tests.harness.slow import Running, post, serving, until_closed


@pytest.fixture
def running() -> Iterator[Running]:
    """Give a server."""
    with serving() as server:
        yield server


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 3", b"abc"), ("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")],
)
def test_an_offer_of_another_protocol_keeps_its_body(
    running: Running, framing: str, body: bytes, cut: bool
) -> None:
    """A request that offers HTTP/2 (Java's client does, with each) is logged whole: it was logged empty."""
    head = post("/logs/a/append", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", framing)
    with running.connect() as connection:
        connection.sendall(head + body[:1])
        if cut:
            connection.sendall(body[1:])
        else:
            connection.sendall(body[1:] + post("/logs/a/append", "Content-Length: 1") + b"x")
        answer = until_closed(connection)
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 201 ") == 1
    assert b"connection: close" in answer
    assert running.service.appended == [3]
