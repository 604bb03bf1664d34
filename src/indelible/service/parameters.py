"""Parameters that several calls take, read the same way by all of them."""

from indelible.model.errors import Problem
from indelible.model.instants import parse_instant


def instant(name: str, text: str | None) -> int | None:
    """Read an RFC 3339 instant to microseconds since 1970; None stays None.

    Raises:
        Problem: `invalid_parameter`, naming the parameter.
    """
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError:
        raise Problem(
            "invalid_parameter",
            f"{name} takes an RFC 3339 instant such as 2026-01-31T00:00:00Z",
            parameter=name,
        ) from None
