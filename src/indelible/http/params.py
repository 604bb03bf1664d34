"""Query parameters: strict decoding, and declarations that both check them and describe them in OpenAPI."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from indelible.model.errors import Problem

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?\Z")


class Param(NamedTuple):
    """A query parameter: how its text is read, and its JSON Schema."""

    name: str
    read: Callable[[str], Any]  # raises ValueError with what is expected
    schema: Mapping[str, Any]
    description: str
    default: Any = None
    required: bool = False
    raw: bool = False  # handed over as it stands in the URL, percent-encoded


def decode_pairs(query_string: str) -> list[tuple[str, str]]:
    """Decode `application/x-www-form-urlencoded` (WHATWG URL, 5.1) in order, repeats included.

    Raises:
        Problem: `malformed` for a broken escape or bytes that are not UTF-8.
    """
    return [(_decode(name), _decode(value)) for name, value in _pairs(query_string)]


def read_params(query_string: str, declared: Sequence[Param]) -> dict[str, Any]:
    """Read the parameters of a call that knows all of them; each has its value or its default.

    Raises:
        Problem: `unknown_parameter`, `repeated_parameter`, `invalid_parameter`, `malformed`.
    """
    values = {param.name: param.default for param in declared}
    if query_string:
        _read_given(query_string, declared, values)
    for param in declared:
        if param.required and values[param.name] is None:
            raise Problem("invalid_parameter", f"{param.name} is needed", parameter=param.name)
    return values


def _read_given(query_string: str, declared: Sequence[Param], values: dict[str, Any]) -> None:
    known = {param.name: param for param in declared}
    seen = set()
    for raw_name, raw_value in _pairs(query_string):
        name = _decode(raw_name)
        param = known.get(name)
        if param is None:
            takes = ", ".join(known) or "none"
            raise Problem("unknown_parameter", f"this call takes {takes}", parameter=name)
        if name in seen:
            raise Problem("repeated_parameter", f"give {name} once", parameter=name)
        seen.add(name)
        try:
            values[name] = param.read(raw_value if param.raw else _decode(raw_value))
        except ValueError as error:
            raise Problem("invalid_parameter", f"{name} must be {error}", parameter=name) from None


def _pairs(query_string: str) -> list[tuple[str, str]]:
    pairs = []
    for piece in query_string.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((name, value))
    return pairs


def _decode(text: str) -> str:
    if "%" not in text:
        return text.replace("+", " ")
    if _BROKEN_ESCAPE.search(text):
        raise Problem("malformed", "a % in the query must be followed by two hex digits; write % as %25")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Problem("malformed", "the query is not UTF-8") from None


# ---------------------------------------------------------------------- kinds


def integer(name: str, description: str, *, least: int = 0, **more: Any) -> Param:
    """Declare a whole number of at least `least`."""

    def read(text: str) -> int:
        if not _DIGITS.match(text) or int(text) < least:
            raise ValueError(f"a whole number of at least {least}")
        return int(text)

    schema = {"type": "integer", "format": "int64", "minimum": least, "maximum": 10**18 - 1}
    return Param(name, read, schema, description, **more)


def seconds(name: str, description: str, *, most: float) -> Param:
    """Declare a duration in seconds, fractions allowed, 0 by default."""

    def read(text: str) -> float:
        if not _SECONDS.match(text) or float(text) > most:
            raise ValueError(f"seconds between 0 and {most:g}")
        return float(text)

    return Param(name, read, {"type": "number", "minimum": 0, "maximum": most}, description, 0.0)


def choice(name: str, description: str, values: Sequence[str], **more: Any) -> Param:
    """Declare one of a few words."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return text

    return Param(name, read, {"type": "string", "enum": list(values)}, description, **more)


def flag(name: str, description: str) -> Param:
    """Declare `true` or `false`, false by default."""

    def read(text: str) -> bool:
        if text not in {"true", "false"}:
            raise ValueError("true or false")
        return text == "true"

    return Param(name, read, {"type": "boolean"}, description, default=False)


def text(name: str, description: str, **more: Any) -> Param:
    """Declare any text; what it means is the service's to judge."""
    return Param(name, str, {"type": "string"}, description, **more)
