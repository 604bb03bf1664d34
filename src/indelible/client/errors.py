"""What can go wrong between a client and a server.

    Problem              the server refused: a code of the one table, with facts (indelible.model.errors)
    Unreachable          no answer came
    UnexpectedAnswer     an answer came that this client does not understand
    NotProved            an answer came, and its proof does not hold
    HistoryChanged       a NotProved: a log shows another history than the one that was seen before
    PinsUnusable         what was seen before cannot be read or kept

A code that this client does not know yet (a newer server) becomes the nearest one of the table, with the
server's own code in the fact `server_code`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from indelible.model.errors import CODES, Effect, Problem

_KEPT = frozenset({"type", "title", "status", "code", "detail", "instance"})
_BY_STATUS = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    408: "request_timeout",
    413: "too_large",
    429: "rate_limited",
    431: "headers_too_large",
    502: "stopping",
    503: "saturated",
    504: "query_timeout",
}
_BAD_REQUEST, _SERVER_ERROR = 400, 500


class Unreachable(ConnectionError):
    """No answer came from `url`. `effect` says whether the call can have had one."""

    def __init__(self, url: str, reason: str, effect: Effect) -> None:
        super().__init__(f"no answer from {url}: {reason}")
        self.url = url
        self.reason = reason
        self.effect: Effect = effect


class UnexpectedAnswer(ValueError):
    """The server answered something that is no answer of this API: another program, or another version."""


class NotProved(ValueError):
    """A receipt, a proof or a checkpoint does not hold."""


Change = Literal["rollback", "fork", "rewritten", "key", "replaced"]
"""In which way a history changed; `client/conflict.py` has the words."""


class HistoryChanged(NotProved):
    """A log shows another history than the one that was seen before. Both signed notes are the evidence.

    `pinned` is the head that was remembered and `seen` the one shown now, as they were signed; `evidence`
    is the file that holds both, None where it could not be written.
    """

    def __init__(
        self, kind: Change, says: str, *, origin: str, pinned: bytes, seen: bytes, evidence: Path | None
    ) -> None:
        where = f" The evidence is in {evidence}." if evidence else ""
        super().__init__(f"{says}{where}")
        self.kind: Change = kind
        self.origin = origin
        self.pinned = pinned
        self.seen = seen
        self.evidence = evidence


class PinsUnusable(ValueError):
    """What was remembered of a log cannot be read or kept, so nothing can be compared with it."""


def read_problem(status: int, body: bytes, retry_after: str | None = None) -> Problem:
    """Rebuild the refusal that a server sent as application/problem+json (RFC 9457).

    Args:
        status: the HTTP status, which decides where the body is no problem document (a proxy's page).
        body: the body as it came.
        retry_after: the Retry-After header, in seconds; becomes the fact `retry_after` where none is sent.
    """
    members = _members(body)
    code = str(members.get("code", ""))
    facts = {name: value for name, value in members.items() if name not in _KEPT and name.isidentifier()}
    if retry_after is not None and retry_after.isdecimal():
        facts.setdefault("retry_after", int(retry_after))
    facts.setdefault("status", status)
    if code not in CODES:
        facts["server_code"] = code or f"http_{status}"
        code = _nearest(status)
    detail = str(members.get("detail") or members.get("title") or f"the server answered with status {status}")
    return Problem(code, detail, **{name: value for name, value in facts.items() if name != "self"})


def _members(body: bytes) -> Mapping[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _nearest(status: int) -> str:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if _BAD_REQUEST <= status < _SERVER_ERROR:
        return "malformed"
    return "internal"
