"""What the views answer instead of an answer: facts of the host turned into problems."""

from indelible.fold.errors import QueryRefused
from indelible.model.errors import Problem
from indelible.views.types import Deployment, ViewError


class Gone(Problem):
    """The version went away while the question waited; whoever knows which one answers now may ask that."""


def failed(view: Deployment, error: ViewError) -> Problem:
    """The view failed at one event, for good."""
    where = f"at event {error.sequence}" if error.sequence else "at its start"
    return Problem(
        "view_failed",
        f"The view {view.name} failed {where}: {error.reason}. The log is not affected. "
        "Deploy a component that can fold this event.",
        sequence=error.sequence,
        reason=error.reason,
        version=view.version,
    )


def replaying(
    view: Deployment, *, applied: int, head: int, rate: float, note: str | None, past: bool = False
) -> Problem:
    """The view has not reached what the question needs; `rate` is in events a second, 0 when unknown.

    Where it is asked for the `past`, `head` is the event it is to stand at.
    """
    left = max(0, head - applied)
    seconds = min(60, max(1, round(left / rate))) if rate > 0 else 5
    trouble = f" It is held up: {note}." if note else ""
    otherwise = "" if past else ", or with consistency=stale for what it has"
    return Problem(
        "replaying",
        f"The view {view.name} has folded {applied} of {head} events; ask again later{otherwise}.{trouble}",
        applied=applied,
        head=head,
        retry_after=seconds,
    )


def refused(refusal: QueryRefused) -> Problem:
    """The view's own refusal of a question."""
    if refusal.kind == "invalid":
        return Problem("query_refused", refusal.text)
    return Problem("query_failed", f"The view says: {refusal.text}", reason=refusal.text)


def trapped(view: Deployment, text: str) -> Problem:
    """A question that broke the instance it was asked of."""
    return Problem(
        "query_failed",
        f"The view {view.name} broke on this question ({text}); it lives on, ask something else.",
        reason=text,
    )


def too_slow(view: Deployment, seconds: float) -> Problem:
    """A question that was stopped."""
    return Problem(
        "query_timeout",
        f"The view {view.name} took longer than {seconds:g} s; narrow the question.",
        limit=seconds,
        retry_after=1,
    )


def too_large(limit: int) -> Problem:
    """An answer over the limit."""
    return Problem("answer_too_large", f"The answer is over {limit} bytes; narrow the question.", limit=limit)


def no_room(view: Deployment, needs: int, limit: int) -> Problem:
    """A view that does not fit into what all resident views may take."""
    return Problem(
        "saturated",
        f"The view {view.name} needs {needs} bytes of memory, and all resident views may take {limit}: "
        "the operator can raise resident_views_bytes.",
        needs=needs,
        limit=limit,
        retry_after=30,
    )


def too_many(view: Deployment, limit: int) -> Problem:
    """More questions wait for one view than may."""
    return Problem(
        "saturated", f"{limit} questions wait for the view {view.name}.", limit=limit, retry_after=1
    )


def too_many_pasts(limit: int) -> Problem:
    """Questions about as many different moments as may be replayed at once wait already."""
    return Problem(
        "saturated",
        f"Questions about {limit} moments of the past, or about versions that were retired, wait already.",
        limit=limit,
        retry_after=5,
    )


def ended(view: Deployment) -> Problem:
    """The version went away while the question waited; another one may have taken its place."""
    return Gone(
        "replaying", f"This version of {view.name} was replaced or deleted; ask again.", retry_after=1
    )


def unknown() -> Problem:
    """No such view here, or no longer."""
    return Problem("not_found", "There is no such view of this log.")


def stopping() -> Problem:
    """The server is going down."""
    return Problem("stopping", "The server is stopping; ask again.", retry_after=1)
