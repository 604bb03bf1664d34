"""One request on a connection and its answer, as the application sees them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote, urlsplit

from indelible.http.request import Headers, RequestHeaders
from indelible.model.errors import Problem
from indelible.model.limits import KIB

_NO_BODY = frozenset({204, 304})
_LEFT_OVER_BYTES = 64 * KIB  # a refused body with no more than this is read on and dropped
_AHEAD_BYTES = 64 * KIB  # of a body that nobody asked for yet
_JOINED_BYTES = 16 * KIB  # above this, header and body are not copied together
NEVER = float("inf")
Pieces = AsyncIterator[bytes] | AsyncIterator[memoryview]
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


class Wire(Protocol):
    """What an exchange needs of its connection."""

    scheme: str
    deadline: float  # on the loop's clock: when to give up what is waited for

    @property
    def client(self) -> str:
        """The address of the other side."""

    def send(self, data: bytes | memoryview) -> None:
        """Queue bytes."""

    async def drained(self) -> None:
        """Return when few bytes are queued. Raises ConnectionResetError when the client has gone."""

    def hold(self, *, reading: bool) -> None:
        """Go on reading from the client, or stop."""

    def answered(self, *, closing: bool) -> None:
        """The answer is queued in whole; go on with the next request, or close."""

    def date(self) -> str:
        """The Date header."""


class Exchange:
    """A request whose header is there. Its body arrives; its answer is given once."""

    __slots__ = (
        "_answered",
        "_asked",
        "_error",
        "_gone",
        "_left",
        "_pieces",
        "_waiter",
        "authority",
        "complete",
        "fault",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query_string",
        "received",
        "task",
        "version",
        "wire",
    )

    def __init__(self, wire: Wire, method: str, target: str, headers: RequestHeaders, version: str) -> None:
        """Read the target (RFC 9112, 3.2): a path with its query, or an absolute URL."""
        self.wire = wire
        self.method = method
        self.headers = headers
        self.version = version
        self.fault: Problem | None = None  # why the request is refused, whatever it asks for
        self.authority: str | None = None
        if not target.startswith("/") and "://" in target:
            target = self._split(target)
        path, _, self.query_string = target.partition("?")
        self.path = unquote(path) if "%" in path else path
        self.keep_alive = True
        self.complete = False
        self.received = 0
        self.task: asyncio.Task[None] | None = None  # what answers it: the loop itself holds no task
        self._pieces: list[bytes] = []
        self._asked = False
        self._answered = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._left = False

    def _split(self, target: str) -> str:
        try:
            parts = urlsplit(target)
        except ValueError:
            self.fault = Problem("malformed", "the request's target is no URL")
            return "/"
        self.authority = parts.netloc
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self.wire.scheme

    @property
    def client(self) -> str:
        """The address of the other side."""
        return self.wire.client

    # ------------------------------------------------------------------ the body, from the connection

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body; of one that was refused it is dropped."""
        if self._answered:
            return
        self._pieces.append(piece)
        self.received += len(piece)
        if not self._asked and self.received > _AHEAD_BYTES:
            self.wire.hold(reading=False)
        self._wake()

    def finish(self) -> None:
        """The body is whole."""
        self.complete = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """The body will never be whole; `error` is raised from what waits for it."""
        self.keep_alive = False
        self._error = self._error or error
        self._wake()

    def left(self) -> None:
        """The client sends nothing more, and may have gone."""
        self._left = True
        if not self.complete:
            self.fail(EOFError("the body ended before its end"))
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ------------------------------------------------------------------ the body, for the application

    def ask(self) -> None:
        """Have the body sent: a client that waits to be told (RFC 9110, 10.1.1) is told."""
        self._asked = True
        expected = (self.headers.get("expect") or "").lower()
        if expected == "100-continue" and not self.received and self.version == "1.1":
            self.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wire.hold(reading=True)

    async def arrival(self, deadline: float) -> None:
        """Return when more of the body is there, or its end.

        Raises:
            TimeoutError: nothing came until `deadline`, on the loop's clock.
            EOFError: the client ended before the body did.
            ValueError: what came is no body.
        """
        if self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            self.wire.deadline = deadline
            try:
                await self._waiter
            finally:
                self._waiter = None
                self.wire.deadline = NEVER
        if self._error is not None:
            raise self._error

    def take(self) -> bytes:
        """Return the body, once it is complete."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def gone(self) -> None:
        """Return when the client has gone, or sends nothing more."""
        if not self._left:
            self._gone = asyncio.get_running_loop().create_future()
            await self._gone

    # ------------------------------------------------------------------ the answer

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a body that is in memory; there is none with 204 and 304, nor for HEAD."""
        closing = self._closes()
        lines = self._lines(status, headers, closing=closing)
        if status in _NO_BODY:
            body = b""
        else:
            lines.append(f"content-length: {len(body)}")
            if self.method == "HEAD":
                body = b""
        head = _encode(lines)
        if len(body) > _JOINED_BYTES:
            self.wire.send(head)
            self.wire.send(body)
        else:
            self.wire.send(head + body)
        self._end(closing=closing)

    async def stream(
        self,
        status: int,
        headers: Headers,
        pieces: Pieces,
        length: int | None = None,
    ) -> None:
        """Answer with pieces, asked for as fast as the client takes them, until they end or it has gone.

        Given `length`, they have so many bytes in all. An exception of `pieces` leaves the answer without its
        end, which the client sees.
        """
        chunked = length is None and self.version == "1.1"
        closing = self._closes() or (length is None and not chunked)
        lines = self._lines(status, headers, closing=closing)
        if length is not None:
            lines.append(f"content-length: {length}")
        elif chunked:
            lines.append("transfer-encoding: chunked")
        self.wire.send(_encode(lines))
        ended = False
        try:
            if self.method != "HEAD":
                with suppress(ConnectionResetError):
                    await self._pump(pieces, chunked=chunked)
            ended = True
        finally:
            self._end(closing=closing or not ended)
            with suppress(AttributeError):  # an iterator that is no generator has nothing to close
                await pieces.aclose()  # type: ignore[union-attr]  # the same

    async def _pump(self, pieces: Pieces, *, chunked: bool) -> None:
        async for piece in pieces:
            if piece:
                self.wire.send(b"".join((b"%x\r\n" % len(piece), piece, b"\r\n")) if chunked else piece)
                await self.wire.drained()
        if chunked:
            self.wire.send(b"0\r\n\r\n")

    def abandon(self) -> None:
        """Answer nothing, or no more: the client has gone, or its answer can't be given."""
        self._end(closing=True)

    def _lines(self, status: int, headers: Headers, *, closing: bool) -> list[str]:
        lines = [_STATUS_LINES[status], self.wire.date()]
        lines += [f"{name}: {value}" for name, value in headers]
        if closing:
            lines.append("connection: close")
        elif self.version != "1.1":
            lines.append("connection: keep-alive")
        return lines

    def _closes(self) -> bool:
        """Whether the connection ends with this answer: as asked, or over a body not worth reading."""
        return not self.keep_alive or not (self.complete or self._left_over() <= _LEFT_OVER_BYTES)

    def _left_over(self) -> int:
        """How much of the body will still come, or more than is read on where nobody knows.

        Who waited to be told to send it may never do so, and what came next would be taken for it.
        """
        length = self.headers.length
        untold = "expect" in self.headers and not self._asked and not self.received
        return _LEFT_OVER_BYTES + 1 if length is None or untold else length - self.received

    def _end(self, *, closing: bool) -> None:
        if self._answered:
            return  # the connection is at another request by now
        self._answered = True
        self._pieces.clear()
        self.wire.answered(closing=closing)


def _encode(lines: Sequence[str]) -> bytes:
    head = "\r\n".join([*lines, "", ""])
    if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
        raise ValueError("a header holds the end of a line")
    return head.encode("latin-1")
