"""Text that comes from guests, made fit for logs, terminals and answers."""

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+")


def clean(raw: bytes | str, limit_bytes: int) -> str:
    """Return `raw` as one line of at most `limit_bytes` of UTF-8, controls and direction marks as blanks."""
    data = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
    text = data[:limit_bytes].decode("utf-8", "ignore" if len(data) > limit_bytes else "replace")
    line = _CONTROLS.sub(" ", text).strip()
    return line.encode()[:limit_bytes].decode("utf-8", "ignore")
