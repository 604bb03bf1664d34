"""Keys and workspaces. A secret is in the answer that made it, and in no other."""

from indelible.http import render, wire
from indelible.http.calls import CHANGE_CODES, answer_json, read_json
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Request
from indelible.http.table import JSON, Body, Reply, Route


async def create_key(request: Request, services: ServicesPort) -> Answer:
    """POST /keys."""
    wanted = read_json(request, wire.KeyIn)
    info, secret = await services.keys.create(
        request.caller,
        label=wanted.label,
        scopes=wanted.scopes,
        logs=wanted.logs,
        views=wanted.views,
        not_before=wanted.not_before,
        expires=wanted.expires,
        preset=wanted.preset,
        workspace=wanted.workspace,
    )
    return _once(answer_json(render.key(info, secret), 201))


async def list_keys(request: Request, services: ServicesPort) -> Answer:
    """GET /keys."""
    return answer_json(wire.KeysOut([render.key(info) for info in await services.keys.list(request.caller)]))


async def revoke_key(request: Request, services: ServicesPort) -> Answer:
    """DELETE /keys/{id}."""
    return answer_json(render.key(await services.keys.revoke(request.caller, request.path[0])))


async def create_workspace(request: Request, services: ServicesPort) -> Answer:
    """POST /workspaces."""
    wanted = read_json(request, wire.WorkspaceIn)
    info, key, secret = await services.workspaces.create(request.caller, wanted.name)
    return _once(answer_json(render.workspace(info, render.key(key, secret)), 201))


async def list_workspaces(request: Request, services: ServicesPort) -> Answer:
    """GET /workspaces."""
    found = await services.workspaces.list(request.caller)
    return answer_json(wire.WorkspacesOut([render.workspace(info) for info in found]))


def _once(answer: Answer) -> Answer:
    """Keep an answer that holds a secret out of every cache."""
    return answer._replace(headers=[*answer.headers, ("cache-control", "no-store")])


_LOOK_CODES = ("unknown_parameter", "not_acceptable")
_MAKE_CODES = (
    "malformed_json",
    "invalid_name",
    "invalid_parameter",
    "unknown_parameter",
    "not_found",
    "too_large",
    "unsupported_media_type",
    "limit_reached",
    "request_timeout",
    *CHANGE_CODES,
)

ROUTES = (
    Route(
        "POST",
        "/keys",
        "createKey",
        "Make a key, which can do no more than the key that makes it",
        create_key,
        (Reply(201, "The key and its secret", {JSON: wire.KeyOut}, ("Cache-Control",)),),
        "Keys",
        body=Body(lambda limits: limits.request_body_bytes, {JSON: wire.KeyIn}),
        codes=_MAKE_CODES,
    ),
    Route(
        "GET",
        "/keys",
        "listKeys",
        "List the keys of the workspace, without secrets",
        list_keys,
        (Reply(200, "The keys", {JSON: wire.KeysOut}),),
        "Keys",
        codes=_LOOK_CODES,
        produces=(JSON,),
    ),
    Route(
        "DELETE",
        "/keys/{id}",
        "revokeKey",
        "Revoke a key, from the next request on",
        revoke_key,
        (Reply(200, "The revoked key", {JSON: wire.KeyOut}),),
        "Keys",
        codes=tuple(code for code in _MAKE_CODES if code not in {"malformed_json", "too_large"}),
    ),
    Route(
        "POST",
        "/workspaces",
        "createWorkspace",
        "Make a workspace and its first key (root only)",
        create_workspace,
        (
            Reply(
                201,
                "The workspace, its key and that key's secret",
                {JSON: wire.WorkspaceOut},
                ("Cache-Control",),
            ),
        ),
        "Workspaces",
        body=Body(lambda limits: limits.request_body_bytes, {JSON: wire.WorkspaceIn}),
        codes=("name_taken", *_MAKE_CODES),
    ),
    Route(
        "GET",
        "/workspaces",
        "listWorkspaces",
        "List workspaces (root only)",
        list_workspaces,
        (Reply(200, "The workspaces", {JSON: wire.WorkspacesOut}),),
        "Workspaces",
        codes=_LOOK_CODES,
        produces=(JSON,),
    ),
)
