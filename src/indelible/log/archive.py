"""What is to be archived, and how a segment is made and checked: planning is pure, the rest blocks.

A segment counts once it was read back, its leaves computed from what was read, and the root that they lead
to proved to be a beginning of the published head's tree.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from indelible.log.chunk import Chunk
from indelible.log.prove import Prover
from indelible.log.publish import Published
from indelible.log.read import EventReader, Span
from indelible.log.segment import (
    Ref,
    Segment,
    SegmentError,
    cut,
    decode_segment,
    encode_segment,
    rebuilt,
    ref_of,
    segment_key,
)
from indelible.merkle.frontier import Frontier, extend, root
from indelible.merkle.proofs import verify_consistency
from indelible.merkle.subtrees import Span as Leaves
from indelible.merkle.subtrees import perfect_parts
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.store.objects import Objects, ObjectsDiffer

UNIT = 256
"""Events in the smallest segment that was not sealed by age: those of a tile."""

Size = Callable[[int, int], int]
"""How many bytes of payload the events from one sequence to another have, both inside."""


class Sealed(NamedTuple):
    """How far a log is sealed: events, the segment that ends there, and those since the last manifest."""

    size: int
    last: Ref | None
    segments: tuple[Ref, ...]


def plan_segment(first: int, head: int, *, by_age: bool, limits: Limits, payload_bytes: Size) -> int | None:
    """Where the next segment ends that begins at `first`, None while there is too little for one.

    A segment is full at `archive_segment_events`, or where one more unit of 256 would pass
    `archive_segment_bytes`; it ends at a multiple of 256, unless `by_age` takes all there is.
    """
    end, size = first - 1, 0
    while end < head:
        unit_end = min(head, (end // UNIT + 1) * UNIT)
        if unit_end % UNIT and not by_age:
            return None
        size += payload_bytes(end + 1, unit_end)
        if end >= first and size > limits.archive_segment_bytes:
            return end
        end = unit_end
        if end - first + 1 > limits.archive_segment_events - UNIT:
            return end
    return end if by_age and end >= first else None


class Sealer:
    """Makes segments of a log's events. Blocking; any thread."""

    def __init__(self, objects: Objects, events: EventReader, prover: Prover, limits: Limits) -> None:
        self._objects = objects
        self._events = events
        self._prover = prover
        self._limits = limits

    def next(self, info: LogInfo, sealed: Sealed, head: Published, *, by_age: bool) -> Sealed | None:
        """Seal the next segment of a log up to its published head, None where there is none to seal.

        Raises:
            ObjectsDiffer: another segment stands there, or what was read back does not lead to the head.
            LookupError, ChunkError: events are missing or damaged in the store.
            OSError: the objects cannot be written or read.
        """
        first = sealed.size + 1
        chunks = _Ahead(self._events.chunks(info.key, Span(first, head.size)))
        end = plan_segment(
            first, head.size, by_age=by_age, limits=self._limits, payload_bytes=chunks.payload_bytes
        )
        if end is None:
            return None
        runs = chunks.runs(first, end)
        key = segment_key(info, first, end)
        data = self._store(key, encode_segment(info.origin, runs, sealed.last))
        self._check(info, key, data, head)
        ref = ref_of(key, data, self._objects.version(key))
        return Sealed(end, ref, (*sealed.segments, ref))

    def _store(self, key: str, data: bytes) -> bytes:
        """Store a segment, and give what stands there: the same, if perhaps compressed by another library."""
        created = self._objects.create(key, data)
        there = self._objects.get(key)
        if there is None or (there != data and (created or not self._same(there, data))):
            raise ObjectsDiffer(f"{key} in {self._objects.place} is not the segment that belongs there")
        return there

    def _same(self, there: bytes, data: bytes) -> bool:
        try:
            found = self._decode(there)
        except SegmentError:
            return False
        return found == self._decode(data)

    def _decode(self, data: bytes) -> Segment:
        return decode_segment(data, self._limits.archive_object_bytes)

    def _check(self, info: LogInfo, key: str, data: bytes, head: Published) -> None:
        segment = self._decode(data)
        leaves = [leaf for run in segment.runs for leaf in rebuilt(run)[1]]
        before, after = segment.header.first - 1, segment.header.last
        found = root(extend(self._frontier(info, before), leaves).frontier)
        proof = self._prover.consistency(info.key, after, head.size)
        try:
            verify_consistency(after, head.size, found, head.root, proof)
        except ValueError as error:
            raise ObjectsDiffer(
                f"the events of {key} are not those of the published head of {head.size} events: {error}"
            ) from None

    def _frontier(self, info: LogInfo, size: int) -> Frontier:
        parts = perfect_parts(Leaves(0, size))
        return Frontier(size, tuple(self._prover.source(info.key)(parts)) if parts else ())


class _Ahead:
    """The chunks of a log as they are read, no more of them than a segment needs."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._read: list[Chunk] = []
        self._firsts: list[int] = []

    def payload_bytes(self, first: int, last: int) -> int:
        """See `Size`."""
        total = 0
        for chunk in self._between(first, last):
            low, high = chunk.places(first, last)
            total += sum(chunk.lengths[low:high])
        return total

    def runs(self, first: int, last: int) -> list[Chunk]:
        """The events from `first` to `last`, chunks cut at both ends."""
        return [cut(each, first, last) for each in self._between(first, last)]

    def _between(self, first: int, last: int) -> list[Chunk]:
        while not self._read or self._read[-1].last < last:
            chunk = next(self._chunks)
            self._read.append(chunk)
            self._firsts.append(chunk.first)
        return self._read[max(0, bisect_right(self._firsts, first) - 1) : bisect_right(self._firsts, last)]
