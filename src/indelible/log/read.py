"""Reading events back: by sequence, by time, in either direction, in pages of bounded size. Blocking."""

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from indelible.log.chunk import Chunk, decode_chunk
from indelible.log.segmentrows import SegmentRows
from indelible.log.whole import WholeRows
from indelible.model.packed import Packed
from indelible.model.types import Event
from indelible.store.base import EventRows, Reader

CHUNKS_A_READ = 64
READ_BYTES = 1 << 20


class Span(NamedTuple):
    """Sequences from `first` to `last`, both inside; empty when `last` is smaller."""

    first: int
    last: int


class Columns(NamedTuple):
    """Consecutive events column by column, as views fold them."""

    first_sequence: int
    times: Sequence[int]
    payloads: Packed
    writers: Sequence[bytes]
    writer_of: Sequence[int]  # empty when there is one writer


class EventReader:
    """Reads what is committed, in the store and, where `segments` are given, what was trimmed. Any thread.

    Every method may raise StoreUnavailable or ObjectsUnreachable where database or archive do not answer.
    """

    def __init__(self, reader: Reader, segments: SegmentRows | None = None) -> None:
        self._reader = reader
        self.rows: EventRows = reader if segments is None else WholeRows(reader, segments)

    def chunks(self, log: int, span: Span, *, reverse: bool = False) -> Iterator[Chunk]:
        """The chunks that hold events of `span`, whole, a few at a time from the store.

        Raises:
            LookupError: an event of `span` is not there; what came before it was given.
            ChunkError: a stored row is damaged.
        """
        at = span.last if reverse else span.first
        limit = 1  # grows while rows are small, so that one event costs one row and a scan few reads
        while span.first <= at <= span.last:
            rows = self.rows.chunks(log, at, limit, reverse=reverse)
            if sum(len(row.payload) for row in rows) * 2 <= READ_BYTES:
                limit = min(limit * 4, CHUNKS_A_READ)
            if not rows:
                raise LookupError(f"the events at {at} are not all there")
            for row in rows:
                chunk = decode_chunk(row)
                if not span.first <= at <= span.last:
                    return
                if not chunk.first <= at <= chunk.last:
                    raise LookupError(f"the events at {at} are not all there")
                yield chunk
                at = chunk.first - 1 if reverse else chunk.last + 1

    def events(self, log: int, span: Span, *, reverse: bool = False) -> Iterator[Event]:
        """The events of `span` in order, or the newest first."""
        for chunk in self.chunks(log, span, reverse=reverse):
            events = chunk.event_list()
            events = events[max(0, span.first - chunk.first) : span.last - chunk.first + 1]
            yield from reversed(events) if reverse else events

    def event(self, log: int, sequence: int) -> Event | None:
        """One event, None where there is none."""
        try:
            return next(self.events(log, Span(sequence, sequence)), None)
        except LookupError:
            return None

    def chunk(self, log: int, sequence: int) -> Chunk | None:
        """The chunk that holds an event, None where there is none."""
        try:
            return next(self.chunks(log, Span(sequence, sequence)), None)
        except LookupError:
            return None

    def page(
        self, log: int, span: Span, max_events: int, max_bytes: int, *, reverse: bool = False
    ) -> tuple[list[Event], bool]:
        """At least one event of a non-empty span, and whether more are left."""
        events: list[Event] = []
        size = 0
        for event in self.events(log, span, reverse=reverse):
            size += len(event.payload)
            if events and (len(events) >= max_events or size > max_bytes):
                return events, True
            events.append(event)
        return events, False

    def columns(self, log: int, span: Span, enough_events: int, enough_bytes: int) -> Columns:
        """The first events of `span` by columns, whole chunks until it is enough.

        A chunk that is begun is given to its end, so that whoever reads on has no chunk read twice.
        """
        times, sizes, payloads = array("Q"), array("Q"), []
        size = 0
        writers: dict[bytes, int] = {}
        writer_of: list[int] = []
        for chunk in self.chunks(log, span):
            skip, keep = chunk.places(*span)
            part = Packed(chunk.payload, array("Q", chunk.lengths))[skip:keep]
            payloads.append(part.joined)
            size += len(payloads[-1])
            sizes += part.sizes
            times += array("Q", (chunk.time,)) * len(part)
            places = [writers.setdefault(writer, len(writers)) for writer in chunk.writers]
            if chunk.writer_of:
                writer_of += [places[place] for place in chunk.writer_of[skip:keep]]
            else:
                writer_of += [places[0]] * len(part)
            if len(sizes) >= enough_events or size >= enough_bytes:
                break
        single = len(writers) <= 1
        packed = Packed(b"".join(payloads), sizes)
        return Columns(span.first, times, packed, list(writers), [] if single else writer_of)

    def between(self, log: int, size: int, low: int | None, high: int | None) -> Span:
        """The events, of the first `size`, of a window of time (µs): from `low` on and before `high`."""
        first = 1 if low is None else self.first_at_or_after(log, size, low)
        return Span(first, size if high is None else self.first_at_or_after(log, size, high) - 1)

    def first_at_or_after(self, log: int, size: int, micros: int) -> int:
        """The first sequence whose time is `micros` or later; `size + 1` when there is none.

        Times never decrease within a log, so this is a bisection over chunks and needs no index. Of trimmed
        events one segment is read at most.
        """
        low, high = self._around(log, size, micros)
        while low < high:
            middle = (low + high) // 2
            first, events, time = self.rows.chunk_time(log, middle) or (0, 0, 0)
            if not first <= middle < first + events:
                raise LookupError(f"the events at {middle} are not all there")
            if time >= micros:
                high = max(low, first)
            else:
                low = first + events
        return min(low, size + 1)  # a chunk may reach past `size`

    def _around(self, log: int, size: int, micros: int) -> tuple[int, int]:
        """Sequences between which the first event at or after a time is, by what is known of segments."""
        before = self._reader.segment_before(log, micros)
        if before is not None and micros <= before.last_time:
            return before.first, before.last + 1
        start = before.last + 1 if before else 1
        return start, start if self._reader.segment(log, start) else size + 1
