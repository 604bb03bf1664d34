"""The events of an evidence file, and the events of `_audit` that say who wrote them."""

import uuid
from collections.abc import Iterator

import msgspec

from indelible.log.chunk import Chunk
from indelible.log.core import Core
from indelible.log.read import EventReader, Span
from indelible.model.instants import format_micros
from indelible.model.types import NO_AUTH_WRITER, ROOT_WRITER, Event, LogInfo
from indelible.notes.evidence import Line, content_of, encode_lines

_PIECE_BYTES = 256 << 10
_NEEDS_NO_NAME = frozenset({ROOT_WRITER.bytes, NO_AUTH_WRITER.bytes})


class _Resource(msgspec.Struct):
    type: str
    id: str


class _Said(msgspec.Struct):
    """What `_audit` says, as far as it is looked at here."""

    type: str
    resource: _Resource


_said = msgspec.json.Decoder(_Said)


class WriterNames:
    """Collects who wrote, and finds the words of `_audit` about them among its first `size` events."""

    def __init__(self, core: Core, audit: LogInfo, size: int) -> None:
        self._core = core
        self._audit = audit
        self._size = size
        self._writers: dict[bytes, None] = {}

    def seen(self, writer: bytes) -> None:
        """Note that somebody wrote an event."""
        if len(self._writers) < self._core.limits.evidence_writers:
            self._writers.setdefault(writer)

    def lines(self, info: LogInfo, sequences: list[int]) -> Iterator[bytes]:
        """The words about a log and about all who were seen, oldest first; `sequences` takes their numbers.

        What is not found is left out, and then not proved.
        """
        found = [self._find("log.created", str(info.log_id), info.created)]
        for writer in self._writers:
            key_id = str(uuid.UUID(bytes=writer))
            row = None if writer in _NEEDS_NO_NAME else self._core.reader.key(key_id)
            if row is not None and row.workspace == info.workspace:
                found.append(self._find("key.created", key_id, row.created))
        events = {event.sequence: event for event in found if event is not None}
        for sequence, event in sorted(events.items()):
            sequences.append(sequence)
            yield encode_lines([_line(event)])

    def _find(self, kind: str, subject: str, created: int) -> Event | None:
        """The word about something made at a time: written in the same commit, and dated then.

        Where the clock was set back before, it is dated later than its subject says of itself.
        """
        events, log = self._core.events, self._audit.key
        first = events.first_at_or_after(log, self._size, created)
        last = min(self._size, first + self._core.limits.evidence_lookup_events - 1)
        for event in events.events(log, Span(first, last)):
            said = _said.decode(event.payload)
            if said.type == kind and said.resource.id == subject:
                return event
        return None


def lines_of(events: EventReader, log: int, span: Span, names: WriterNames) -> Iterator[bytes]:
    """The events of a range as lines, in pieces of some size."""
    if span.first > span.last:
        return
    pieces: list[bytes] = []
    size = 0
    for chunk in events.chunks(log, span):
        for writer in chunk.writers:
            names.seen(writer)
        pieces.append(encode_lines(_chunk_lines(chunk, span)))
        size += len(pieces[-1])
        if size >= _PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join(pieces)


def _chunk_lines(chunk: Chunk, span: Span) -> list[Line]:
    low, high = chunk.places(*span)
    time = format_micros(chunk.time)
    writers = [str(uuid.UUID(bytes=writer)) for writer in chunk.writers]
    of, salts, first = chunk.writer_of, chunk.salts.hex(), chunk.first
    payloads = chunk.payloads()
    return [
        Line(
            first + at,
            time,
            writers[of[at] if of else 0],
            salts[at * 32 : at * 32 + 32],
            *content_of(payloads[at]),
        )
        for at in range(low, high)
    ]


def _line(event: Event) -> Line:
    writer = str(uuid.UUID(bytes=event.writer))
    content = content_of(event.payload)
    return Line(event.sequence, format_micros(event.time), writer, event.salt.hex(), *content)
