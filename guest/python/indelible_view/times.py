"""Times: microseconds since 1970-01-01T00:00:00Z inside, RFC 3339 outside."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))",
    re.ASCII,
)


def to_datetime(micros: int) -> datetime:
    """Return a time as a datetime in UTC.

    Raises:
        OverflowError: past the year 9999.
    """
    return _EPOCH + timedelta(microseconds=micros)


def to_iso(micros: int) -> str:
    """Write a time as RFC 3339 in UTC with six digits of fraction: 2026-01-31T09:30:00.000000Z."""
    return to_datetime(micros).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str) -> int | None:
    """Read an RFC 3339 instant; None where the text is none. Digits past the sixth are cut."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    offset = 0
    if sign:
        offset = int(hours) * 60 + int(minutes)
        if int(hours) > 23 or int(minutes) > 59:  # noqa: PLR2004 - a clock's
            return None
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None
    away = timedelta(minutes=-offset if sign == "+" else offset)
    micros = (moment - _EPOCH + away) // timedelta(microseconds=1)
    return micros + int((fraction or "").ljust(6, "0")[:6])
