"""The server: granian's RSGI worker on our event loop and on a socket of ours.

granian gives the HTTP/1.1 connection (hyper, on a thread of its own) and hands each request to the loop.
What it limits and what it does not was tried with real connections; docs/http.md has the list and
docs/adr/0003-http-on-rsgi.md the reasons. In short: it limits headers in size and time, and the number of
connections; bodies, streams and stalled readers are limited here and in `body.py` and `stream.py`.
"""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from indelible.model.limits import DEFAULT_LIMITS, Limits

_FILES_PER_CONNECTION = 4  # its socket, and a pipe with three ends while it streams
_FILES_ELSEWHERE = 512
_HYPER_SMALLEST_BUFFER = 8_192
_LOGGING = {"handlers": {}, "loggers": {"_granian": {"handlers": [], "propagate": True}}}


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


class RsgiApp(Protocol):
    """What the server calls for each request."""

    listening: Listening | None  # where requests reach it, set before the first one does

    def stop_waiting(self) -> None:
        """End what only waits."""

    async def __rsgi__(self, scope: Any, transport: Any) -> None:
        """Answer one request."""


class HttpServer:
    """One HTTP/1.1 server on the running event loop. Start it once, stop it once."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._app: RsgiApp | None = None

    async def start(
        self,
        app: RsgiApp,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Listening:
        """Bind, serve, and return where: `port` 0 picks a free one.

        Connections queue in the kernel from the moment this returns, so the caller may announce the port.

        Raises:
            OSError: the address is taken or not ours.
            ValueError: one TLS file without the other, or files that do not make a certificate and its key.
        """
        tls = _check_tls(tls_cert, tls_key)
        _allow_open_files(limits.connections * _FILES_PER_CONNECTION + _FILES_ELSEWHERE)
        listener = _listen(host, port, limits)
        address = listener.getsockname()
        app.listening = Listening(address[0], address[1], "https" if tls else "http")
        self._app = app
        self._server = _SocketServer(listener, app, limits, tls)
        self._serving = asyncio.create_task(self._server.serve(), name="http-server")
        return app.listening

    async def wait(self) -> None:
        """Return when the server has ended, whether asked to or not."""
        if self._serving is not None:
            await asyncio.wait({self._serving})

    async def stop(self, grace_seconds: float) -> bool:
        """Accept no more, finish what was accepted, and return True, or False when the grace ran out.

        Idle connections close at once. Calling it again is harmless.
        """
        if self._server is None or self._serving is None or self._app is None:
            return True
        self._app.stop_waiting()
        self._server.stop()  # type: ignore[no-untyped-call]  # granian has few types
        done, _ = await asyncio.wait({self._serving}, timeout=grace_seconds)
        if done:
            return True
        structlog.get_logger().warning("http_stop_cut_short", grace_seconds=grace_seconds)
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        return False


class _SocketServer(Server):
    """granian's embedded server on a socket that we made.

    Its own would set SO_REUSEPORT: a second server on the same port would then quietly take half of the
    requests, where it must fail.
    """

    def __init__(
        self, listener: socket.socket, app: RsgiApp, limits: Limits, tls: tuple[Path, Path] | None
    ) -> None:
        self._listener = listener
        host, port = listener.getsockname()[:2]
        super().__init__(
            app,
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            # HTTP/1 only: in automatic mode nothing times a connection that never says which HTTP it speaks.
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=limits.header_seconds * 1_000,
                max_buffer_size=max(limits.header_bytes, _HYPER_SMALLEST_BUFFER),
            ),
            websockets=False,
            backlog=max(limits.connections, 128),
            backpressure=limits.connections,
            log_level=LogLevels.error,
            log_dictconfig=_LOGGING,
            ssl_cert=tls[0] if tls else None,
            ssl_key=tls[1] if tls else None,
            ssl_protocol_min=SSLProtocols.tls12,
        )

    def _init_shared_socket(self) -> None:
        descriptor = self._listener.detach()  # the worker closes it
        holder = SocketHolder(descriptor, False, self.backlog)  # type: ignore[call-arg]  # noqa: FBT003 - its stub has no constructor; the flag says that it is no unix socket
        self._ssp, self._shd = None, holder  # type: ignore[assignment]  # granian has few types


def _check_tls(cert: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ValueError("TLS needs both a certificate and its key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"the TLS certificate and key can't be used: {error}") from error
    return cert, key


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
        os.set_inheritable(listener.fileno(), False)  # noqa: FBT003 - the call has no keyword
    except BaseException:
        listener.close()
        raise
    return listener
