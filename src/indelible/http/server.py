"""The server: a socket, the connections that it accepts, and their end.

docs/adr/0003-http.md says why it is put together from llhttp, uvloop and this.
"""

import asyncio
import resource
import socket
import ssl
import time
from collections.abc import Coroutine
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog

from indelible.http.connection import Connection
from indelible.http.exchange import Exchange
from indelible.model.limits import DEFAULT_LIMITS, Limits

_FILES_ELSEWHERE = 512
_SWEEP_SECONDS = 0.5
_LOOK_SECONDS = 0.02
_CLOSING_SECONDS = 2.0  # at a stop, for clients to take what was sent and to agree to the end of TLS
_PAUSE_SECONDS = 0.1  # after a connection could not be accepted: no files are left, for example


class Listening(NamedTuple):
    """Where the server answers: the numeric address and the real port, and the scheme."""

    host: str
    port: int
    scheme: str

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class App(Protocol):
    """What the server calls for each request."""

    listening: Listening | None  # where requests reach it, set before the first one does

    def stop_waiting(self) -> None:
        """End what only waits."""

    def __call__(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answer one request."""


class HttpServer:
    """One HTTP/1.1 server on the running event loop. Start it once, stop it once."""

    def __init__(self) -> None:
        self.limits = DEFAULT_LIMITS
        self.stopping = False
        self.date_line = ""
        self._app: App | None = None
        self._listener: socket.socket | None = None
        self._connections: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    async def start(
        self,
        app: App,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Listening:
        """Bind, serve, and return where: `port` 0 picks a free one.

        Raises:
            OSError: the address is taken or not ours.
            ValueError: one TLS file without the other, or files that do not make a certificate and its key.
        """
        tls = _tls(tls_cert, tls_key)
        _allow_open_files(limits.connections + _FILES_ELSEWHERE)
        self._app, self.limits = app, limits
        self._room = asyncio.Semaphore(limits.connections)
        self._loop = asyncio.get_running_loop()
        self._listener = _listen(host, port, limits)
        address = self._listener.getsockname()
        app.listening = Listening(address[0], address[1], "https" if tls else "http")
        self._sweep()
        self._accepting = asyncio.create_task(self._accept(self._listener, tls), name="http-accept")
        return app.listening

    async def stop(self, grace_seconds: float) -> bool:
        """Accept no more, finish what was accepted, and return True, or False when the grace ran out.

        Idle connections close at once. Calling it again is harmless.
        """
        if self._accepting is None or self._app is None:
            return True
        self.stopping = True
        self._app.stop_waiting()
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.stop()
        done = await self._ended(self._loop.time() + grace_seconds)
        if self._sweeping is not None:
            self._sweeping.cancel()
        if not done:
            structlog.get_logger().warning("http_stop_cut_short", grace_seconds=grace_seconds)
        return done

    async def _ended(self, deadline: float) -> bool:
        """Whether all that was accepted is answered by then; what only is to close has a moment for it."""
        moment = self._loop.time() + _CLOSING_SECONDS
        while self._connections:
            now = self._loop.time()
            if now >= moment and not any(one.busy for one in self._connections):
                break
            if now >= deadline:
                return not any(one.busy for one in self._connections)
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    # ------------------------------------------------------------------ connections

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept while there is room; beyond it connections wait in the kernel."""
        while True:
            await self._room.acquire()
            try:
                accepted, _ = await self._loop.sock_accept(listener)
            except OSError as error:
                self._room.release()
                structlog.get_logger().warning("a connection could not be accepted", error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            opening = self._loop.create_task(self._open(accepted, tls))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        connection = Connection(self, "https" if tls else "http")
        seconds = float(self.limits.header_seconds) if tls else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=tls, ssl_handshake_timeout=seconds
            )
        except (OSError, ssl.SSLError, TimeoutError):  # no handshake, or gone before it
            accepted.close()
        finally:
            if not connection.was_open:
                self._room.release()

    def opened(self, connection: Connection) -> None:
        """See `Hub`."""
        self._connections.add(connection)
        if self.stopping:
            connection.stop()

    def closed(self, connection: Connection) -> None:
        """See `Hub`."""
        self._connections.discard(connection)
        self._room.release()

    def serve(self, exchange: Exchange) -> None:
        """See `Hub`."""
        app = self._app
        if app is None:
            raise RuntimeError("the server was not started")
        exchange.task = self._loop.create_task(app(exchange))

    def _sweep(self) -> None:
        """Look at all deadlines now and then: a timer for each would cost every request."""
        self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)  # first: a fault must not end it
        self.date_line = f"date: {formatdate(time.time(), usegmt=True)}"
        now = self._loop.time()
        for connection in [one for one in self._connections if one.deadline < now]:
            connection.expire()


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ValueError("TLS needs both a certificate and its key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"the TLS certificate and key can't be used: {error}") from error
    return context


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def _listen(host: str, port: int, limits: Limits) -> socket.socket:
    """Bind and listen. What is set here holds for the connections too: Linux copies it on accept."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A reader that takes nothing for this long is cut off; nothing above TCP times an answer's bytes.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.body_seconds * 1_000)
        listener.bind(address)
        listener.listen(max(limits.connections, 128))
        listener.setblocking(False)  # noqa: FBT003 - the call has no keyword
    except BaseException:
        listener.close()
        raise
    return listener
