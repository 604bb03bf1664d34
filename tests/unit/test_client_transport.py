"""When a call is sent again and when it must not be, against a real socket with scripted answers."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from indelible.client import Client, Problem, Retry, UnexpectedAnswer, Unreachable
from indelible.client.errors import read_problem
from indelible.client.transport import Transport

Answer = tuple[int, dict[str, str], bytes]


class Script(ThreadingHTTPServer):
    """Answers requests with scripted answers in order, and keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer | None] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def refuse(self, status: int, code: str, **facts: Any) -> None:
        """Script a problem document."""
        body = json.dumps({"status": status, "code": code, "detail": "do this", **facts}).encode()
        self.answers.append((status, {}, body))

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        """Script JSON."""
        self.answers.append((status, headers, json.dumps(value).encode()))


class Handler(BaseHTTPRequestHandler):
    """Gives the next answer of the script; None closes the connection without one."""

    protocol_version = "HTTP/1.1"
    server: Script

    def handle_one_request(self) -> None:
        """Serve any method alike."""
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, headers, content = answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Stay quiet."""


@pytest.fixture
def script() -> Iterator[Script]:
    """A scripted server on loopback."""
    server = Script()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    """A client of the scripted server that waits for nothing."""
    with Client(script.url, "ind_secret", retry=Retry(tries=4)) as made:
        made.transport = Transport(
            script.url,
            "ind_secret",
            retry=Retry(tries=4, seconds=1e6),
            timeout_seconds=10,
            sleep=lambda _seconds: None,
        )
        yield made
        made.transport.close()


RECEIPT = {"sequence": 1, "time": "t", "leaf_hash": "aa", "salt": "bb", "writer": "w", "origin": "o"}


def test_a_lost_answer_is_asked_for_again_under_the_same_key(script: Script, client: Client) -> None:
    """An append whose connection died is sent again with the same idempotency key and the same bytes."""
    script.answers.append(None)
    script.answer(RECEIPT, 201, **{"Idempotent-Replayed": "true"})
    receipt = client.append("log", {"type": "x"})
    first, second = script.asked
    assert first[2]["Idempotency-Key"] == second[2]["Idempotency-Key"]
    assert first[3] == second[3] == b'{"type":"x"}'
    assert receipt.replayed


def test_two_appends_have_two_keys(script: Script, client: Client) -> None:
    """Keys are made for each append: equal events are two events."""
    script.answer(RECEIPT, 201)
    script.answer(RECEIPT, 201)
    client.append("log", b"{}")
    client.append("log", b"{}")
    first, second = script.asked
    assert first[2]["Idempotency-Key"] != second[2]["Idempotency-Key"]


def test_an_unknown_effect_is_not_repeated_without_a_key(script: Script, client: Client) -> None:
    """Creating a log carries no key: an answer that got lost, or `internal`, is the caller's to judge."""
    script.refuse(500, "internal")
    with pytest.raises(Problem) as refused:
        client.create_log("acme")
    assert refused.value.code.name == "internal"
    script.answers.append(None)
    with pytest.raises(Unreachable) as lost:
        client.create_log("acme")
    assert lost.value.effect == "unknown"
    assert len(script.asked) == 2


def test_a_refusal_without_effect_is_tried_again(script: Script, client: Client) -> None:
    """`saturated` had no effect, so even a call without a key is sent again."""
    script.refuse(503, "saturated", retry_after=1)
    script.answer({"log_id": "1", "name": "acme"}, 201)
    assert client.create_log("acme").log_id == "1"


def test_a_final_refusal_is_not_tried_again(script: Script, client: Client) -> None:
    """409 `name_taken` stays what it is, with its facts."""
    script.refuse(409, "name_taken", log_id="550e8400")
    with pytest.raises(Problem) as refused:
        client.create_log("acme")
    assert refused.value.code.name == "name_taken"
    assert refused.value.facts["log_id"] == "550e8400"
    assert len(script.asked) == 1


def test_trying_ends(script: Script, client: Client) -> None:
    """After the last try the refusal is raised."""
    for _ in range(4):
        script.refuse(503, "saturated")
    with pytest.raises(Problem) as refused:
        client.append("log", b"{}")
    assert refused.value.code.name == "saturated"
    assert len(script.asked) == 4


def test_retry_after_is_the_least_wait(script: Script) -> None:
    """The client never comes back before the server asked it to."""
    waits: list[float] = []
    transport = Transport(script.url, None, retry=Retry(3, 1e6), timeout_seconds=10, sleep=waits.append)
    script.answers.append((503, {"Retry-After": "7"}, b"{}"))
    script.answer({})
    transport.send("GET", "/readyz")
    transport.close()
    assert len(waits) == 1
    assert 7 <= waits[0] < 8


def test_nobody_listening_had_no_effect() -> None:
    """A connection that was never made is known to have done nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with Client(url, retry=Retry(tries=1)) as client, pytest.raises(Unreachable) as failed:
            client.create_log("acme")
    assert failed.value.effect == "none"


def test_another_program_is_told_apart(script: Script, client: Client) -> None:
    """An answer that is no answer of this API is not taken for one."""
    script.answers.append((200, {}, b"<html>hello</html>"))
    with pytest.raises(UnexpectedAnswer):
        client.log("acme")


def test_names_cannot_leave_their_place_in_the_path(script: Script, client: Client) -> None:
    """A log's name is one segment of the path, whatever is in it."""
    script.answer({"log_id": "1", "name": "x"})
    client.log("../keys?x=#")
    assert script.asked[0][1] == "/logs/..%2Fkeys%3Fx%3D%23"


def test_one_event_cannot_pass_for_two(client: Client) -> None:
    """A batch is refused before it is sent when an event is not one JSON value."""
    with pytest.raises(ValueError, match="JSON"):
        client.append_batch("log", [b"1,2"])


def test_a_stream_is_taken_up_where_it_broke(script: Script, client: Client) -> None:
    """A connection that ends inside the stream is made again from the event after the last whole one."""
    lines = [
        json.dumps({"sequence": n, "time": "t", "writer": "w", "salt": "s", "payload": n}) for n in (1, 2, 3)
    ]
    broken = "".join(line + "\n" for line in lines[:2]) + lines[2][:10]
    script.answers.append((200, {"Content-Length": "100000"}, broken.encode()))
    last = {"Connection": "close"}  # said, or the client may ask once more on what is being closed
    script.answers.append((200, last, json.dumps({"events": [], "next": None}).encode()))
    script.answers.append((200, last, (lines[2] + "\n").encode()))
    script.answers.append(None)
    found = read_with_close(client, script)
    assert [event.sequence for event in found] == [1, 2, 3]
    assert script.asked[-1][1].endswith("after_sequence=2")


def read_with_close(client: Client, script: Script) -> list[Any]:
    """Read a stream whose first answer promises more than it has: the connection is closed after it."""
    original = Handler.handle_one_request

    def closing(self: Handler) -> None:
        original(self)
        self.close_connection = True

    Handler.handle_one_request = closing  # type: ignore[method-assign]  # for this one test
    try:
        return list(client.stream_events("log"))
    finally:
        Handler.handle_one_request = original  # type: ignore[method-assign]  # as it was


def test_a_gap_in_a_stream_is_an_error(script: Script, client: Client) -> None:
    """A server that leaves an event out is not believed."""
    body = b'{"sequence":1}\n{"sequence":3}\n'
    script.answers.append((200, {}, body))
    with pytest.raises(UnexpectedAnswer, match="missing"):
        list(client.read_lines("log"))


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (503, b"<html>bad gateway</html>", "saturated"),
        (502, b"", "stopping"),
        (404, b"[]", "not_found"),
        (418, b"{}", "malformed"),
        (500, b'{"code":"from_the_future","detail":"x"}', "internal"),
        (409, b'{"code":"sequence_mismatch","self":1,"head":5,"bad name":2}', "sequence_mismatch"),
    ],
)
def test_any_error_becomes_a_problem(status: int, body: bytes, code: str) -> None:
    """Pages of proxies and codes of newer servers become the nearest code of the table."""
    problem = read_problem(status, body, "3")
    assert problem.code.name == code
    assert problem.facts["retry_after"] == 3
    assert problem.facts["status"] == status
