"""Views: deploying, looking at, asking and deleting them, and the components that they are made of."""

import asyncio
import re
from urllib.parse import quote

from msgspec import UNSET

from indelible.http import render, wire
from indelible.http.calls import CHANGE_CODES, JSON_HEADERS, answer_json, read_json
from indelible.http.calls.evidence import stream_of
from indelible.http.negotiate import accepts, prefers
from indelible.http.params import decode_pairs
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Headers, Request, Stream
from indelible.http.table import BYTES, JSON, WASM, Body, Reply, Route
from indelible.http.tables import CSV, CSV_CONTENT_TYPE, as_csv
from indelible.model.errors import Problem
from indelible.notes.evidence import MEDIA_TYPE as EVIDENCE
from indelible.service.types import Builtin, ComponentBytes, QueryAnswer, Source, Stored

_WASM_MAGIC = b"\0asm"
_NO_CONFIG = "{}"
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(; ?[\w-]+=[\w.+-]+)*\Z", re.ASCII)  # a guest wrote it


async def deploy(request: Request, services: ServicesPort) -> Answer:
    """POST /logs/{log}/views/{name}."""
    log, name = request.path
    info, created = await services.views.deploy(request.caller, log, name, _source(request))
    return answer_json(render.view(info), 201 if created else 200)


def _source(request: Request) -> Source:
    if request.body[: len(_WASM_MAGIC)] == _WASM_MAGIC:
        return ComponentBytes(request.body)
    wanted = read_json(request, wire.DeployIn)
    config = _NO_CONFIG if wanted.config is UNSET else bytes(wanted.config).decode()
    if wanted.builtin is not None and wanted.sha256 is None:
        return Builtin(wanted.builtin, config)
    if wanted.sha256 is not None and wanted.builtin is None:
        return Stored(wanted.sha256, config)
    raise Problem("malformed_json", "name one of builtin and sha256, or send the component's bytes")


async def list_views(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/views."""
    found = await services.views.list(request.caller, request.path[0])
    return answer_json(wire.ViewsOut([render.view(info) for info in found]))


async def get(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/views/{name}."""
    log, name = request.path
    return answer_json(render.view(await services.views.get(request.caller, log, name)))


async def delete(request: Request, services: ServicesPort) -> Answer:
    """DELETE /logs/{log}/views/{name}: the view, never the log."""
    log, name = request.path
    await services.views.delete(request.caller, log, name)
    return Answer(204, [], b"")


async def query(request: Request, services: ServicesPort) -> Answer | Stream:
    """POST or GET /logs/{log}/views/{name}/query."""
    log, name = request.path
    accept = request.headers.get("accept")
    params = decode_pairs(request.query_string)
    if prefers(accept, EVIDENCE, JSON) and not prefers(accept, CSV, EVIDENCE):
        asked = f"/logs/{quote(log, safe='')}/views/{quote(name, safe='')}/query"
        asked += f"?{request.query_string}" if request.query_string else ""
        return stream_of(
            await services.answers.export(
                request.caller, log, name, params=params, body=request.body, query=asked
            )
        )
    table = prefers(accept, CSV, JSON)
    raw = table and _take_raw(params)
    answer = await services.views.query(
        request.caller, log, name, params=params, body=request.body, accept=accept
    )
    if table and not answer.content_type.startswith(CSV):
        written = await asyncio.to_thread(as_csv, answer.body, raw=raw)
        if written is not None:
            more: Headers = [] if written.next is None else [("indelible-next", written.next)]
            return Answer(200, [*_query_headers(answer, CSV_CONTENT_TYPE), *more], written.body)
        if not accepts(accept, answer.content_type.partition(";")[0]):
            raise Problem("not_acceptable", "This is no table: ask for application/json.", offered=[JSON])
    content_type = answer.content_type if _MEDIA_TYPE.match(answer.content_type) else BYTES
    return Answer(200, _query_headers(answer, content_type), answer.body)


def _take_raw(params: list[tuple[str, str]]) -> bool:
    """Take `raw` out of the parameters of a question whose answer is to be CSV."""
    given = [value for name, value in params if name == "raw"]
    if len(given) > 1:
        raise Problem("repeated_parameter", "Give raw once.", parameter="raw")
    if given and given[0] not in ("0", "1"):
        raise Problem("invalid_parameter", "raw is 1 (cells as they are) or 0.", parameter="raw")
    params[:] = [(name, value) for name, value in params if name != "raw"]
    return given == ["1"]


def _query_headers(answer: QueryAnswer, content_type: str) -> Headers:
    return [
        ("content-type", content_type),
        ("cache-control", "no-store"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("indelible-sequence", str(answer.sequence)),
        ("indelible-view", answer.view),
    ]


async def catalogue(_request: Request, services: ServicesPort) -> Answer:
    """GET /views/catalogue."""
    return Answer(200, JSON_HEADERS, services.views.catalogue())


async def put_component(request: Request, services: ServicesPort) -> Answer:
    """PUT /components/{sha256}."""
    created = await services.views.put_component(request.caller, request.path[0], request.body)
    stored = wire.ComponentOut(request.path[0], len(request.body))
    return answer_json(stored, 201 if created else 200)


_LOOK_CODES = ("not_found", "unknown_parameter", "not_acceptable", "store_failed")
_CHANGE_CODES = ("not_found", "invalid_name", *CHANGE_CODES)
_QUERY_CODES = (
    "not_found",
    "invalid_parameter",
    "repeated_parameter",
    "ambiguous_after",
    "not_acceptable",
    "too_large",
    "unsupported_media_type",
    "beyond_head",
    "view_failed",
    "query_refused",
    "answer_too_large",
    "query_failed",
    "replaying",
    "saturated",
    "store_failed",
    "query_timeout",
    "request_timeout",
    "clock_unsure",  # with a time in `at`, which the log is told of, and with evidence, which is recorded
    "commit_unknown",
    "disk_full",
    "log_behind_published_head",
    "read_only",
)
_QUERY_REPLY = Reply(
    200,
    "The view's answer, in the type that the view says; where Accept prefers that, a table as CSV, or the "
    "answer with all that proves it as a zip (docs/views.md)",
    {"*/*": None, CSV: None, EVIDENCE: None},
    ("Indelible-Sequence", "Indelible-View", "Indelible-Next", "Cache-Control", "Content-Disposition"),
)
_QUERY_BODY = Body(lambda limits: limits.query_body_bytes, {"*/*": None}, required=False)
_VIEW = "/logs/{log}/views/{name}"

ROUTES = (
    Route(
        "POST",
        _VIEW,
        "deployView",
        "Deploy a view: the component's bytes, or the name of a built-in one or of a stored component",
        deploy,
        (
            Reply(201, "A new view, or a new version of it", {JSON: wire.ViewOut}),
            Reply(200, "The same component and configuration again", {JSON: wire.ViewOut}),
        ),
        "Views",
        body=Body(lambda limits: limits.component_bytes, {WASM: None, BYTES: None, JSON: wire.DeployIn}),
        codes=(
            "malformed_json",
            "invalid_parameter",
            "unknown_parameter",
            "too_large",
            "unsupported_media_type",
            "not_a_view",
            "limit_reached",
            "request_timeout",
            *_CHANGE_CODES,
        ),
    ),
    Route(
        "GET",
        "/logs/{log}/views",
        "listViews",
        "List the views of a log",
        list_views,
        (Reply(200, "The views", {JSON: wire.ViewsOut}),),
        "Views",
        codes=_LOOK_CODES,
        produces=(JSON,),
    ),
    Route(
        "GET",
        _VIEW,
        "getView",
        "Get a view: what answers, how far it is, and what is catching up to replace it",
        get,
        (Reply(200, "The view", {JSON: wire.ViewOut}),),
        "Views",
        codes=_LOOK_CODES,
        produces=(JSON,),
    ),
    Route(
        "DELETE",
        _VIEW,
        "deleteView",
        "Delete a view, never the log",
        delete,
        (Reply(204, "It is gone", {}),),
        "Views",
        codes=("unknown_parameter", *_CHANGE_CODES),
    ),
    Route(
        "POST",
        _VIEW + "/query",
        "queryView",
        "Ask a view",
        query,
        (_QUERY_REPLY,),
        "Views",
        open_params=True,
        body=_QUERY_BODY,
        codes=_QUERY_CODES,
    ),
    Route(
        "GET",
        _VIEW + "/query",
        "queryViewByGet",
        "Ask a view, as POST does",
        query,
        (_QUERY_REPLY,),
        "Views",
        open_params=True,
        codes=_QUERY_CODES,
    ),
    Route(
        "GET",
        "/views/catalogue",
        "listCatalogue",
        "List the views that can be deployed by name, each with its parameters and an example",
        catalogue,
        (Reply(200, "The catalogue", {JSON: wire.CatalogueOut}),),
        "Views",
        codes=("unknown_parameter", "not_acceptable"),
        produces=(JSON,),
    ),
    Route(
        "PUT",
        "/components/{sha256}",
        "putComponent",
        "Store a component, to be deployed by its digest",
        put_component,
        (
            Reply(201, "Stored", {JSON: wire.ComponentOut}),
            Reply(200, "It was there", {JSON: wire.ComponentOut}),
        ),
        "Views",
        body=Body(lambda limits: limits.component_bytes, {WASM: None, BYTES: None}),
        codes=(
            "invalid_parameter",
            "unknown_parameter",
            "too_large",
            "unsupported_media_type",
            "not_a_view",
            "store_failed",
            "saturated",
            "read_only",
            "disk_full",
            "request_timeout",
        ),
    ),
)
