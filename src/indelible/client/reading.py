"""Reading events of any number in bounded memory, over connections that may break."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from indelible.client.errors import UnexpectedAnswer, Unreachable
from indelible.client.transport import Params, Transport
from indelible.model.limits import DEFAULT_LIMITS

Order = Literal["asc", "desc"]

_VAIN_TRIES = 3  # breaks in a row without an event between them
_LINE_BYTES = 2 * DEFAULT_LIMITS.batch_bytes  # no event is larger than a batch, and base64 adds a third
_NDJSON = {"Accept": "application/x-ndjson"}


class _Sequenced(msgspec.Struct):
    sequence: int


_SEQUENCED = msgspec.json.Decoder(_Sequenced)


def event_params(
    after_sequence: int | None,
    limit: int | None,
    from_: str | None,
    to: str | None,
    order: Order,
    *,
    exact: bool,
) -> list[tuple[str, str]]:
    """Write the parameters of `/events`, without those that have their default."""
    values = (
        ("after_sequence", after_sequence),
        ("limit", limit),
        ("from", from_),
        ("to", to),
        ("order", order if order != "asc" else None),
        ("bytes", "true" if exact else None),
    )
    return [(name, str(value)) for name, value in values if value is not None]


class EventReader:
    """Iterates over the lines of `/events` as NDJSON, without their line feeds.

    Each line's sequence must follow the one before: a gap is an error, never silence. A connection that
    breaks is made again, from the event after the last one given. `last` is that event's sequence.
    """

    def __init__(self, transport: Transport, path: str, params: Params) -> None:
        self._transport = transport
        self._path = path
        self._params = [(name, value) for name, value in params if name != "after_sequence"]
        self._start = next((int(value) for name, value in params if name == "after_sequence"), None)
        self._step = -1 if ("order", "desc") in self._params else 1
        self.last: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        vain = 0
        while True:
            before = self.last
            try:
                yield from self._once()
            except Unreachable:
                vain = 0 if self.last != before else vain + 1
                if vain == _VAIN_TRIES:
                    raise
                # One small request tells, with its retries, whether anybody is there.
                self._transport.send("GET", self._path, params=[*self._params, ("limit", "1")])
            else:
                return

    def _once(self) -> Iterator[bytes]:
        after = self.last if self.last is not None else self._start
        params = [*self._params, ("after_sequence", str(after))] if after is not None else self._params
        with self._transport.stream(self._path, params, _NDJSON) as pieces:
            for line in split_lines(pieces):
                self._check(line)
                yield line

    def _check(self, line: bytes) -> None:
        try:
            sequence = _SEQUENCED.decode(line).sequence
        except msgspec.DecodeError as error:
            raise UnexpectedAnswer(f"a line of the stream is no event: {error}") from None
        if self.last is not None and sequence != self.last + self._step:
            raise UnexpectedAnswer(
                f"event {sequence} came after {self.last}: events between them are missing"
            )
        self.last = sequence


def split_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Cut a stream of pieces at its line feeds.

    Raises:
        UnexpectedAnswer: the stream ends inside a line, or a line has no end.
    """
    rest: list[bytes] = []
    length = 0
    for piece in pieces:
        head, *lines = piece.split(b"\n")
        if not lines:
            rest.append(piece)
            length += len(piece)
            if length > _LINE_BYTES:
                raise UnexpectedAnswer(f"a line of the stream has more than {_LINE_BYTES} bytes")
            continue
        yield b"".join([*rest, head])
        *whole, tail = lines
        yield from whole
        rest, length = ([tail] if tail else []), len(tail)
    if rest:
        raise UnexpectedAnswer("the stream of events ends inside a line")
