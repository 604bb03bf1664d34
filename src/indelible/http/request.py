"""What handlers take and give: a request as far as it was read, and an answer that nothing sent yet."""

from collections.abc import AsyncIterator, Generator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from indelible.model.errors import Problem
from indelible.service.types import Caller

Headers = list[tuple[str, str]]
_T_co = TypeVar("_T_co", covariant=True)


class HeaderMap(Protocol):
    """Request headers as RSGI gives them; names are lower case."""

    def __contains__(self, name: str, /) -> bool:
        """Say whether the header was sent, readable or not."""

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """Return the first value, or `default` where there is none or it is not visible ASCII."""

    def get_all(self, name: str, /) -> list[str]:
        """Return all values that are visible ASCII."""


class Cancellable(Protocol[_T_co]):
    """What can be awaited once, and cut off while it is."""

    def __await__(self) -> Generator[Any, None, _T_co]:
        """Wait."""

    def cancel(self) -> object:
        """End the wait with CancelledError."""


class Transport(Protocol):
    """The RSGI protocol of one request, as far as it is used here."""

    def __call__(self) -> Cancellable[bytes]:
        """Return the whole body, when it is there."""

    def __aiter__(self) -> "Transport":
        """Begin to read the body in pieces."""

    async def __anext__(self) -> bytes:
        """Return the next piece."""

    async def client_disconnect(self) -> None:
        """Return when the client has gone."""

    def response_empty(self, status: int, headers: Headers) -> None:
        """Answer without a body."""

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a body that is in memory."""

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        """Answer with what reading `file` gives, as fast as the client takes it."""


class Request:
    """One request: its parts are read by the application in this order, and handlers only look at them."""

    __slots__ = (
        "body",
        "body_taken",
        "caller",
        "headers",
        "params",
        "path",
        "query_string",
        "scope",
        "transport",
    )

    def __init__(self, scope: Any, transport: Transport, headers: HeaderMap, path: tuple[str, ...]) -> None:
        self.scope = scope
        self.transport = transport
        self.headers = headers
        self.path = path  # the values of the template's names, in order
        self.query_string: str = ""
        self.params: Mapping[str, Any] = {}
        self.caller: Caller = NOBODY
        self.body = b""
        self.body_taken = False

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
        if len(self.headers.get_all(name)) > 1:
            raise Problem("malformed", f"the header {name} is given twice", header=name)
        return value


class Answer(NamedTuple):
    """An answer in memory."""

    status: int
    headers: Headers
    body: bytes


class Stream(NamedTuple):
    """An answer of any length: pieces are asked for only as the client takes them."""

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]


NOBODY = Caller(bytes(16), "", -1, frozenset(), frozenset(), frozenset())
"""The caller of what needs no key: may do nothing."""
