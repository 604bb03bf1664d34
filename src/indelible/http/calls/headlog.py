"""The deployment's log of heads: public, since it says nothing about anybody, and a log's own line in it."""

from indelible.http import render, wire
from indelible.http.calls import answer_json
from indelible.http.calls.proofs import FOR_EVER, FRESH, cached
from indelible.http.params import integer
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Request
from indelible.http.table import BYTES, JSON, TEXT, Reply, Route


async def checkpoint(request: Request, services: ServicesPort) -> Answer:
    """GET /deployment/checkpoint."""
    request.shared = True
    return cached(request, await services.headlog.checkpoint(), "text/plain; charset=utf-8", FRESH)


async def tile(request: Request, services: ServicesPort) -> Answer:
    """GET /deployment/tile/{path}."""
    request.shared = True
    return cached(request, await services.headlog.tile(request.path[0]), BYTES, FOR_EVER)


async def keys(request: Request, services: ServicesPort) -> Answer:
    """GET /deployment/keys."""
    request.shared = True
    found = await services.headlog.keys()
    return cached(request, wire.encode(wire.LogKeysOut([render.log_key(key) for key in found])), JSON, FRESH)


async def proof(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/proof/deployment."""
    found = await services.headlog.proof(request.caller, request.path[0], request.params["min_size"] or 0)
    return answer_json(wire.HeadProofOut(found.event.decode(), found.size, found.proof.decode()))


_CACHED = ("ETag", "Cache-Control", "Access-Control-Allow-Origin")
_UNCHANGED = Reply(304, "What `If-None-Match` names is still right", {}, _CACHED)
_LATER = (
    "read_only",
    "clock_unsure",
    "not_witnessed_yet",
    "saturated",
    "store_failed",
    "store_unavailable",
    "disk_full",
)
_CODES = ("malformed", "internal", "stopping", "unknown_parameter", "not_acceptable", *_LATER)
_BEHIND = "log_behind_published_head"

ROUTES = (
    Route(
        "GET",
        "/deployment/checkpoint",
        "getDeploymentCheckpoint",
        "Get the latest checkpoint of the deployment's log of heads",
        checkpoint,
        (Reply(200, "The signed note, with cosignatures of witnesses", {TEXT: None}, _CACHED), _UNCHANGED),
        "Proofs",
        headers=("If-None-Match",),
        codes=(*_CODES, _BEHIND),
        needs_key=False,
        produces=(TEXT,),
    ),
    Route(
        "GET",
        "/deployment/tile/{path...}",
        "getDeploymentTile",
        "Get a tile of hashes or of entries of the deployment's log of heads",
        tile,
        (Reply(200, "The tile", {BYTES: None}, _CACHED), _UNCHANGED),
        "Proofs",
        headers=("If-None-Match",),
        codes=(*_CODES, _BEHIND, "not_found"),
        needs_key=False,
        produces=(BYTES,),
    ),
    Route(
        "GET",
        "/deployment/keys",
        "getDeploymentKeys",
        "Get the keys that sign the heads of the deployment's log of heads",
        keys,
        (Reply(200, "The keys", {JSON: wire.LogKeysOut}, _CACHED), _UNCHANGED),
        "Proofs",
        headers=("If-None-Match",),
        codes=(*_CODES, _BEHIND),
        needs_key=False,
        produces=(JSON,),
    ),
    Route(
        "GET",
        "/logs/{log}/proof/deployment",
        "proveHeadInDeployment",
        "Prove that a head of this log stands in the deployment's log of heads",
        proof,
        (Reply(200, "The newest one that is listed, with its proof", {JSON: wire.HeadProofOut}),),
        "Proofs",
        params=(integer("min_size", "A head of at least so many events, listed now if need be."),),
        codes=(
            "not_found",
            "invalid_parameter",
            "unknown_parameter",
            "repeated_parameter",
            "not_acceptable",
            "beyond_head",
            _BEHIND,
            *_LATER,
        ),
        produces=(JSON,),
    ),
)
