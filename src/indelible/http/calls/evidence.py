"""Evidence: a zip that proves a range of a log without a server."""

from urllib.parse import quote, urlencode

from indelible.http.params import integer, text
from indelible.http.ports import ServicesPort
from indelible.http.request import Headers, Request, Stream
from indelible.http.table import Reply, Route
from indelible.notes.evidence import MEDIA_TYPE
from indelible.service.ranges import Wanted
from indelible.service.types import EvidenceAnswer


async def export(request: Request, services: ServicesPort) -> Stream:
    """GET /logs/{log}/evidence. A failure in the middle breaks the connection: a zip has no last word."""
    params, log = request.params, request.path[0]
    wanted = Wanted(params["first"], params["last"], params["from"], params["to"])
    given = urlencode({name: value for name, value in params.items() if value is not None})
    query = f"/logs/{quote(log, safe='')}/evidence" + (f"?{given}" if given else "")
    return stream_of(await services.evidence.export(request.caller, log, wanted, query=query))


def stream_of(made: EvidenceAnswer) -> Stream:
    """The zip as it goes out."""
    headers: Headers = [
        ("content-type", MEDIA_TYPE),
        ("content-disposition", f'attachment; filename="{made.file_name}"'),
        ("cache-control", "no-store"),
    ]
    return Stream(200, headers, made.pieces, breaks=True)


ROUTES = (
    Route(
        "GET",
        "/logs/{log}/evidence",
        "exportEvidence",
        "Get events with everything that proves them, as one zip of any size (docs/formats.md)",
        export,
        (Reply(200, "The zip", {MEDIA_TYPE: None}, ("Content-Disposition", "Cache-Control")),),
        "Proofs",
        params=(
            integer("first", "The first event; 1 when it is left out.", least=1),
            integer("last", "The last event; the newest when it is left out.", least=1),
            text("from", "Instead: received at or after; an RFC 3339 instant."),
            text("to", "Received before: an RFC 3339 instant."),
        ),
        codes=(
            "not_found",
            "log_behind_published_head",
            "saturated",
            "store_failed",
            "commit_unknown",
            "disk_full",
            "clock_unsure",
            "invalid_parameter",
            "unknown_parameter",
            "repeated_parameter",
            "not_acceptable",
            "beyond_head",
            "read_only",
        ),
        produces=(MEDIA_TYPE,),
    ),
)
