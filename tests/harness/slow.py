"""A server whose use cases do nothing, and clients that speak to it byte by byte."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import uvloop

from indelible.http.app import HttpApp
from indelible.http.server import HttpServer
from indelible.model.limits import DEFAULT_LIMITS, KIB
from indelible.model.types import Event, Receipt
from indelible.service.types import Appended, Caller, EventPage

LIMITS = replace(
    DEFAULT_LIMITS,
    header_seconds=2,
    body_seconds=4,
    event_bytes=256 * KIB,
    batch_bytes=1024 * KIB,
    request_bodies_bytes=1024 * KIB,
    connections=32,
    idle_seconds=20,
)
CALLER = Caller(bytes(16), "key", 1, frozenset(), None, None)
EVENT = Event(1, 0, bytes(16), bytes(16), b'"' + b"x" * 10_000 + b'"')
BATCH = 10


class Nothing:
    """A service that takes everything and does nothing, but counts how much was asked of it."""

    def __init__(self) -> None:
        self.appended: list[int] = []
        self.streamed = 0
        self.stream_closed = threading.Event()
        self.waiting = threading.Event()
        self.wait_ended = threading.Event()
        self.stream_length = 1_000_000
        self.page_events = 0  # how many a page has, of 10 KB each
        self.gate: asyncio.Event | None = None  # appends wait for it

    def authenticate(self, _authorization: str | None) -> Caller:
        """Let everyone in."""
        return CALLER

    async def append(self, _caller: Caller, _log: str, payload: bytes, **_rest: Any) -> Appended:
        """Note how many bytes came."""
        if self.gate is not None:
            await self.gate.wait()
        self.appended.append(len(payload))
        return Appended(Receipt(1, 0, bytes(32), bytes(16), bytes(16)), "origin", False, None)

    async def page(self, _caller: Caller, _log: str, *, wait_seconds: float, **_rest: Any) -> EventPage:
        """Wait as asked, and note when that ended."""
        self.waiting.set()
        try:
            await asyncio.sleep(wait_seconds)
        finally:
            self.wait_ended.set()
        return EventPage([EVENT] * self.page_events, None)

    async def stream(self, _caller: Caller, log: str, **_rest: Any) -> AsyncIterator[list[Event]]:
        """Give more events than any buffer holds."""
        return self._endless(fails=log == "broken")

    async def _endless(self, *, fails: bool) -> AsyncIterator[list[Event]]:
        try:
            for _ in range(self.stream_length // BATCH):
                yield [EVENT] * BATCH
                self.streamed += BATCH
                if fails:
                    raise OSError("the disk is gone")
        finally:
            self.stream_closed.set()


class Running(NamedTuple):
    """A server on a loop of its own."""

    address: tuple[str, int]
    service: Nothing
    call: Callable[[Any], Any]  # runs a coroutine on the server's loop
    server: HttpServer

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(self.address, timeout=20)


@contextlib.contextmanager
def serving(tls: tuple[Path, Path] | None = None) -> Iterator[Running]:
    """Serve until the block ends, with a certificate and its key over TLS."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(30)

    nothing = Nothing()
    services: Any = SimpleNamespace(arrivals=None, access=nothing, appends=nothing, events=nothing)
    server = HttpServer()

    async def start() -> tuple[str, int]:
        app = HttpApp(services, limits=LIMITS)
        cert, key = tls or (None, None)
        listening = await server.start(app, port=0, tls_cert=cert, tls_key=key, limits=LIMITS)
        return listening.host, listening.port

    try:
        yield Running(call(start()), nothing, call, server)
        call(server.stop(5))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def until_closed(connection: socket.socket) -> bytes:
    """Read until the server closes."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            received += piece
    return bytes(received)


def eventually(true: Callable[[], bool], seconds: float = 10) -> bool:
    """Say whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.01)
    return true()


def post(path: str, *headers: str) -> bytes:
    """Return the head of a POST."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def get(path: str, *headers: str) -> bytes:
    """Return a GET."""
    return post(path, *headers).replace(b"POST", b"GET", 1)
