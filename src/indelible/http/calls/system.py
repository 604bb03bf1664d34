"""What is asked by monitors and by people who look around. None of it needs a key."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from indelible.http import wire
from indelible.http.calls import answer_json
from indelible.http.guards import is_direct_from_loopback
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Headers, Request
from indelible.http.table import HTML, JSON, TEXT, Handler, Reply, Route
from indelible.model.errors import Problem
from indelible.telemetry import METRICS_CONTENT_TYPE


class Page(NamedTuple):
    """A page for people."""

    body: bytes
    policy: str  # its Content-Security-Policy


class Documents(NamedTuple):
    """What is written once, from the table of routes, and the page that verifies."""

    openapi: bytes
    docs: Page
    landing: Page
    verify: Page


async def healthz(_request: Request, services: ServicesPort) -> Answer:
    """GET /healthz."""
    healthy = services.status.healthy()
    return answer_json(wire.HealthOut(healthy), 200 if healthy else 503)


async def readyz(_request: Request, services: ServicesPort) -> Answer:
    """GET /readyz."""
    found = services.status.ready()
    return answer_json(wire.ReadyOut(found.ready, dict(found.details)), 200 if found.ready else 503)


async def metrics(request: Request, services: ServicesPort) -> Answer:
    """GET /metrics: for root, and for whoever asks on this machine without a proxy in between."""
    authorization = request.header("authorization")
    if authorization is not None:
        if not services.access.authenticate(authorization).is_root:
            raise Problem("forbidden", "metrics are for the root key")
    elif not is_direct_from_loopback(request.peer, request.headers):
        raise Problem("unauthenticated", "send the root key, or ask from the server's own machine")
    text = await asyncio.to_thread(services.status.metrics)  # a thousand views take a tenth of a second
    return Answer(200, [("content-type", METRICS_CONTENT_TYPE)], text)


def routes(documents: Callable[[], Documents]) -> tuple[Route, ...]:
    """Return the routes of this part; `documents` is called when one is asked for."""

    async def openapi(_request: Request, _services: ServicesPort) -> Answer:
        headers: Headers = [("content-type", JSON), ("cache-control", "no-cache")]
        return Answer(200, headers, documents().openapi)

    async def docs(_request: Request, _services: ServicesPort) -> Answer:
        return _page(documents().docs)

    async def landing(_request: Request, _services: ServicesPort) -> Answer:
        return _page(documents().landing)

    async def verify(_request: Request, _services: ServicesPort) -> Answer:
        return _page(documents().verify)

    return (*_monitoring(), *_described(openapi, docs, landing, verify))


def _monitoring() -> tuple[Route, ...]:
    health = {JSON: wire.HealthOut}
    readiness = {JSON: wire.ReadyOut}
    return (
        _system(
            "/healthz",
            "getHealth",
            "Say whether the process works",
            healthz,
            (Reply(200, "It does", health), Reply(503, "It does not", health)),
        ),
        _system(
            "/readyz",
            "getReadiness",
            "Say whether requests can be served",
            readyz,
            (Reply(200, "They can", readiness), Reply(503, "Not now", readiness)),
        ),
        _system(
            "/metrics",
            "getMetrics",
            "Get metrics for Prometheus: with the root key, or from the server's own machine",
            metrics,
            (Reply(200, "The metrics", {TEXT: None}),),
        )._replace(codes=("unauthenticated", "forbidden")),
    )


def _described(openapi: Handler, docs: Handler, landing: Handler, verify: Handler) -> tuple[Route, ...]:
    page = (Reply(200, "The page", {HTML: None}),)
    document = (Reply(200, "OpenAPI 3.1", {JSON: None}),)
    return (
        _system("/openapi.json", "getOpenapi", "Get this description", openapi, document),
        _system("/docs", "getDocs", "Read this description", docs, page),
        _system(
            "/verify", "getVerifier", "Verify evidence in the browser, which needs nothing else", verify, page
        ),
        _system("/", "getLanding", "See where to go", landing, page),
    )


def _system(path: str, name: str, summary: str, handler: Handler, replies: tuple[Reply, ...]) -> Route:
    return Route("GET", path, name, summary, handler, replies, "System", needs_key=False)


def _page(page: Page) -> Answer:
    headers: Headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", page.policy),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ]
    return Answer(200, headers, page.body)
