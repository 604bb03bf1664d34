"""The problem document (RFC 9457) of a refusal, and the headers that go with it."""

import math
from collections.abc import Mapping

import msgspec

from indelible.http.request import Answer, Headers
from indelible.model.errors import Code, Problem

PROBLEM_TYPE = "application/problem+json"


def problem_members(problem: Problem, request_id: str) -> Mapping[str, object]:
    """Return the members of the document; facts come last and never replace a member of ours."""
    code = problem.code
    members: dict[str, object] = {
        "type": problem_type(code),
        "title": code.title,
        "status": code.status,
        "code": code.name,
        "detail": problem.detail,
        "retryable": code.retryable,
        "effect": code.effect,
        "request_id": request_id,
    }
    for name, fact in problem.facts.items():
        members.setdefault(name, fact)
    return members


def problem_type(code: Code) -> str:
    """Return the problem's type: a reference to its entry in this server's own documentation."""
    return f"/docs#{code.name}"


def problem_answer(problem: Problem, request_id: str) -> Answer:
    """Turn a refusal into its answer."""
    headers: Headers = [("content-type", PROBLEM_TYPE), ("cache-control", "no-store")]
    status = problem.code.status
    if status == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2
        headers.append(("www-authenticate", "Bearer"))
    allowed = problem.facts.get("allow")
    if allowed:
        headers.append(("allow", str(allowed)))
    wait = problem.facts.get("retry_after", 1 if problem.code.retryable and status in {429, 503} else None)
    if isinstance(wait, int | float):
        headers.append(("retry-after", str(max(1, math.ceil(wait)))))
    return Answer(status, headers, problem_line(problem, request_id))


def problem_line(problem: Problem, request_id: str) -> bytes:
    """Write the document as one line of JSON."""
    return msgspec.json.encode(problem_members(problem, request_id), enc_hook=str) + b"\n"


def internal(error_id: str) -> Problem:
    """Return the refusal for what should not have happened; the log has the rest under `error_id`."""
    return Problem("internal", f"the server's log says more under request_id {error_id}")
