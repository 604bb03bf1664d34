"""What handlers take and give: a request as far as it was read, and an answer that nothing sent yet."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from indelible.model.errors import Problem
from indelible.service.types import Caller

Headers = list[tuple[str, str]]

ANY_ORIGIN = ("access-control-allow-origin", "*")
"""Lets a page of any origin read the answer; for what needs no key only."""


class RequestHeaders(dict[str, str | None]):
    """Request headers: the first value of each name in lower case, None where it is not ASCII."""

    def __init__(self, given: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(
            {
                name.decode("latin-1").lower(): value.decode().rstrip() if value.isascii() else None
                for name, value in reversed(given)
            }
        )
        self._given = given

    def once(self, name: str, /) -> bool:
        """Say whether a header is given, once, and is ASCII."""
        if self.get(name) is None:
            return False
        if len(self._given) == len(self):
            return True
        return [key.decode("latin-1").lower() for key, _ in self._given].count(name) == 1

    @property
    def length(self) -> int | None:
        """What Content-Length says.

        It was read before, as a word of 64 bits, so that only zeros can stand in front of the last 20 digits;
        Python refuses to read thousands of them.
        """
        value = self.get("content-length")
        return int(value[-20:]) if value else None


class Peer(Protocol):
    """Where a request comes from, and which server it names."""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""

    @property
    def client(self) -> str:
        """The address of the other side, as `host:port`."""

    @property
    def authority(self) -> str | None:
        """Host and port of an absolute URL in the request line, None where there is none."""


class Request:
    """One request: its parts are read by the application in this order, and handlers only look at them."""

    __slots__ = (
        "body",
        "caller",
        "headers",
        "params",
        "path",
        "peer",
        "query_string",
        "shared",
    )

    def __init__(self, peer: Peer, headers: RequestHeaders) -> None:
        self.peer = peer
        self.headers = headers
        self.path: tuple[str, ...] = ()  # the values of the template's names, in order
        self.query_string: str = ""
        self.params: Mapping[str, Any] = {}
        self.caller: Caller = NOBODY
        self.body = b""
        self.shared = False  # the answer is everybody's: it may be kept by shared caches and read by any page

    def header(self, name: str) -> str | None:
        """Return a header that decides something, so that an unreadable or repeated one is refused.

        Raises:
            Problem: `malformed`.
        """
        if name not in self.headers:
            return None
        value = self.headers.get(name)
        if value is None:
            raise Problem("malformed", f"the header {name} must be visible ASCII", header=name)
        if not self.headers.once(name):
            raise Problem("malformed", f"the header {name} is given twice", header=name)
        return value


class Answer(NamedTuple):
    """An answer in memory."""

    status: int
    headers: Headers
    body: bytes


class Stream(NamedTuple):
    """An answer of any length: pieces are asked for only as the client takes them.

    Where they fail, a last line says why; one that `breaks` ends the connection without the answer's end.
    """

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]
    breaks: bool = False


NOBODY = Caller(bytes(16), "", -1, frozenset(), frozenset(), frozenset())
"""The caller of what needs no key: may do nothing."""
