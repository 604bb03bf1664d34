"""Content negotiation (RFC 9110, 12.5.1), conditional requests, preferences: as far as used here."""

import hashlib
from collections.abc import Sequence

from indelible.model.errors import Problem


def choose_type(accept: str | None, offered: Sequence[str]) -> str:
    """Return the first of `offered` (types without parameters) that is accepted best.

    Raises:
        Problem: `not_acceptable`.
    """
    if accept is None or accept == "*/*":
        return offered[0]
    ranges = [_media_range(piece) for piece in accept.split(",")]
    best, quality = "", 0.0
    for offer in offered:
        found = _quality(offer, ranges)
        if found > quality:
            best, quality = offer, found
    if not best:
        raise Problem("not_acceptable", f"accept {' or '.join(offered)}", offered=list(offered))
    return best


def prefers(accept: str | None, wanted: str, usual: str) -> bool:
    """Say whether `wanted` is accepted better than `usual`, which is what comes where nothing is said."""
    try:
        return choose_type(accept, (usual, wanted)) == wanted
    except Problem:
        return False


def accepts(accept: str | None, offered: str) -> bool:
    """Say whether one type is accepted."""
    try:
        return choose_type(accept, (offered,)) == offered
    except Problem:
        return False


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in text.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, float(value)
            except ValueError:
                return name, 0.0
    return name, 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that matches."""
    for wanted in (offer, offer.split("/", 1)[0] + "/*", "*/*"):
        for name, quality in ranges:
            if name == wanted:
                return quality
    return 0.0


def etag(body: bytes) -> str:
    """Return a strong entity tag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Say whether `If-None-Match` names `tag` (weak comparison, RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    tags = [piece.strip().removeprefix("W/") for piece in if_none_match.split(",")]
    return tag in tags or "*" in tags


def prefers_proof(prefer: str | None) -> bool:
    """Say whether `Prefer` (RFC 7240) asks for `return=proof`."""
    if prefer is None:
        return False
    pieces = (piece.split(";", 1)[0].strip().replace('"', "").lower() for piece in prefer.split(","))
    return "return=proof" in pieces
