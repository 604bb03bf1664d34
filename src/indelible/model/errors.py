"""Every refusal that Indelible can give, in one table.

A refusal is a fact with members, never a sentence that a caller must parse. `CODES` is the only place
that ties a code to a status, to whether a retry can help, and to whether the refused call can have had an
effect. HTTP, the command line, the SDK and the documentation all read it; codes are never renamed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Effect = Literal["none", "done", "unknown"]


@dataclass(frozen=True, slots=True)
class Code:
    """What a stable code means: HTTP status, whether the same call may work later, and its effect."""

    name: str
    status: int
    retryable: bool
    effect: Effect
    title: str


def _table(*rows: tuple[str, int, bool, Effect, str]) -> Mapping[str, Code]:
    return {row[0]: Code(*row) for row in rows}


CODES: Mapping[str, Code] = _table(
    ("malformed", 400, False, "none", "The request is malformed"),
    ("malformed_json", 400, False, "none", "The body is not the JSON that this call takes"),
    ("invalid_name", 400, False, "none", "That is not a usable name"),
    ("invalid_parameter", 400, False, "none", "A parameter has a wrong value"),
    ("repeated_parameter", 400, False, "none", "A parameter is given twice"),
    ("unknown_parameter", 400, False, "none", "This call takes no such parameter"),
    ("ambiguous_after", 400, False, "none", "A plain integer is not a time"),
    ("empty_event", 400, False, "none", "An event must not be empty"),
    ("unauthenticated", 401, False, "none", "A valid key is needed"),
    ("forbidden", 403, False, "none", "The key does not allow this"),
    ("foreign_origin", 403, False, "none", "Only same-origin requests to loopback are served without keys"),
    ("system_log", 403, False, "none", "Nobody writes to a log of the system"),
    ("not_found", 404, False, "none", "There is nothing here that you may see"),
    ("method_not_allowed", 405, False, "none", "This path takes another method"),
    ("not_acceptable", 406, False, "none", "None of the accepted types can be served"),
    ("name_taken", 409, False, "none", "The name is taken"),
    ("sequence_mismatch", 409, False, "none", "The head is not where it was expected"),
    ("beyond_head", 409, True, "none", "The log has not reached that sequence"),
    ("view_failed", 409, False, "none", "The view failed at one event"),
    ("log_behind_published_head", 409, False, "none", "The stored log does not match its published head"),
    ("too_large", 413, False, "none", "That is over a limit"),
    ("unsupported_media_type", 415, False, "none", "That encoding or type is not taken"),
    ("idempotency_key_reused", 422, False, "none", "The idempotency key was used for other bytes"),
    ("not_a_view", 422, False, "none", "That is not a view component"),
    ("query_refused", 422, False, "none", "The view refused the question"),
    ("answer_too_large", 422, False, "none", "The answer is over the limit"),
    ("rate_limited", 429, True, "none", "Too many calls with this key"),
    ("limit_reached", 429, False, "none", "A count has reached its limit"),
    ("headers_too_large", 431, False, "none", "The headers are over the limit"),
    ("internal", 500, True, "unknown", "Something failed inside"),
    ("query_failed", 500, False, "none", "The view could not answer"),
    ("saturated", 503, True, "none", "Too much is waiting"),
    ("replaying", 503, True, "none", "The view is still replaying"),
    ("clock_unsure", 503, True, "none", "The clock jumped ahead and is not trusted yet"),
    ("commit_unknown", 503, True, "unknown", "It is not known whether the append was committed"),
    ("store_unavailable", 503, True, "none", "The database does not answer"),
    ("store_failed", 503, True, "none", "The store refused to write"),
    ("not_witnessed_yet", 503, True, "none", "The witnesses have not cosigned yet"),
    ("signer_failed", 503, True, "none", "The key that signs checkpoints did not answer"),
    ("objects_unreachable", 503, True, "none", "The object store does not answer"),
    ("read_only", 503, False, "none", "This copy is read-only"),
    ("stopping", 503, True, "none", "The server is stopping"),
    ("query_timeout", 504, True, "none", "The question took too long"),
    ("disk_full", 507, True, "none", "The disk is full"),
    ("request_timeout", 408, True, "none", "The request arrived too slowly"),
)


class Problem(Exception):
    """A refusal: a code of `CODES`, a sentence that says what to do, and facts.

    `detail` never quotes a secret. Facts become members of the problem document (RFC 9457), so their
    names are contract: `head`, `limit`, `retry_after` (seconds), `log_id`, `sequence`, ….
    """

    def __init__(self, code: str, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.code = CODES[code]
        self.detail = detail
        self.facts: Mapping[str, object] = facts

    def __str__(self) -> str:
        return f"{self.code.name}: {self.detail}"
