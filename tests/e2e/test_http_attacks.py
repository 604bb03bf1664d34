"""What a hostile client, a bad network or an unlucky operator does to a connection, and what comes of it."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.harness.slow import LIMITS, Running, eventually, get, post, serving, until_closed

from indelible.http.app import HttpApp
from indelible.model.limits import KIB

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


def shut_gate(running: Running) -> asyncio.Event:
    """Have appends wait, as for a slow disk; return what lets them go on."""

    async def make() -> asyncio.Event:
        running.service.gate = asyncio.Event()
        return running.service.gate

    return running.call(make())  # type: ignore[no-any-return]  # what the coroutine returns


def open_gate(running: Running, gate: asyncio.Event) -> None:
    """Let appends go on."""

    async def release() -> None:
        gate.set()

    running.call(release())


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


# ---------------------------------------------------------------------- without end


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"0\r\n", b"1;x=", b"1\r\nx\r\n1;x="])
def test_what_is_no_body_is_bounded(running: Running, endless: bytes) -> None:
    """A trailer or a chunk's extension without end is refused at the limit of headers."""
    flood = b"A: b\r\n" * 170_000 if endless.endswith(b"0\r\n") else b"a" * 1024 * KIB
    with running.connect() as connection:
        connection.settimeout(LIMITS.body_seconds / 2)
        connection.sendall(post("/logs/a/append", CHUNKED) + endless)
        connection.sendall(flood)
        assert connection.recv(4_096).startswith(b"HTTP/1.1 400 ")
    assert running.service.appended == []


def test_the_last_answer_to_a_flood_says_so(running: Running) -> None:
    """A client that sent too much ahead learns which answer was the last, and it gets there."""
    gate = shut_gate(running)
    with running.connect() as connection:
        connection.sendall(append(1) * 1_000)
        open_gate(running, gate)
        answer = until_closed(connection)
    last = answer[answer.rindex(b"HTTP/1.1 ") :]
    assert b"connection: close" in last
    assert answer.count(b"connection: close") == 1
    assert answer.count(b"HTTP/1.1 201 ") == len(running.service.appended)


# ---------------------------------------------------------------------- leaving


@pytest.mark.parametrize(
    "sent",
    [
        append(1) + append(2) + append(3),
        post("/logs/a/append", CHUNKED) + b"1\r\nx\r\n0\r\n\r\n" + append(2) + append(3),
        append(1) + append(2) + append(3, *UPGRADE),
    ],
)
def test_half_a_connection_is_answered_in_full(running: Running, sent: bytes) -> None:
    """A client that has ended its sending gets all answers, also when that is seen while one is made."""
    gate = shut_gate(running)
    with running.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert eventually(lambda: serves(running))
        running.call(asyncio.sleep(0.1))  # the end is there by now, where the server looks for it
        open_gate(running, gate)
        assert until_closed(connection).count(b"HTTP/1.1 201 ") == 3
    assert running.service.appended == [1, 2, 3]


def test_a_client_that_leaves_a_pipelined_long_poll_ends_it(running: Running) -> None:
    """Reading, stopped while requests waited, goes on with the last of them: its client's end is seen."""
    with running.connect() as connection:
        connection.sendall(append(1) + get("/logs/a/events?wait=60"))
        assert running.service.waiting.wait(5)
    assert running.service.wait_ended.wait(5)


def test_an_append_whose_client_leaves_is_made_once(running: Running) -> None:
    """What was handed to the log is logged, though nobody is there for its receipt, and only once."""
    gate = shut_gate(running)
    for reset in (False, True):
        with running.connect() as connection:
            connection.sendall(append(1) + append(2))
            assert eventually(lambda: serves(running))
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    open_gate(running, gate)
    assert eventually(lambda: not running.server._connections)
    assert running.service.appended.count(1) == 2


# ---------------------------------------------------------------------- large answers


@pytest.mark.parametrize("behind", [b"", b"\r\n", b"no HTTP"])
def test_a_large_answer_has_its_time(running: Running, behind: bytes) -> None:
    """A slow reader gets all of an answer, whatever it sent behind its request: it was cut off after 2 s."""
    running.service.page_events = 3_000
    with running.connect() as connection:
        connection.sendall(get("/logs/a/events", "Connection: close") + behind)
        received, enough = 0, time.monotonic() + 3.5
        while time.monotonic() < enough:  # the claim is about this time
            received += len(connection.recv(256 * KIB))
            assert not threading.Event().wait(0.1)
        received += len(until_closed(connection))
    assert received > 3_000 * 10_000


def test_a_stop_waits_until_answers_are_taken(running: Running) -> None:
    """An answer that lies in a queue is none yet: the process would end, and the answer with it."""
    running.service.page_events = 3_000
    with running.connect() as connection, ThreadPoolExecutor() as pool:
        connection.sendall(get("/logs/a/events"))
        received = len(connection.recv(KIB))
        stopping = pool.submit(running.call, running.server.stop(20))
        assert eventually(lambda: running.server.stopping)
        with pytest.raises(TimeoutError):
            stopping.result(0.5)
        received += len(until_closed(connection))
        assert stopping.result(10) is True
    assert received > 3_000 * 10_000


# ---------------------------------------------------------------------- stopping


def test_a_stop_answers_what_was_sent_ahead(running: Running) -> None:
    """Requests that wait behind another are answered too, and the last answer says that it is the last."""
    gate = shut_gate(running)
    with running.connect() as connection, ThreadPoolExecutor() as pool:
        connection.sendall(append(1) + append(2) + append(3))
        assert eventually(lambda: any(len(one._waiting) == 2 for one in running.server._connections))
        stopping = pool.submit(running.call, running.server.stop(20))
        assert eventually(lambda: running.server.stopping)
        open_gate(running, gate)
        answer = until_closed(connection)
        assert stopping.result(10) is True
    assert answer.count(b"HTTP/1.1 201 ") == 3
    assert answer.count(b"connection: close") == 1
    assert b"connection: close" in answer[answer.rindex(b"HTTP/1.1 ") :]
    assert running.service.appended == [1, 2, 3]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHo",
        get("/nothing") + b"GET /",
        post("/nothing", "Content-Length: 1000") + b"x",
        post("/nothing", "Content-Length: 1000000") + b"x",
        b"no HTTP\r\n\r\n",
    ],
)
def test_a_stop_does_not_wait_for_who_owes(running: Running, sent: bytes) -> None:
    """A connection that is idle, owes the rest of a header or of a body nobody wants, or ends, is left."""
    with running.connect() as connection:
        connection.sendall(sent)
        answered = sent.count(b"\r\n\r\n")
        if answered:
            assert connection.recv(4_096).startswith(b"HTTP/1.1 4")
        assert eventually(lambda: len(running.server._connections) == 1)
        assert running.call(running.server.stop(3)) is True


# ---------------------------------------------------------------------- nothing leaks


def test_an_answer_that_fails_ends_its_connection(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while an answer is written ends the connection: it stayed, and a stop span until its grace."""

    async def fails(*_: Any) -> None:
        raise ValueError("a header holds the end of a line")

    monkeypatch.setattr(HttpApp, "_send", fails)
    assert ask(running, get("/nothing")) == b""
    assert running.call(running.server.stop(2)) is True


STATES = [
    b"",
    b"\r\n",
    b"GET",
    b"GET /x HTTP/1.1\r\nHost: a",
    append(1),
    append(1) + b"GET",
    append(1) + append(2) + post("/logs/a/append", "Content-Length: 9") + b"x",
    post("/logs/a/append", CHUNKED) + b"5\r\nab",
    post("/logs/a/append", CHUNKED) + b"1\r\na\r\n0\r\nx: ",
    post("/logs/a/append", "Content-Length: 100000") + b"x" * 70_000,
    post("/nothing", "Content-Length: 9") + b"x",
    post("/nothing", "Content-Length: 900000") + b"x",
    get("/logs/a/events", "Accept: application/x-ndjson"),
    get("/logs/a/events", "Accept: application/x-ndjson") + append(1),
    get("/logs/a/events?wait=60"),
    get("/logs/a/events?wait=60", *UPGRADE),
    append(1) * 50,
    b"nonsense\r\n\r\n",
]


def test_nothing_leaks(running: Running) -> None:
    """Leaving in any state, politely or not, gives back connections, room, tasks and files."""

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    def count() -> tuple[int, int, int, int]:
        files = len(list(Path("/proc/self/fd").iterdir()))
        server = running.server
        return len(server._connections), server._room._value, running.call(tasks()), files

    ask(running, get("/nothing", "Connection: close"))  # the loop opens files of its own at the first
    before = count()
    for how in (socket.SHUT_WR, socket.SHUT_RDWR, None):
        for sent in STATES:
            connection = running.connect()
            connection.sendall(sent)
            if how is None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.shutdown(how)
            connection.close()
    assert eventually(lambda: count() == before, 20)
    many = [running.connect() for _ in range(LIMITS.connections)]
    for connection in many:
        connection.sendall(append(1))
    assert all(connection.recv(4_096).startswith(b"HTTP/1.1 201 ") for connection in many)
    for connection in many:
        connection.close()
