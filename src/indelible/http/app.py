"""The application: finds a request's route, reads what it needs, calls it, and sends what comes back."""

import asyncio
import itertools
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import structlog

from indelible import telemetry
from indelible.http import body as bodies
from indelible.http.calls.system import Documents
from indelible.http.errors import internal, problem_answer, problem_line
from indelible.http.exchange import Exchange
from indelible.http.guards import check_local, is_loopback
from indelible.http.negotiate import choose_type
from indelible.http.openapi import build_openapi
from indelible.http.pages import build_pages
from indelible.http.params import read_params
from indelible.http.ports import ServicesPort
from indelible.http.request import ANY_ORIGIN, Answer, Headers, Request, Stream
from indelible.http.routes import all_routes
from indelible.http.server import Listening
from indelible.http.table import Route, Tree
from indelible.log.publish import unreachable
from indelible.log.refusal import unavailable
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS, KIB, Limits
from indelible.store.base import StoreUnavailable
from indelible.store.objects import ObjectsUnreachable

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z", re.ASCII)
_GONE = 499  # in the metrics only: the client left before it was answered
_UNROUTED = "none"
_PIECE_BYTES = 128 * KIB
_ALWAYS: Headers = [("server", "indelible"), ("x-content-type-options", "nosniff")]
_T = TypeVar("_T")


class HttpApp:
    """Serves the contract over `services`. One for each server; safe for requests at the same time."""

    def __init__(
        self,
        services: ServicesPort,
        *,
        limits: Limits = DEFAULT_LIMITS,
        no_auth: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        """Build the routes. With `no_auth` only this machine is served, and no web page but ours.

        Raises:
            ValueError: `no_auth` on a host that others can reach.
        """
        if no_auth and not is_loopback(host):
            raise ValueError(f"without keys only a loopback address can be served, not {host}")
        self.routes = all_routes(self._documents)
        self._services = services
        self._limits = limits
        self._no_auth = no_auth
        self.listening: Listening | None = None
        self._tree = Tree(self.routes)
        self._rules = bodies.Rules(limits, bodies.BodyBudget(limits))
        self._written: Documents | None = None
        self._stopping = asyncio.Event()
        self._id_prefix = os.urandom(4).hex()
        self._numbers = itertools.count(1)

    def stop_waiting(self) -> None:
        """End what only waits (long polls), since the server is to stop."""
        self._stopping.set()

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request. It never raises but for cancellation."""
        started = time.perf_counter()
        request_id = self._request_id(exchange.headers.get("x-request-id"))
        telemetry.request_id.set(request_id)
        name = _UNROUTED
        answer: Answer | Stream | None
        request = Request(exchange, exchange.headers)
        try:
            route = self._find(exchange, request)
            name = route.name
            answer = await self._answer(route, exchange, request)
        except Problem as problem:
            answer = _refuse(problem, request_id)
            if request.shared:
                answer.headers.append(ANY_ORIGIN)
        except ObjectsUnreachable as error:
            structlog.get_logger().warning("objects_unreachable", route=name, found=str(error))
            answer = _refuse(unreachable(error), request_id)
        except StoreUnavailable as error:
            answer = _refuse(unavailable(error), request_id)
        except Exception:  # noqa: BLE001 - the outermost edge: logged with its traceback, answered as `internal`
            structlog.get_logger().exception("request_failed", route=name)
            answer = _refuse(internal(request_id), request_id)
        try:
            if answer is None:
                exchange.abandon()
            else:
                await self._send(exchange, answer, request_id)
        except Exception:  # noqa: BLE001 - the same; the client sees that its answer has no end
            structlog.get_logger().exception("answer_failed", route=name)
            exchange.abandon()
        status = _GONE if answer is None else answer.status
        telemetry.requests.note(name, status, time.perf_counter() - started)

    def _find(self, exchange: Exchange, request: Request) -> Route:
        if exchange.fault is not None:
            raise exchange.fault
        if self._no_auth:
            check_local(exchange, request.headers, self.listening.port if self.listening else 0)
        routes, request.path = self._tree.find(exchange.path)
        route = routes.get(exchange.method)
        if route is None and exchange.method == "HEAD":
            route = routes.get("GET")
        if route is not None:
            return route
        if not routes:
            raise Problem("not_found", "there is no such path; /docs lists them")
        allow = sorted({*routes, "HEAD"} if "GET" in routes else routes)
        raise Problem("method_not_allowed", f"use {' or '.join(allow)}", allow=", ".join(allow))

    async def _answer(self, route: Route, exchange: Exchange, request: Request) -> Answer | Stream | None:
        """Read what the route needs, in an order that costs least where it ends early; then call it."""
        if self._services.arrivals is not None and (route.public or route.needs_key):
            await self._services.arrivals.arrive()
        if route.public:
            request.shared = self._services.access.public(request.path[0]) is not None
        if route.needs_key and not (request.shared and "authorization" not in request.headers):
            request.caller = self._services.access.authenticate(request.headers.get("authorization"))
        query_string = exchange.query_string
        if route.open_params:
            request.query_string = query_string
        elif query_string or route.params:
            request.params = read_params(query_string, route.params)
        if route.produces:
            choose_type(request.headers.get("accept"), route.produces)
        if route.body is not None:
            limit = route.body.limit(self._limits)
            length = bodies.check_headers(request.headers, limit)
            if exchange.complete and length is not None and length <= bodies.UNCOUNTED_BYTES:
                request.body = exchange.take()
            else:
                workspace = request.caller.workspace
                request.body = await bodies.read_body(exchange, length, limit, workspace, self._rules)
        work = route.handler(request, self._services)
        if route.wait_param is not None and request.params[route.wait_param]:
            return await self._while_wanted(work, exchange)
        return await work

    async def _while_wanted(self, work: Awaitable[_T], exchange: Exchange) -> _T | None:
        """Await `work` while the client is there (None when it has gone) and the server does not stop."""
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(exchange.gone())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, gone, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if gone.done():
                return None
            raise Problem("stopping", "the server is stopping; ask again", retry_after=1)
        finally:
            for one in (task, gone, stopping):
                one.cancel()

    async def _send(self, exchange: Exchange, answer: Answer | Stream, request_id: str) -> None:
        headers: Headers = [*answer.headers, *_ALWAYS, ("x-request-id", request_id)]
        if isinstance(answer, Stream):
            pieces = answer.pieces if answer.breaks else _visibly(answer.pieces, request_id)
            await exchange.stream(answer.status, headers, pieces)
        elif len(answer.body) > _PIECE_BYTES:
            await exchange.stream(answer.status, headers, _cut(answer.body), len(answer.body))
        else:
            exchange.respond(answer.status, headers, answer.body)

    def _documents(self) -> Documents:
        if self._written is None:
            openapi = build_openapi(self.routes, self._limits)
            self._written = build_pages(openapi, self._limits)
        return self._written

    def _request_id(self, given: str | None) -> str:
        if given is not None and _SANE_ID.match(given):
            return given
        return f"{self._id_prefix}-{next(self._numbers):x}"


def _refuse(problem: Problem, request_id: str) -> Answer:
    telemetry.refusals_total.labels(problem.code.name).inc()
    return problem_answer(problem, request_id)


async def _cut(body: bytes) -> AsyncIterator[memoryview]:
    """Give a large answer in pieces: others have their turn, and it is not encrypted before it is wanted."""
    view = memoryview(body)
    for at in range(0, len(body), _PIECE_BYTES):
        yield view[at : at + _PIECE_BYTES]


async def _visibly(pieces: AsyncIterator[bytes], request_id: str) -> AsyncIterator[bytes]:
    """Give the pieces; when they break off, a last line says so, since the status was sent long ago."""
    try:
        async for piece in pieces:
            yield piece
    except Problem as problem:
        telemetry.refusals_total.labels(problem.code.name).inc()
        yield problem_line(problem, request_id)
    except Exception:  # noqa: BLE001 - the outermost edge of a stream: logged, and said in its last line
        structlog.get_logger().exception("stream_failed")
        yield problem_line(internal(request_id), request_id)
