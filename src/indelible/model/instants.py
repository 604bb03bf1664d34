"""Times: microseconds since 1970-01-01T00:00:00Z inside, RFC 3339 outside."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

MICROS_PER_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII
)


@lru_cache(maxsize=4_096)
def _format_second(seconds: int) -> str:
    """Most times that are written lie in the same few seconds: one is on every receipt."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


@lru_cache(maxsize=1_024)
def format_micros(micros: int) -> str:
    """Write microseconds since 1970 as RFC 3339 in UTC, six digits of fraction, ending in `Z`."""
    seconds, fraction = divmod(micros, MICROS_PER_SECOND)
    return f"{_format_second(seconds)}.{fraction:06d}Z"


def parse_instant(text: str) -> int:
    """Read an RFC 3339 instant (section 5.6) to microseconds since 1970; digits past the sixth are cut.

    Raises:
        ValueError: not an instant with a date, a time and an offset.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise ValueError("not an RFC 3339 instant")
    date, clock, fraction, offset = match.groups()
    zone = "+00:00" if offset in "Zz" else offset
    moment = datetime.fromisoformat(f"{date}T{clock}{zone}")
    whole = (moment - _EPOCH) // timedelta(seconds=1)
    return whole * MICROS_PER_SECOND + int((fraction or "").ljust(6, "0")[:6])
