"""Reading a request's body: bounded in size, in time, and in what all bodies together may hold."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from granian._granian import RSGIProtocolClosed as ProtocolClosed
from granian._granian import RSGIProtocolError as ProtocolError

from indelible.http.deadlines import Deadlines
from indelible.http.request import HeaderMap, Transport
from indelible.model.errors import Problem
from indelible.model.limits import KIB, Limits

UNCOUNTED_BYTES = 64 * KIB  # a body this small is not counted: connections times this stay affordable
_GRACE_SECONDS = 10  # the first bytes may take this long before the least rate counts
_LINGER_SECONDS = 2.0


class BodyBudget:
    """Bytes that bodies on their way in may hold in memory, all together and for one workspace."""

    def __init__(self, limits: Limits) -> None:
        self._free = limits.request_bodies_bytes
        self._share = int(limits.request_bodies_bytes * limits.pending_workspace_fraction)
        self._held: Counter[int] = Counter()

    def take(self, workspace: int, size: int) -> None:
        """Count `size` bytes more.

        Raises:
            Problem: `saturated`.
        """
        if size > self._free or self._held[workspace] + size > self._share:
            raise Problem("saturated", "too many large bodies are arriving; try again", retry_after=1)
        self._free -= size
        self._held[workspace] += size

    def give_back(self, workspace: int, size: int) -> None:
        """Release what was taken."""
        self._free += size
        self._held[workspace] -= size
        if not self._held[workspace]:
            del self._held[workspace]

    @contextmanager
    def held(self, workspace: int, size: int) -> Iterator[None]:
        """Hold `size` bytes while the block runs."""
        self.take(workspace, size)
        try:
            yield
        finally:
            self.give_back(workspace, size)


class Rules(NamedTuple):
    """How bodies may arrive, and what keeps them to it."""

    limits: Limits
    budget: BodyBudget
    deadlines: Deadlines


def declared_length(headers: HeaderMap) -> int | None:
    """Return the body's length that the header declares: 0 for no body, None for a chunked one."""
    if "transfer-encoding" in headers:
        return None
    length = headers.get("content-length")
    return int(length) if length else 0


def check_headers(headers: HeaderMap, limit: int) -> int | None:
    """Check what the header says of the body, and return its length as `declared_length` does.

    Raises:
        Problem: `unsupported_media_type` unless it is sent as it is, `too_large` for more than `limit` bytes.
    """
    if (
        "content-encoding" in headers
        and (headers.get("content-encoding") or "").strip().lower() != "identity"
    ):
        raise Problem("unsupported_media_type", "send the body without Content-Encoding")
    length = declared_length(headers)
    if length is not None and length > limit:
        raise _too_large(limit)
    return length


async def read_body(
    transport: Transport, length: int | None, limit: int, workspace: int, rules: Rules
) -> bytes:
    """Read the whole body: `length` bytes, or a chunked one (None) of at most `limit` bytes.

    Raises:
        Problem: `too_large`, `request_timeout` (slower than the least rate, or too long in all),
            `malformed` (it ended before its end), `saturated`.
    """
    try:
        if length is None:
            return await _read_chunked(transport, limit, workspace, rules)
        seconds = _seconds_for(length, rules.limits)
        if length <= UNCOUNTED_BYTES:
            return await rules.deadlines.within(seconds, transport())
        with rules.budget.held(workspace, length):
            return await rules.deadlines.within(seconds, transport())
    except ProtocolClosed:
        raise Problem("malformed", "the body ended before its end") from None
    except TimeoutError:
        raise Problem("request_timeout", "send the body faster", least_bytes_per_second=KIB) from None


async def discard(transport: Transport) -> None:
    """Let an unread body run out for a moment after its answer was sent.

    A connection closed over unread bytes is reset, and the reset overtakes the answer: the client would see
    a broken pipe in place of the 413.
    """
    try:
        pieces = transport.__aiter__()
        async with asyncio.timeout(_LINGER_SECONDS):
            while await pieces.__anext__():
                pass
    except (TimeoutError, StopAsyncIteration, ProtocolError, ProtocolClosed):
        return


def _too_large(limit: int) -> Problem:
    return Problem("too_large", f"send at most {limit} bytes", limit=limit, unit="bytes")


def _seconds_for(received: int, limits: Limits) -> float:
    """How long a body of which `received` bytes are there, or declared, may have taken."""
    return min(limits.body_seconds, _GRACE_SECONDS + received / limits.body_min_bytes_per_second)


async def _read_chunked(transport: Transport, limit: int, workspace: int, rules: Rules) -> bytes:
    started = asyncio.get_running_loop().time()
    pieces = transport.__aiter__()
    received = bytearray()
    counted = 0
    try:
        while True:
            deadline = started + _seconds_for(len(received), rules.limits)
            async with asyncio.timeout_at(deadline):
                piece = await pieces.__anext__()
            if not piece:
                await _check_end(pieces)
                return bytes(received)
            received += piece
            if len(received) > limit:
                raise _too_large(limit)
            if len(received) - counted > UNCOUNTED_BYTES:
                rules.budget.take(workspace, len(received) - counted)
                counted = len(received)
    finally:
        rules.budget.give_back(workspace, counted)


async def _check_end(pieces: Transport) -> None:
    """Tell a body's end from its being cut off: both come as an empty piece, and only the end is final."""
    try:
        await pieces.__anext__()
    except StopAsyncIteration:
        return
    raise Problem("malformed", "the chunked body ended before its end, or has trailers, which are not taken")
