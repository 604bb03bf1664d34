"""Reading events."""

from collections.abc import AsyncIterator

from indelible.http import render, wire
from indelible.http.calls import answer_json, path_sequence
from indelible.http.negotiate import choose_type
from indelible.http.params import choice, flag, integer, seconds, text
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Headers, Request, Stream
from indelible.http.table import BYTES, JSON, NDJSON, Reply, Route
from indelible.model.types import Event

_LONGEST_WAIT = 3_600.0  # what may be asked for; the limit of the deployment cuts it
_BYTES_HEADERS: Headers = [
    ("content-type", BYTES),
    ("content-disposition", "attachment"),
]
_STREAM_HEADERS: Headers = [
    ("content-type", NDJSON),
    ("cache-control", "no-store"),
]


async def read(request: Request, services: ServicesPort) -> Answer | Stream:
    """GET /logs/{log}/events, a page or a stream as `Accept` asks."""
    params = request.params
    log, exact = request.path[0], params["bytes"]
    if choose_type(request.headers.get("accept"), (JSON, NDJSON)) == NDJSON:
        batches = await services.events.stream(
            request.caller,
            log,
            after_sequence=params["after_sequence"],
            limit=params["limit"],
            from_=params["from"],
            to=params["to"],
            order=params["order"],
        )
        return Stream(200, _STREAM_HEADERS, _lines(batches, exact=exact))
    page = await services.events.page(
        request.caller,
        log,
        after_sequence=params["after_sequence"],
        limit=params["limit"],
        from_=params["from"],
        to=params["to"],
        order=params["order"],
        wait_seconds=params["wait"],
    )
    return answer_json(render.page(page, exact=exact))


async def _lines(batches: AsyncIterator[list[Event]], *, exact: bool) -> AsyncIterator[bytes]:
    async for batch in batches:
        yield render.lines(batch, exact=exact)


async def get(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/events/{sequence}."""
    log, sequence = request.path
    found = await services.events.get(request.caller, log, path_sequence(sequence))
    return answer_json(render.event(found, exact=request.params["bytes"]))


async def raw(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/events/{sequence}/raw: the bytes that the commitment covers."""
    log, sequence = request.path
    found = await services.events.get(request.caller, log, path_sequence(sequence))
    return Answer(200, _BYTES_HEADERS, found.payload)


_BYTES = flag("bytes", "Add `payload_base64`, the exact bytes, to every event.")

ROUTES = (
    Route(
        "GET",
        "/logs/{log}/events",
        "readEvents",
        "Read events, in pages or as one stream",
        read,
        (Reply(200, "Events", {JSON: wire.EventsOut, NDJSON: wire.EventOut}),),
        "Events",
        params=(
            integer("after_sequence", "Continue after this event, in the order asked for."),
            integer("limit", "At most so many events; a page also ends at 1,000 and at 8 MiB.", least=1),
            text("from", "Received at or after: an RFC 3339 instant."),
            text("to", "Received before: an RFC 3339 instant."),
            choice("order", "Oldest or newest first.", ("asc", "desc"), default="asc"),
            seconds("wait", "Wait so long for an event where a page would be empty.", most=_LONGEST_WAIT),
            _BYTES,
        ),
        codes=(
            "not_found",
            "invalid_parameter",
            "unknown_parameter",
            "repeated_parameter",
            "not_acceptable",
            "store_failed",
        ),
        produces=(JSON, NDJSON),
        wait_param="wait",
    ),
    Route(
        "GET",
        "/logs/{log}/events/{sequence}",
        "getEvent",
        "Get one event",
        get,
        (Reply(200, "The event", {JSON: wire.EventOut}),),
        "Events",
        params=(_BYTES,),
        codes=(
            "not_found",
            "invalid_parameter",
            "unknown_parameter",
            "repeated_parameter",
            "not_acceptable",
            "store_failed",
        ),
        produces=(JSON,),
    ),
    Route(
        "GET",
        "/logs/{log}/events/{sequence}/raw",
        "getEventBytes",
        "Get an event's exact bytes, those that its commitment covers",
        raw,
        (Reply(200, "The bytes", {BYTES: None}),),
        "Events",
        codes=("not_found", "unknown_parameter", "not_acceptable", "store_failed"),
        produces=(BYTES,),
    ),
)
