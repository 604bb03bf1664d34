"""OpenAPI 3.1 from the table of routes and the wire types: what is served and what is described are one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

import indelible
from indelible.http import wire
from indelible.http.errors import PROBLEM_TYPE
from indelible.http.params import Param
from indelible.http.table import COMMON, Body, Reply, Route
from indelible.model.errors import CODES
from indelible.model.limits import Limits

_NAME_IN_PATH = re.compile(r"\{(\w+)(\.\.\.)?\}")
_REF = "#/components/schemas/{name}"
_WITHOUT_KEY = ("malformed", "unknown_parameter", "internal", "stopping")
_PATH_NAMES = {
    "log": "The log's id or its name.",
    "name": "The view's name.",
    "sequence": "The event's sequence.",
    "path": "The tile's name; it has slashes, which are sent as they are.",
    "sha256": "The component's SHA-256 in hex.",
    "id": "The key's id.",
}
_REQUEST_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "Idempotency-Key": {
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "The same key and bytes again give the first answer again.",
    },
    "Expected-Sequence": {
        "schema": {"type": "integer", "format": "int64", "minimum": 0},
        "description": "Append only while this is the log's last sequence.",
    },
    "Prefer": {
        "schema": {"type": "string"},
        "description": "`return=proof` adds a tlog-proof against this commit's signed head.",
    },
    "If-None-Match": {"schema": {"type": "string"}, "description": "The ETag of what is already there."},
}
_ANSWER_HEADERS: Mapping[str, str] = {
    "Idempotent-Replayed": "`true` when this is the answer that was given before.",
    "Preference-Applied": "What of `Prefer` was followed.",
    "Indelible-Sequence": "The last event that the answer covers.",
    "Indelible-View": "The view's name, version and SHA-256.",
    "Indelible-Next": "The value of `cursor` for the rows that did not fit into this CSV.",
    "Cache-Control": "How long this may be kept.",
    "Content-Disposition": "A name for the file.",
    "ETag": "The entity's tag.",
    "Access-Control-Allow-Origin": "`*`: pages of any origin may read what is public.",
}


def build_openapi(routes: Sequence[Route], limits: Limits) -> dict[str, Any]:
    """Return the document as plain data."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _NAME_IN_PATH.sub(r"{\1}", route.template)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Indelible",
            "version": indelible.__version__,
            "description": "An append-only, tamper-evident event log with views in WebAssembly.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def codes_of(route: Route) -> tuple[str, ...]:
    """Return every code that a route can refuse with, in the order of the table of codes."""
    named = {*route.codes, *(COMMON if route.needs_key else _WITHOUT_KEY), "foreign_origin"}
    if not route.open_params:
        named.add("unknown_parameter")
    return tuple(code for code in CODES if code in named)


def _schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components((*wire.REQUESTS, *wire.ANSWERS), ref_template=_REF)
    problem = schemas["ProblemOut"]
    problem["properties"]["code"] = {"type": "string", "enum": list(CODES)}
    problem["properties"]["effect"] = {"type": "string", "enum": ["none", "done", "unknown"]}
    schemas["EventOut"]["properties"]["payload"] = {"description": "The event's JSON, whatever it is."}
    schemas["DeployIn"]["properties"]["config"] = {"description": "The view's configuration.", "default": {}}
    says = "The view's configuration: JSON, or a string of the text where it is none."
    schemas["VersionOut"]["properties"]["config"] = {"description": says}
    return dict(schemas)


def _operation(route: Route, limits: Limits) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [
            *_path_parameters(route),
            *map(_query_parameter, route.params),
            *_header_parameters(route),
        ],
        "responses": _responses(route),
        "security": _security(route),
    }
    if route.open_params:
        operation["parameters"].append(
            {
                "name": "params",
                "in": "query",
                "style": "form",
                "explode": True,
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                "description": "What the view takes, and what the host keeps: see `docs/http.md`.",
            }
        )
    if route.body is not None:
        operation["requestBody"] = _body(route.body, limits)
    return operation


def _security(route: Route) -> list[dict[str, Any]]:
    if not route.needs_key:
        return []
    return [{"key": []}, {}] if route.public else [{"key": []}]


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name, _ in _NAME_IN_PATH.findall(route.template):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "description": _PATH_NAMES[name],
        }


def _query_parameter(param: Param) -> dict[str, Any]:
    schema = dict(param.schema)
    if param.default is not None:
        schema["default"] = param.default
    described = {"name": param.name, "in": "query", "schema": schema, "description": param.description}
    return {**described, "required": True} if param.required else described


def _header_parameters(route: Route) -> Iterable[dict[str, Any]]:
    return ({"name": name, "in": "header", **_REQUEST_HEADERS[name]} for name in route.headers)


def _body(body: Body, limits: Limits) -> dict[str, Any]:
    limit = f"At most {body.limit(limits):,} bytes."
    return {
        "required": body.required,
        "description": f"{body.description} {limit}".strip(),
        "content": _content(body.content),
    }


def _content(content: Mapping[str, type[msgspec.Struct] | None]) -> dict[str, Any]:
    return {
        media: {} if kind is None else {"schema": {"$ref": _REF.format(name=kind.__name__)}}
        for media, kind in content.items()
    }


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {str(reply.status): _reply(reply) for reply in route.replies}
    refused: dict[int, list[str]] = {}
    for code in codes_of(route):
        refused.setdefault(CODES[code].status, []).append(code)
    for status, codes in refused.items():
        said = responses.get(str(status))
        refusal = _refusal(codes)
        if said is not None:  # a status that is also an answer, such as 503 of /readyz
            said["content"].update(refusal["content"])
            continue
        responses[str(status)] = refusal
    return dict(sorted(responses.items()))


def _reply(reply: Reply) -> dict[str, Any]:
    described: dict[str, Any] = {"description": reply.description}
    if reply.content:
        described["content"] = _content(reply.content)
    if reply.headers:
        described["headers"] = {
            name: {"description": _ANSWER_HEADERS[name], "schema": {"type": "string"}}
            for name in reply.headers
        }
    return described


def _refusal(codes: Sequence[str]) -> dict[str, Any]:
    return {
        "description": "; ".join(f"`{code}`: {CODES[code].title}" for code in codes),
        "content": {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(name="ProblemOut")}}},
        "x-codes": list(codes),
    }
