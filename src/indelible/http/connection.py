"""One HTTP/1.1 connection (RFC 9112): bytes of a client become exchanges, one at a time.

llhttp, through httptools, reads the syntax, and strictly: what two readers could understand in two ways is
refused. Here is what is left: which request is served, how long everything may take, and when it ends.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Protocol, cast

import httptools

from indelible.http.exchange import NEVER, Exchange
from indelible.http.request import RequestHeaders
from indelible.model.errors import Problem
from indelible.model.limits import KIB, Limits

_LINGER_SECONDS = 2.0
_PIPELINED = 16  # requests that may wait behind the one that is served
_LONG_READ_BYTES = 128 * KIB  # so much at once comes of a long body, and more follows
_TLS_QUEUE_BYTES = 64 * KIB
_FRAMING = ("content-length", "transfer-encoding")
_SECOND_HEAD = "POST / HTTP/1.1\r\nConnection: close\r\n"


class Hub(Protocol):
    """What connections share: the server."""

    limits: Limits
    date_line: str

    def opened(self, connection: "Connection") -> None:
        """A connection is there."""

    def closed(self, connection: "Connection") -> None:
        """A connection has ended."""

    def serve(self, exchange: Exchange) -> None:
        """Have a request answered."""


class _Enough(Exception):
    """What a client sent is not read any further."""


class Connection(asyncio.Protocol):
    """One connection, from its opening to its end, on the event loop's thread."""

    def __init__(self, hub: Hub, scheme: str) -> None:
        self.scheme = scheme
        self.deadline = NEVER
        self.was_open = False
        self._hub = hub
        self._parser = httptools.HttpRequestParser(self)
        self._transport = cast("asyncio.Transport", None)
        self._loop = asyncio.get_running_loop()
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._arriving: Exchange | None = None  # its body is being read
        self._deaf = False  # what comes is dropped unread
        self._last = False  # no request is taken any more
        self._over = False  # the client sends nothing more
        self._ending = False  # no request is served any more
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._full = False
        self._lost = False
        self._begin_head()

    # ------------------------------------------------------------------ from the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the first header has its time from now on."""
        self._transport = cast("asyncio.Transport", transport)
        self.deadline = self._loop.time() + self._hub.limits.header_seconds
        self.was_open = True
        if self.scheme == "https":  # what TLS has queued counts against the time that its end may take
            self._transport.set_write_buffer_limits(_TLS_QUEUE_BYTES)
        self._hub.opened(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """End: whoever waits on this connection is told."""
        self._lost = self._last = self._deaf = self._over = self._ending = True
        self.deadline = NEVER
        self._waiting.clear()
        if self._current is not None:
            self._current.left()
        self._wake_writer()
        self._hub.closed(self)

    def eof_received(self) -> bool:
        """The client sends nothing more; what it asked for is still answered."""
        self._last = self._over = True
        for exchange in (self._current, self._arriving):
            if exchange is not None:
                exchange.left()
        answering = self._current is not None or len(self._waiting) > 0
        return answering and self.scheme == "http"  # TLS has no half-open connections

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        if self._deaf:
            return
        self._head_bytes += len(data)
        self._parse(data)
        if len(data) >= _LONG_READ_BYTES:
            self._give_way()
        if self._head_bytes > self._hub.limits.header_bytes and not self._deaf:
            self._overflow()
        if self._waiting:
            self._next()
        elif self._head_bytes and self._current is None and self._arriving is None:
            self._time_head()

    def _give_way(self) -> None:
        """Let others have their turn: a client that sends fast would else be read for many milliseconds."""
        if self._reading and not self._over:
            self._transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._reading and not self._over:
            with suppress(RuntimeError):  # it is closing, and reads no more
                self._transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            self._decline(data[error.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Enough):
                raise
            self._deaf = self._last = True
            if self._arriving is not None:
                self._overflow()
            elif self._waiting:
                self._waiting[-1].keep_alive = False
        except httptools.HttpParserError as error:
            self._break(error)

    def _decline(self, rest: bytes) -> None:
        """Read a request that offers another protocol as if it did not (RFC 9110, 7.8).

        httptools ends such a request with its header. A body it may have all the same (Java's client offers
        HTTP/2 with every request), so a second parser reads that, told no more than how it is framed.
        """
        exchange = self._arriving = self._waiting[-1]
        exchange.complete = exchange.keep_alive = False
        self._parser = httptools.HttpRequestParser(self)
        framing = [f"{name}: {exchange.headers[name]}\r\n" for name in _FRAMING if exchange.headers.get(name)]
        self._parse("".join([_SECOND_HEAD, *framing, "\r\n"]).encode() + rest)

    def pause_writing(self) -> None:
        """Much is queued: the client reads slowly."""
        self._full = True

    def resume_writing(self) -> None:
        """Little is queued."""
        self._full = False
        self._wake_writer()
        self._next()

    def _wake_writer(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # ------------------------------------------------------------------ from the parser

    def _begin_head(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._head_bytes = 0
        self._head_timed = False

    def _time_head(self) -> None:
        """Give the header that has begun its time, once: nothing that happens later gives it more."""
        if not self._head_timed:
            self._head_timed = True
            self.deadline = self._loop.time() + self._hub.limits.header_seconds

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self._waiting) >= _PIPELINED or self._last:
            raise _Enough
        self._head_bytes = max(1, self._head_bytes)

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers of a chunked body come here too, and are dropped."""
        self._header_bytes += len(name) + len(value) + 4
        if self._arriving is None:
            self._headers.append((name, value))
        elif self._header_bytes > self._hub.limits.header_bytes:
            raise _Enough

    def on_headers_complete(self) -> None:
        """The header is whole: this is a request."""
        if self._arriving is not None:
            return  # it is known: see `_decline`
        parser = self._parser
        headers = RequestHeaders(self._headers)
        version = parser.get_http_version()
        exchange = Exchange(
            self, parser.get_method().decode(), self._target.decode("latin-1"), headers, version
        )
        if self._header_bytes + len(self._target) > self._hub.limits.header_bytes:
            exchange.fault = _headers_too_large(self._hub.limits)
        elif version == "1.1":
            if not headers.once("host"):
                exchange.fault = Problem("malformed", "send one Host header")
        elif version != "1.0" or "transfer-encoding" in headers:  # RFC 9112, 6.1: its framing is in doubt
            exchange.fault = Problem("malformed", "that is not HTTP/1.1")
        exchange.keep_alive = parser.should_keep_alive() and exchange.fault is None
        self._arriving = exchange
        self._begin_head()
        self._waiting.append(exchange)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._head_bytes = 0
        cast("Exchange", self._arriving).feed(piece)

    def on_message_complete(self) -> None:
        """The request is whole."""
        exchange = cast("Exchange", self._arriving)
        exchange.finish()
        self._arriving = None
        self._begin_head()
        if self._current is None and not self._waiting:  # it was answered long ago
            self._next()

    # ------------------------------------------------------------------ one request after the other

    def _next(self) -> None:
        """Serve the next request, if it is time for it."""
        if self._ending:
            return
        if self._current is not None or self._full:
            if self._waiting:
                self.hold(reading=False)
                if self._current is None:
                    self.deadline = NEVER  # it sent a whole request, and reads the last answer slowly
        elif self._waiting:
            self._begin(self._waiting.popleft())
        elif self._arriving is None:  # else it belongs to a request that was answered, and has its own time
            if self._last:
                self._close()
            else:
                self._idle()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._last = self._last or not exchange.keep_alive
        self.deadline = NEVER
        if self._over:
            exchange.left()
        self._hub.serve(exchange)
        if self._waiting:
            self.hold(reading=False)
        elif exchange.complete:
            self.hold(reading=True)  # so as to see when the client leaves

    def _idle(self) -> None:
        """Wait for another request, or for the rest of its header."""
        if self._head_bytes:
            self._time_head()
        else:
            self.deadline = self._loop.time() + self._hub.limits.idle_seconds
        self.hold(reading=True)

    def _overflow(self) -> None:
        """More came than a header or trailers may have."""
        if self._arriving is None:
            self._refuse(_headers_too_large(self._hub.limits))
        else:
            self._deaf = self._last = True
            self._arriving.fail(ValueError("what is not its content is over the limit of headers"))

    def _break(self, error: Exception) -> None:
        """What came is no HTTP: the request that it belongs to is refused, and nothing more is read."""
        self._deaf = self._last = True
        if self._arriving is not None:
            self._arriving.fail(ValueError(f"the body is malformed: {error}"))
            self._arriving = None
        else:
            self._refuse(Problem("malformed", f"that is not HTTP/1.1: {error}"))

    def _refuse(self, problem: Problem) -> None:
        """Refuse what never became a request."""
        self._deaf = self._last = True
        exchange = Exchange(self, "GET", "/", RequestHeaders(()), "1.1")
        exchange.fault, exchange.keep_alive = problem, False
        exchange.finish()
        self._waiting.append(exchange)

    def expire(self) -> None:
        """The time is over for what the client owes: the rest of a body, of a header, or another request."""
        self.deadline = NEVER
        if self._current is not None:
            self._current.fail(TimeoutError("the body came too slowly"))
        else:
            self._close_now()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or its answer is on its way to the socket."""
        return self._current is not None or self._transport.get_write_buffer_size() > 0

    def stop(self) -> None:
        """Close as soon as what was accepted is answered."""
        self._last = True
        if self._waiting:
            self._waiting[-1].keep_alive = False
        elif self._current is not None:
            self._current.keep_alive = False
        elif not self._ending:
            self._close()

    def _close(self) -> None:
        """Serve nothing more, send what is queued, and end.

        A connection closed over unread bytes is reset, and the reset overtakes the answer: the client would
        see a broken pipe in place of the 413. So what it still sends runs out for a moment.
        """
        unread = self._deaf or self._arriving is not None or not self._reading
        self._ending = self._deaf = self._last = True
        self._waiting.clear()
        if self._over or not unread:
            self._close_now()
            return
        self.hold(reading=True)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.deadline = self._loop.time() + _LINGER_SECONDS

    def _close_now(self) -> None:
        self._ending = self._deaf = self._last = True
        self.deadline = NEVER
        self._transport.close()

    # ------------------------------------------------------------------ for the exchange

    @property
    def client(self) -> str:
        """The address of the other side, as `host:port`."""
        name = self._transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""

    def date(self) -> str:
        """See `Wire`."""
        return self._hub.date_line

    def send(self, data: bytes | memoryview) -> None:
        """See `Wire`."""
        if not self._lost:
            self._transport.write(data)

    async def drained(self) -> None:
        """See `Wire`."""
        if self._full and not self._lost:
            self._writable = self._loop.create_future()
            await self._writable
        else:
            # Others have their turn between two pieces, and the loop sees who has gone.
            await asyncio.sleep(0)
        if self._lost:
            raise ConnectionResetError("the client has gone")

    def hold(self, *, reading: bool) -> None:
        """See `Wire`."""
        if reading != self._reading and not self._over:
            self._reading = reading
            with suppress(RuntimeError):  # it is closing, and reads no more
                (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def answered(self, *, closing: bool) -> None:
        """See `Wire`."""
        exchange, self._current = self._current, None
        if self._lost or exchange is None:
            return
        if closing:
            self._close()
        elif exchange.complete:
            self._next()
        else:  # what is left of its body is dropped as it comes
            self.deadline = self._loop.time() + _LINGER_SECONDS
            self.hold(reading=True)


def _headers_too_large(limits: Limits) -> Problem:
    limit = limits.header_bytes
    return Problem("headers_too_large", f"send at most {limit} bytes of headers", limit=limit, unit="bytes")
