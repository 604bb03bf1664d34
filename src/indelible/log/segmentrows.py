"""The rows of segments: read back, compared with their digest, and kept for as long as there is room."""

import threading
from bisect import bisect_right
from collections import OrderedDict
from concurrent.futures import Future
from typing import NamedTuple

from indelible.log.segment import SegmentError, decode_segment, rebuilt
from indelible.model.limits import Limits
from indelible.store.base import ChunkRow, SegmentRow
from indelible.store.objects import Objects, ObjectsDiffer, get_exact


class Rows(NamedTuple):
    """The rows of a segment in order, where each begins, and how many bytes all their columns have."""

    rows: tuple[ChunkRow, ...]
    firsts: tuple[int, ...]
    size: int

    def place(self, sequence: int) -> int:
        """The place of the row that holds an event of the segment."""
        return bisect_right(self.firsts, sequence) - 1


class SegmentRows:
    """Gives the rows that a segment's events had as chunks, but that a chunk over two segments is two.

    Any thread. Of those that ask for one segment at once, one reads it; what is kept takes no more than
    `segment_cache_bytes`, but for the segment read last.
    """

    def __init__(self, objects: Objects, limits: Limits) -> None:
        self._objects = objects
        self._limits = limits
        self._kept: OrderedDict[str, Rows] = OrderedDict()  # by digest
        self._reading: dict[str, Future[Rows]] = {}
        self._lock = threading.Lock()
        self._readers = threading.BoundedSemaphore(max(1, limits.segment_parallel_reads))

    def rows(self, segment: SegmentRow) -> Rows:
        """The rows of a segment, in order.

        Raises:
            ObjectsUnreachable, OSError: the objects cannot be read.
            SegmentError: it is missing, or is not the one that was archived.
        """
        with self._lock:
            kept = self._kept.get(segment.sha256)
            if kept is not None:
                self._kept.move_to_end(segment.sha256)
                return kept
            reading = self._reading.get(segment.sha256)
            mine = reading is None
            if reading is None:
                reading = self._reading[segment.sha256] = Future()
        if mine:
            self._read(segment, reading)
        return reading.result()

    def _read(self, segment: SegmentRow, reading: Future[Rows]) -> None:
        try:
            with self._readers:
                rows = self._load(segment)
        except BaseException as error:  # noqa: BLE001 - raised again where it is asked for
            reading.set_exception(error)
        else:
            self._keep(segment.sha256, rows)
            reading.set_result(rows)
        finally:
            with self._lock:
                del self._reading[segment.sha256]

    def _load(self, segment: SegmentRow) -> Rows:
        try:
            data = get_exact(self._objects, segment.key, segment.sha256, segment.version)
        except ObjectsDiffer as error:
            raise SegmentError(str(error)) from None
        runs = decode_segment(data, self._limits.archive_object_bytes).runs
        if (runs[0].first, runs[-1].last) != (segment.first, segment.last):
            raise SegmentError(f"{segment.key} holds other events than {segment.first} to {segment.last}")
        rows = tuple(rebuilt(run)[0] for run in runs)
        size = sum(len(row.meta) + len(row.leaves) + len(row.payload) for row in rows)
        return Rows(rows, tuple(row.first for row in rows), size)

    def _keep(self, digest: str, rows: Rows) -> None:
        with self._lock:
            self._kept[digest] = rows
            total = sum(kept.size for kept in self._kept.values())
            while total > self._limits.segment_cache_bytes and len(self._kept) > 1:
                total -= self._kept.popitem(last=False)[1].size
