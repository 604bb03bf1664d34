"""Logs and appends."""

from indelible.http import render, wire
from indelible.http.calls import CHANGE_CODES, JSON_HEADERS, answer_json, read_json, sequence_header
from indelible.http.negotiate import prefers_proof
from indelible.http.params import Param, flag, integer, text
from indelible.http.ports import ServicesPort
from indelible.http.request import Answer, Headers, Request
from indelible.http.table import BYTES, JSON, NDJSON, Body, Reply, Route
from indelible.service import framing

_REPLAYED = ("idempotent-replayed", "true")
_DELIMITER = Param(
    "delimiter",
    str,
    {"type": "string", "minLength": 1},
    "Percent-encoded bytes that stand between events; one at the end is ignored.",
    raw=True,
)
_WRITE_CODES = (
    "not_found",
    "system_log",
    "empty_event",
    "sequence_mismatch",
    "log_behind_published_head",
    "too_large",
    "unsupported_media_type",
    "idempotency_key_reused",
    "saturated",
    "clock_unsure",
    "commit_unknown",
    "store_failed",
    "read_only",
    "disk_full",
    "request_timeout",
)
_CHANGE_CODES = (
    "malformed_json",
    "too_large",
    "unsupported_media_type",
    "request_timeout",
    *CHANGE_CODES,
)
_WRITE_HEADERS = ("Idempotency-Key", "Expected-Sequence")


async def create(request: Request, services: ServicesPort) -> Answer:
    """POST /logs."""
    wanted = read_json(request, wire.LogIn)
    made = await services.logs.create(
        request.caller, wanted.name, erasable=wanted.erasable, public_proofs=wanted.public_proofs
    )
    return answer_json(render.log(made), 201)


async def change(request: Request, services: ServicesPort) -> Answer:
    """PATCH /logs/{log}."""
    wanted = read_json(request, wire.LogPatchIn)
    changed = await services.logs.set_public_proofs(
        request.caller, request.path[0], public=wanted.public_proofs
    )
    return answer_json(render.log(changed))


async def list_logs(request: Request, services: ServicesPort) -> Answer:
    """GET /logs."""
    params = request.params
    found, following = await services.logs.list(request.caller, after=params["after"], limit=params["limit"])
    return answer_json(wire.LogsOut([render.log(state) for state in found], following))


async def get(request: Request, services: ServicesPort) -> Answer:
    """GET /logs/{log}."""
    return answer_json(render.log(await services.logs.get(request.caller, request.path[0])))


async def append(request: Request, services: ServicesPort) -> Answer:
    """POST /logs/{log}/append: the body's bytes are the event, whatever type they are sent as."""
    proof = prefers_proof(request.headers.get("prefer"))
    done = await services.appends.append(
        request.caller,
        request.path[0],
        request.body,
        idempotency_key=request.header("idempotency-key"),
        expected_sequence=sequence_header(request, "expected-sequence"),
        proof=proof,
    )
    if done.proof is None:
        body = render.receipt_json(done.receipt, done.origin)
    else:
        body = wire.encode(render.receipt_with_proof(done.receipt, done.origin, done.proof))
    return Answer(201, _append_headers(replayed=done.replayed, proved=done.proof is not None), body)


async def append_batch(request: Request, services: ServicesPort) -> Answer:
    """POST /logs/{log}/append_batch."""
    cut = framing.choose(request.headers.get("content-type"), request.params["delimiter"], request.body)
    done = await services.appends.append_batch(
        request.caller,
        request.path[0],
        request.body,
        cut,
        idempotency_key=request.header("idempotency-key"),
        expected_sequence=sequence_header(request, "expected-sequence"),
    )
    receipt = render.batch_receipt(done.receipt, done.origin, every=request.params["receipts"])
    return Answer(201, _append_headers(replayed=done.replayed, proved=False), wire.encode(receipt))


def _append_headers(*, replayed: bool, proved: bool) -> Headers:
    if not replayed and not proved:
        return JSON_HEADERS
    headers = list(JSON_HEADERS)
    if replayed:
        headers.append(_REPLAYED)
    if proved:
        headers.append(("preference-applied", "return=proof"))
    return headers


ROUTES = (
    Route(
        "POST",
        "/logs",
        "createLog",
        "Create a log",
        create,
        (Reply(201, "The log", {JSON: wire.LogOut}),),
        "Logs",
        body=Body(lambda limits: limits.request_body_bytes, {JSON: wire.LogIn}),
        codes=(
            "invalid_name",
            "invalid_parameter",
            "name_taken",
            "limit_reached",
            "signer_failed",
            *_CHANGE_CODES,
        ),
    ),
    Route(
        "GET",
        "/logs",
        "listLogs",
        "List logs by name",
        list_logs,
        (Reply(200, "A page of logs", {JSON: wire.LogsOut}),),
        "Logs",
        params=(
            text("after", "The name after which the page begins."),
            integer("limit", "At most so many logs.", least=1, default=1_000),
        ),
        codes=("invalid_parameter", "unknown_parameter", "repeated_parameter", "not_acceptable"),
        produces=(JSON,),
    ),
    Route(
        "GET",
        "/logs/{log}",
        "getLog",
        "Get a log and its head",
        get,
        (Reply(200, "The log", {JSON: wire.LogOut}),),
        "Logs",
        codes=("not_found", "unknown_parameter", "not_acceptable"),
        produces=(JSON,),
    ),
    Route(
        "PATCH",
        "/logs/{log}",
        "changeLog",
        "Change who may see a log's proofs; nothing else of a log changes",
        change,
        (Reply(200, "The log", {JSON: wire.LogOut}),),
        "Logs",
        body=Body(lambda limits: limits.request_body_bytes, {JSON: wire.LogPatchIn}),
        codes=("not_found", *_CHANGE_CODES),
    ),
    Route(
        "POST",
        "/logs/{log}/append",
        "append",
        "Append one event: the body, byte for byte",
        append,
        (
            Reply(
                201,
                "The receipt",
                {JSON: wire.ReceiptOut},
                ("Idempotent-Replayed", "Preference-Applied"),
            ),
        ),
        "Events",
        headers=(*_WRITE_HEADERS, "Prefer"),
        body=Body(
            lambda limits: limits.event_bytes,
            {JSON: None, BYTES: None},
            description="The event. Any type will do; only its bytes matter.",
        ),
        codes=("unknown_parameter", *_WRITE_CODES),
    ),
    Route(
        "POST",
        "/logs/{log}/append_batch",
        "appendBatch",
        "Append many events, all or none",
        append_batch,
        (Reply(201, "The receipt of the batch", {JSON: wire.BatchReceiptOut}, ("Idempotent-Replayed",)),),
        "Events",
        params=(_DELIMITER, flag("receipts", "Add each event's salt and leaf hash.")),
        headers=_WRITE_HEADERS,
        body=Body(
            lambda limits: limits.batch_bytes,
            {NDJSON: None, JSON: None, BYTES: None},
            description="Lines of JSON, or one JSON array, or records between `delimiter`s.",
        ),
        codes=(
            "unknown_parameter",
            "repeated_parameter",
            "invalid_parameter",
            "malformed_json",
            *_WRITE_CODES,
        ),
    ),
)
