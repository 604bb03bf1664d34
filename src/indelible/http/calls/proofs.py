"""Checkpoints, tiles, keys and proofs: C2SP tlog-tiles under the log's own URL, and proofs as JSON."""

from indelible.http import render, wire
from indelible.http.calls import answer_json, path_sequence
from indelible.http.negotiate import etag, matches
from indelible.http.params import integer, text
from indelible.http.ports import ServicesPort
from indelible.http.request import ANY_ORIGIN, Answer, Headers, Request
from indelible.http.table import BYTES, JSON, TEXT, Reply, Route

FRESH = "max-age=2"
FOR_EVER = "max-age=31536000, immutable"


async def checkpoint(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/checkpoint."""
    note = await services.proofs.checkpoint(request.caller, request.path[0])
    return cached(request, note, "text/plain; charset=utf-8", FRESH)


async def tile(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/tile/{path}: a partial tile has a name of its own, so each is immutable."""
    log, path = request.path
    return cached(request, await services.proofs.tile(request.caller, log, path), BYTES, FOR_EVER)


async def keys(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/keys."""
    found = await services.proofs.keys(request.caller, request.path[0])
    body = wire.encode(wire.LogKeysOut([render.log_key(key) for key in found]))
    return cached(request, body, JSON, FRESH)


async def rotate(request: Request, services: ServicesPort) -> Answer:
    """POST /logs/{log}/keys."""
    return answer_json(render.log_key(await services.rotation.rotate(request.caller, request.path[0])), 201)


async def event(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/events/{sequence}/proof: text to keep beside the event, for who trusts neither."""
    log, sequence = request.path
    proof = await services.proofs.event(request.caller, log, path_sequence(sequence))
    return Answer(200, [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")], proof)


async def inclusion(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/proof/inclusion."""
    params = request.params
    answer = await services.proofs.inclusion(
        request.caller, request.path[0], sequence=params["sequence"], size=params["size"]
    )
    return answer_json(render.inclusion(answer))


async def consistency(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/proof/consistency."""
    params = request.params
    answer = await services.proofs.consistency(
        request.caller, request.path[0], from_size=params["from"], to_size=params["to"]
    )
    return cached(request, wire.encode(render.consistency(answer)), JSON, FRESH)


async def range_proof(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}/proof/range."""
    params = request.params
    answer = await services.proofs.range(
        request.caller,
        request.path[0],
        first=params["first"],
        last=params["last"],
        from_=params["from"],
        to=params["to"],
    )
    return answer_json(render.range_proof(answer))


def cached(request: Request, body: bytes, kind: str, control: str) -> Answer:
    """Answer with what stays the same for a while, or that it is what the client has."""
    tag = etag(body)
    kept_by = "public" if request.shared else "private"
    headers: Headers = [("etag", tag), ("cache-control", f"{kept_by}, {control}")]
    if request.shared:
        headers.append(ANY_ORIGIN)
    if matches(request.headers.get("if-none-match"), tag):
        return Answer(304, headers, b"")
    headers.append(("content-type", kind))
    return Answer(200, headers, body)


_CACHED = ("ETag", "Cache-Control", "Access-Control-Allow-Origin")
_UNCHANGED = Reply(304, "What `If-None-Match` names is still right", {}, _CACHED)
_CODES = (
    "not_found",
    "log_behind_published_head",
    "not_witnessed_yet",
    "saturated",
    "store_failed",
    "signer_failed",
    "disk_full",
)
_PARAM_CODES = ("invalid_parameter", "unknown_parameter", "repeated_parameter", "not_acceptable")

ROUTES = (
    Route(
        "GET",
        "/logs/{log}/checkpoint",
        "getCheckpoint",
        "Get the latest published checkpoint (C2SP tlog-checkpoint)",
        checkpoint,
        (Reply(200, "The signed note", {TEXT: None}, _CACHED), _UNCHANGED),
        "Proofs",
        headers=("If-None-Match",),
        codes=(*_CODES, "unknown_parameter", "not_acceptable"),
        public=True,
        produces=(TEXT,),
    ),
    Route(
        "GET",
        "/logs/{log}/tile/{path...}",
        "getTile",
        "Get a tile of hashes or of entries (C2SP tlog-tiles): <L>/<N>[.p/<W>] or entries/<N>[.p/<W>]",
        tile,
        (Reply(200, "The tile", {BYTES: None}, _CACHED), _UNCHANGED),
        "Proofs",
        headers=("If-None-Match",),
        codes=(*_CODES, "unknown_parameter", "not_acceptable"),
        public=True,
        produces=(BYTES,),
    ),
    Route(
        "GET",
        "/logs/{log}/keys",
        "getLogKeys",
        "Get the keys that sign a log's heads, retired ones included",
        keys,
        (Reply(200, "The keys", {JSON: wire.LogKeysOut}, _CACHED), _UNCHANGED),
        "Proofs",
        headers=("If-None-Match",),
        codes=(*_CODES, "unknown_parameter", "not_acceptable"),
        public=True,
        produces=(JSON,),
    ),
    Route(
        "POST",
        "/logs/{log}/keys",
        "rotateLogKey",
        "Let another key follow the one that signs a log's heads",
        rotate,
        (Reply(201, "The new key, with the statement that both keys signed", {JSON: wire.LogKeyOut}),),
        "Proofs",
        codes=(
            *_CODES,
            "unknown_parameter",
            "limit_reached",
            "read_only",
            "clock_unsure",
            "commit_unknown",
        ),
    ),
    Route(
        "GET",
        "/logs/{log}/events/{sequence}/proof",
        "proveEvent",
        "Get the proof of one event as a file (C2SP tlog-proof)",
        event,
        (Reply(200, "The proof, with the signed checkpoint that it leads to", {TEXT: None}),),
        "Proofs",
        codes=(*_CODES, "unknown_parameter", "not_acceptable", "read_only"),
        produces=(TEXT,),
    ),
    Route(
        "GET",
        "/logs/{log}/proof/inclusion",
        "proveInclusion",
        "Prove that an event is in the tree",
        inclusion,
        (Reply(200, "The proof", {JSON: wire.InclusionOut}),),
        "Proofs",
        params=(
            integer("sequence", "The event.", least=1, required=True),
            integer("size", "The tree's size; the published one when it is left out.", least=1),
        ),
        codes=(*_CODES, *_PARAM_CODES, "beyond_head"),
        produces=(JSON,),
    ),
    Route(
        "GET",
        "/logs/{log}/proof/range",
        "proveRange",
        "Prove that a run of events, or those of a window of time, are all that there are",
        range_proof,
        (Reply(200, "The proof, with the entries", {JSON: wire.RangeOut}),),
        "Proofs",
        params=(
            integer("first", "The first event; 1 when it is left out.", least=1),
            integer("last", "The last event; the published head when it is left out.", least=1),
            text("from", "Instead: received at or after; an RFC 3339 instant."),
            text("to", "Received before: an RFC 3339 instant."),
        ),
        codes=(
            *_CODES,
            *_PARAM_CODES,
            "beyond_head",
            "answer_too_large",
            "read_only",
            "clock_unsure",
            "commit_unknown",
        ),
        produces=(JSON,),
    ),
    Route(
        "GET",
        "/logs/{log}/proof/consistency",
        "proveConsistency",
        "Prove that an earlier tree is a prefix of a later one",
        consistency,
        (Reply(200, "The proof", {JSON: wire.ConsistencyOut}, _CACHED), _UNCHANGED),
        "Proofs",
        params=(
            integer("from", "The size of the earlier tree.", required=True),
            integer("to", "The size of the later tree; the published one when it is left out."),
        ),
        headers=("If-None-Match",),
        codes=(*_CODES, *_PARAM_CODES, "beyond_head"),
        public=True,
        produces=(JSON,),
    ),
)
