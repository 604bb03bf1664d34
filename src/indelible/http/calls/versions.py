"""Versions of a view: which there were, and going back to one."""

from indelible.http import render, wire
from indelible.http.calls import CHANGE_CODES, answer_json, read_json
from indelible.http.params import integer
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Request
from indelible.http.table import JSON, Body, Reply, Route
from indelible.http.wire_versions import RollbackIn, VersionsOut

_CODES = ("not_found", "unknown_parameter")


async def list_versions(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/views/{name}/versions."""
    log, name = request.path
    page = await services.views.history(
        request.caller, log, name, before=request.params["before"], limit=request.params["limit"]
    )
    return answer_json(render.versions(page))


async def rollback(request: Request, services: ServicesPort) -> Answer:
    """POST /logs/{log}/views/{name}/rollback."""
    log, name = request.path
    wanted = read_json(request, RollbackIn).version if request.body else None
    return answer_json(render.view(await services.views.rollback(request.caller, log, name, wanted)))


ROUTES = (
    Route(
        "GET",
        "/logs/{log}/views/{name}/versions",
        "listViewVersions",
        "List the versions that a view has had, the newest first",
        list_versions,
        (Reply(200, "The versions", {JSON: VersionsOut}),),
        "Views",
        params=(
            integer("before", "Only versions below this one: `next` of the page before.", least=1),
            integer(
                "limit",
                "At most so many; a page also ends at 100, and at 8 MiB of configurations.",
                least=1,
                default=100,
            ),
        ),
        codes=(*_CODES, "store_failed", "invalid_parameter", "repeated_parameter", "not_acceptable"),
        produces=(JSON,),
    ),
    Route(
        "POST",
        "/logs/{log}/views/{name}/rollback",
        "rollBackView",
        "Let another version of a view answer at once: the one before, or one that is named",
        rollback,
        (Reply(200, "The view, with the version that answers now", {JSON: wire.ViewOut}),),
        "Views",
        body=Body(lambda limits: limits.request_body_bytes, {JSON: RollbackIn}, required=False),
        codes=(
            *_CODES,
            "malformed_json",
            "too_large",
            "unsupported_media_type",
            "request_timeout",
            *CHANGE_CODES,
        ),
    ),
)
