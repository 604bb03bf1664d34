"""Reading an event's JSON so that every language reads the same of it, and nothing in it ends the view."""

import json
import math
import re
from array import array
from itertools import accumulate
from json.decoder import JSONDecoder
from typing import Any, NoReturn

MAX_DEPTH = 100
"""Levels of nesting; CPython's own scanner overruns a guest's stack at some thousand."""

MAX_BRACKETS = 10_000
"""Opening brackets in an event, those in texts too: a million of them would use up the fuel of a batch."""

# A text that does not end is taken to the end, so that no search begins inside of it; possessive, so that it
# takes no memory.
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_HALF = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_SPACE = " \t\n\r"
_FEW_DIGITS = 300  # shorter numbers fit a double; it has 308 before the point


class Unreadable(ValueError):
    """The text is no JSON that every language reads alike."""


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(name)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Unreadable("a number beyond a double")
    return number


def _whole(text: str) -> int:
    if len(text) > _FEW_DIGITS:
        _float(text)
    return int(text)


_PLAIN = JSONDecoder(parse_constant=_refuse_constant, parse_float=_float).scan_once  # type: ignore[attr-defined]
_LONG = JSONDecoder(  # its numbers cost a call each, so it reads long texts only
    parse_constant=_refuse_constant, parse_float=_float, parse_int=_whole
).scan_once  # type: ignore[attr-defined]


def read(text: str) -> Any:
    """Read JSON (RFC 8259).

    Raises:
        Unreadable: it is none; nested deeper than `MAX_DEPTH` or has more than `MAX_BRACKETS`; has a number
            beyond a double, or a string with half a surrogate pair, which no UTF-8 can say.
    """
    brackets = text.count("[") + text.count("{")
    if brackets > MAX_BRACKETS or (brackets > MAX_DEPTH and _depth(text) > MAX_DEPTH):
        raise Unreadable("nested too deep, or too much of it")
    start = 0
    while text[start : start + 1] in _SPACE and start < len(text):
        start += 1
    try:
        value, end = (_LONG if len(text) > _FEW_DIGITS else _PLAIN)(text, start)
    except (StopIteration, ValueError):
        raise Unreadable("not JSON") from None
    if end != len(text) and text[end:].strip(_SPACE):
        raise Unreadable("more than one value")
    if "\\u" in text and _HALF.search(text):
        _check_pairs(value)
    return value


def _depth(text: str) -> int:
    """Return how deep brackets are nested, without a step of Python for each: an event may have a million."""
    bare = _TEXTS.sub(b"", text.encode())
    return max(accumulate(array("b", bare.translate(_STEPS, _NO_BRACKETS))), default=0)


def _check_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Unreadable("half a surrogate pair") from None
