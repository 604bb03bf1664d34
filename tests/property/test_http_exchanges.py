"""Any sequence of valid requests, cut anywhere, is answered as if each had been alone."""

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from io import BufferedReader
from itertools import pairwise
from typing import NamedTuple

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.slow import LIMITS

from indelible.http.body import BodyBudget, Rules, check_headers, read_body
from indelible.http.exchange import Exchange
from indelible.http.server import HttpServer, Listening

_BODY_BYTES = 300_000


class Echo:
    """Says what it was asked: at once, after others had their turn, in large, or as a stream."""

    def __init__(self) -> None:
        self.listening: Listening | None = None
        self._rules = Rules(LIMITS, BodyBudget(LIMITS))

    def stop_waiting(self) -> None:
        """Nothing waits."""

    async def __call__(self, exchange: Exchange) -> None:
        """Answer with the method, the target and the body's hash."""
        body = b""
        if exchange.path != "/unread":
            length = check_headers(exchange.headers, _BODY_BYTES)
            body = await read_body(exchange, length, _BODY_BYTES, 1, self._rules)
        if exchange.path == "/later":
            await asyncio.sleep(0.001)
        said = [exchange.method, exchange.path, exchange.query_string, hashlib.sha256(body).hexdigest()]
        answer = json.dumps(said).encode()
        if exchange.path == "/streamed":
            await exchange.stream(200, [], self._pieces(answer))
        elif exchange.path == "/empty":
            exchange.respond(204, [], b"")
        else:
            exchange.respond(200, [], answer * (20_000 if exchange.path == "/large" else 1))

    async def _pieces(self, answer: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(answer), 10):
            yield answer[at : at + 10]


class Sent(NamedTuple):
    """One request as bytes."""

    method: str
    head: bytes
    body: bytes


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Serve echoes on a loop of its own."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = HttpServer()
    try:
        starting = server.start(Echo(), port=0, limits=LIMITS)
        listening = asyncio.run_coroutine_threadsafe(starting, loop).result(30)
        yield listening.host, listening.port
        assert asyncio.run_coroutine_threadsafe(server.stop(5), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def chunked(body: bytes, cuts: list[int]) -> bytes:
    """Return a body in chunks, cut at some places, with an extension and a trailer."""
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    chunks = [body[start:end] for start, end in pairwise(edges)]
    return b"".join(b"%x;a=b\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\nX-T: y\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """Draw a request that keeps its connection."""
    path = draw(st.sampled_from(["/at-once", "/later", "/streamed", "/empty", "/large", "/unread"]))
    query = draw(st.sampled_from(["", "?a=b", "?" + "c" * 200]))
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE"]))
    unread = path == "/unread"  # such a body ends its connection, where it is large, awaited, or chunked
    size = draw(st.sampled_from([0, 1, 2, 100, 5_000, 5_000 if unread else 70_000]))
    body = draw(st.sampled_from([b"x", b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n"])) * size
    body = body[:size]
    lines = [f"{method} {path}{query} HTTP/1.1", "Host: localhost"]
    more = ["X-Long: " + "y" * 3_000] if unread else ["Expect: 100-continue"]
    lines += draw(st.sampled_from([[], more]))
    how = draw(st.sampled_from(["none", "length", *([] if unread else ["chunked"])]))
    if how == "none":
        body = b""
    elif how == "length":
        lines.append(f"Content-Length: {len(body)}")
    else:
        lines.append("Transfer-Encoding: chunked")
        body = chunked(body, draw(st.lists(st.integers(0, 70_000), max_size=5)))
    return Sent(method, "\r\n".join([*lines, "", ""]).encode(), body)


def read_line(stream: BufferedReader) -> bytes:
    """Return a line, which must be whole."""
    line = stream.readline()
    assert line.endswith(b"\r\n"), line
    return line[:-2]


def read_answer(stream: BufferedReader, method: str) -> tuple[bytes, list[bytes], bytes]:
    """Return an answer's status line, its headers and its body, past any `100 Continue`."""
    status = read_line(stream)
    headers = []
    while line := read_line(stream):
        if not line.startswith(b"date: "):
            headers.append(line)
    if b" 100 " in status:
        return read_answer(stream, method)
    if method == "HEAD" or b" 204 " in status:
        return status, headers, b""
    if b"transfer-encoding: chunked" not in headers:
        length = next(int(one[16:]) for one in headers if one.startswith(b"content-length: "))
        return status, headers, stream.read(length)
    body = b""
    while size := int(read_line(stream), 16):
        body += stream.read(size)
        assert read_line(stream) == b""
    assert read_line(stream) == b""
    return status, headers, body


def exchange_all(
    address: tuple[str, int], sent: bytes, cuts: list[int], methods: list[str], *, half: bool
) -> list[tuple[bytes, list[bytes], bytes]]:
    """Send bytes, cut at some places, and return the answers."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send() -> None:
            for start, end in pairwise(sorted({0, len(sent), *(cut % (len(sent) + 1) for cut in cuts)})):
                connection.sendall(sent[start:end])
            if half:
                connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            with connection.makefile("rb") as stream:
                answers = [read_answer(stream, method) for method in methods]
                if half:
                    assert stream.read() == b""
                return answers
        finally:
            sender.join()


@settings(max_examples=100, deadline=None)
@given(
    sent=st.lists(requests(), min_size=1, max_size=16),
    cuts=st.lists(st.integers(0, 200_000), max_size=20),
    half=st.booleans(),
)
def test_together_as_one_by_one(
    address: tuple[str, int], sent: list[Sent], cuts: list[int], half: bool
) -> None:
    """Requests sent ahead in any pieces get the answers, in order, that each gets on its own connection."""
    whole = b"".join(one.head + one.body for one in sent)
    together = exchange_all(address, whole, cuts, [one.method for one in sent], half=half)
    alone = [exchange_all(address, one.head + one.body, [], [one.method], half=False)[0] for one in sent]
    assert together == alone
