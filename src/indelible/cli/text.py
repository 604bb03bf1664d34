"""Text from a log on a terminal: it was written by whoever could append, so it must not steer anything."""

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    r"""Return `text` with control characters, bidirectional ones included, written as escapes (`\x1b`)."""
    return _CONTROL.sub(_escape, text)


def clean_json(text: str) -> str:
    """Return JSON text with the same characters written as JSON's own escapes: it stays the same value."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004 - one byte


def shorten(text: str, width: int) -> str:
    """Return `text` cut to `width` characters, the last of them an ellipsis where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
