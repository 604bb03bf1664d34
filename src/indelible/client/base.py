"""What the groups of calls share: the transport, and reading an answer into its type."""

from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import msgspec

from indelible.client.errors import UnexpectedAnswer
from indelible.client.transport import Reply, Transport

_T = TypeVar("_T")


class Calls:
    """A group of calls over one transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def _send_json(
        self, method: str, path: str, body: Any, *, repeatable: bool = False, wait_seconds: float = 0.0
    ) -> Reply:
        return self.transport.send(
            method,
            path,
            content=msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
            repeatable=repeatable,
            wait_seconds=wait_seconds,
        )

    def _decode(self, reply: Reply, kind: type[_T]) -> _T:
        return self._parse(reply.body, kind)

    def _parse(self, body: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise UnexpectedAnswer(f"{self.transport.url} answered unlike Indelible: {error}") from None


def save(pieces: Iterable[bytes], file: BinaryIO, told: Callable[[int], object]) -> int:
    """Write pieces to `file`, tell of the bytes so far after each, and return their number."""
    written = 0
    for piece in pieces:
        written += file.write(piece)
        told(written)
    return written


def path_to(*parts: str) -> str:
    """Return the path of these parts, each percent-encoded."""
    return "/" + "/".join(quote(part, safe="") for part in parts)
