"""A witness over HTTP: two calls of the specification, and two for whoever watches the process."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from indelible import telemetry
from indelible.http import body as bodies
from indelible.http.exchange import Exchange
from indelible.http.guards import is_direct_from_loopback
from indelible.http.request import Headers
from indelible.http.server import HttpServer, Listening
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.notes.addcheckpoint import PATH
from indelible.notes.keys import Verifier
from indelible.witness.directory import WitnessDirectory
from indelible.witness.service import TEXT, Reply, WitnessService

_OWNER = 0  # all bodies count against one budget: nobody has an account here
_HASH_CHARACTERS = 64


class WitnessSettings(NamedTuple):
    """How to serve a witness."""

    data: Path
    name: str | None
    logs: Sequence[Verifier]
    host: str
    port: int
    tls_cert: Path | None
    tls_key: Path | None
    limits: Limits


class WitnessApp:
    """Answers requests; see `http.server.App`."""

    def __init__(self, service: WitnessService, limits: Limits) -> None:
        self.listening: Listening | None = None
        self._service = service
        self._limits = limits
        self._rules = bodies.Rules(limits, bodies.BodyBudget(limits))

    def stop_waiting(self) -> None:
        """See `http.server.App`: nothing here only waits."""

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. It never raises but for cancellation."""
        try:
            reply = await self._reply(exchange)
        except Problem as problem:
            reply = Reply(problem.code.status, TEXT, f"{problem.detail}\n".encode())
        except Exception:  # noqa: BLE001 - the outermost edge: logged with its traceback, answered as 500
            structlog.get_logger().exception("request_failed")
            reply = Reply(500, TEXT, b"The witness failed inside; its log says more.\n")
        headers: Headers = [
            ("content-type", reply.kind),
            ("server", "indelible"),
            ("cache-control", "no-store"),
        ]
        exchange.respond(reply.status, headers, reply.body)

    async def _reply(self, exchange: Exchange) -> Reply:
        if exchange.fault is not None:
            raise exchange.fault
        path = exchange.path
        if path == PATH:
            if exchange.method != "POST":
                return Reply(405, TEXT, b"Use POST.\n")
            return await self._service.add(await self._body(exchange))
        if exchange.method not in {"GET", "HEAD"}:
            return Reply(404, TEXT, b"There is no such path.\n")
        if path == "/healthz":
            broken = self._service.broken is not None
            return Reply(503, TEXT, b"stable storage failed\n") if broken else Reply(200, TEXT, b"ok\n")
        if path == "/metrics" and is_direct_from_loopback(exchange, exchange.headers):
            return Reply(200, telemetry.METRICS_CONTENT_TYPE, telemetry.render_metrics())
        found = await self._checkpoint(path)
        return Reply(404, TEXT, b"There is no such path.\n") if found is None else Reply(200, TEXT, found)

    async def _body(self, exchange: Exchange) -> bytes:
        limit = self._limits.witness_request_bytes
        length = bodies.check_headers(exchange.headers, limit)
        return await bodies.read_body(exchange, length, limit, _OWNER, self._rules)

    async def _checkpoint(self, path: str) -> bytes | None:
        """GET /<hash of the origin>/checkpoint, which monitors compare with what a log shows them."""
        origin_hash, slash, rest = path.removeprefix("/").partition("/")
        hexadecimal = len(origin_hash) == _HASH_CHARACTERS and set(origin_hash) <= set("0123456789abcdef")
        if not slash or rest != "checkpoint" or not hexadecimal:
            return None
        return await asyncio.to_thread(self._service.newest, origin_hash)


async def serve_witness(
    settings: WitnessSettings, announce: Callable[[Listening, WitnessDirectory], None]
) -> int:
    """Serve until SIGTERM or SIGINT, and return an exit code; `announce` is called once the port answers.

    Raises:
        StoreRefused: the directory cannot be used.
        OSError, ValueError: the address, or the TLS files, cannot be used.
    """
    directory = WitnessDirectory(settings.data, settings.name)
    directory.lock()
    directory.logs()  # a line that cannot be read stops the start, not a later request
    service = WitnessService(directory, settings.logs, lambda: int(time.time()))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = HttpServer()
    listening = await server.start(
        WitnessApp(service, settings.limits),
        host=settings.host,
        port=settings.port,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        limits=settings.limits,
    )
    announce(listening, directory)
    await stop.wait()
    await server.stop(settings.limits.stop_seconds)
    return 0
