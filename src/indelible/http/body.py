"""Reading a request's body: bounded in size, in time, and in what all bodies together may hold."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from indelible.http.exchange import Exchange
from indelible.http.request import RequestHeaders
from indelible.model.errors import Problem
from indelible.model.limits import KIB, Limits

UNCOUNTED_BYTES = 64 * KIB  # a body this small is not counted: connections times this stay affordable
_JOINED_AT_ONCE_BYTES = 1 << 20  # a larger body is put together on a thread: it holds up all others for long
_GRACE_SECONDS = 10  # the first bytes may take this long before the least rate counts


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
    """How bodies may arrive."""

    limits: Limits
    budget: BodyBudget


def check_headers(headers: RequestHeaders, limit: int) -> int | None:
    """Check what the header says of the body; return its length in bytes, 0 for none, None when chunked.

    Raises:
        Problem: `unsupported_media_type` unless it is sent as it is, `too_large` for more than `limit` bytes.
    """
    encoding = headers.get("content-encoding") if "content-encoding" in headers else "identity"
    if encoding is None or encoding.strip().lower() != "identity":
        raise Problem("unsupported_media_type", "send the body without Content-Encoding")
    if "transfer-encoding" in headers:
        if (headers.get("transfer-encoding") or "").lower() != "chunked":
            raise Problem("unsupported_media_type", "send the body with no Transfer-Encoding but chunked")
        return None
    length = headers.length or 0
    if length > limit:
        raise _too_large(limit)
    return length


async def read_body(
    exchange: Exchange, length: int | None, limit: int, workspace: int, rules: Rules
) -> bytes:
    """Read the whole body: `length` bytes, or a chunked one (None) of at most `limit` bytes.

    Raises:
        Problem: `too_large`, `request_timeout` (slower than the least rate, or too long in all),
            `malformed` (it ended before its end), `saturated`.
    """
    try:
        if length is None:
            await _receive_chunked(exchange, limit, workspace, rules)
        elif length <= UNCOUNTED_BYTES:
            await _receive_declared(exchange, length, rules.limits)
        else:
            with rules.budget.held(workspace, length):
                await _receive_declared(exchange, length, rules.limits)
    except (EOFError, ValueError) as error:
        raise Problem("malformed", str(error)) from None
    except TimeoutError:
        raise Problem("request_timeout", "send the body faster", least_bytes_per_second=KIB) from None
    if exchange.received > _JOINED_AT_ONCE_BYTES:
        return await asyncio.to_thread(exchange.take)
    return exchange.take()


def _too_large(limit: int) -> Problem:
    return Problem("too_large", f"send at most {limit} bytes", limit=limit, unit="bytes")


def _seconds_for(received: int, limits: Limits) -> float:
    """How long a body of which `received` bytes are there, or declared, may have taken."""
    return min(limits.body_seconds, _GRACE_SECONDS + received / limits.body_min_bytes_per_second)


async def _receive_declared(exchange: Exchange, length: int, limits: Limits) -> None:
    if exchange.complete:
        return
    deadline = asyncio.get_running_loop().time() + _seconds_for(length, limits)
    exchange.ask()
    while not exchange.complete:
        await exchange.arrival(deadline)


async def _receive_chunked(exchange: Exchange, limit: int, workspace: int, rules: Rules) -> None:
    started = asyncio.get_running_loop().time()
    counted = 0
    exchange.ask()
    try:
        while True:
            if exchange.received > limit:
                raise _too_large(limit)
            if exchange.received - counted > UNCOUNTED_BYTES:
                rules.budget.take(workspace, exchange.received - counted)
                counted = exchange.received
            if exchange.complete:
                return
            await exchange.arrival(started + _seconds_for(exchange.received, rules.limits))
    finally:
        rules.budget.give_back(workspace, counted)
