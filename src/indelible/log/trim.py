"""Trimming: events that the archive holds leave the store, and are read from their segments after that.

A log's events go from the first on, never its last chunk, nor one that is not archived, nor one that is
younger than whoever calls says. Before a segment's events go they are read back from it and compared with the
leaf hashes in the store; that they can be read there is recorded in the transaction that removes them.
"""

from collections.abc import Callable
from typing import NamedTuple

from indelible.log.archive_manifest import ArchivedLog, ArchiveError
from indelible.log.chunk import LEAF_BYTES
from indelible.log.read import EventReader
from indelible.log.segment import SegmentError, decode_segment, rebuilt
from indelible.log.segmentchain import Fetched, segments_of
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.store.base import SegmentRow, Store
from indelible.store.objects import Objects

STEP_EVENTS = 2_048
"""Events that leave in one transaction, or one chunk where that has more: appends go on between two."""


class Reach(NamedTuple):
    """How far a log was trimmed, and how far it may be."""

    trimmed: int
    size: int


class Trimmer:
    """Trims the logs of a store. Blocking; servers may go on meanwhile.

    Args:
        store: to be trimmed, by whoever may remove events from it.
        objects: that hold its archive.
        events: what reads its events, those that were trimmed as well.
        limits: how large a segment may be.
    """

    def __init__(self, store: Store, objects: Objects, events: EventReader, limits: Limits) -> None:
        self._store = store
        self._objects = objects
        self._events = events
        self._limits = limits

    def reach(self, info: LogInfo, archived: ArchivedLog | None, before: int) -> Reach:
        """How far a log may be trimmed, of events that are older than `before` (µs)."""
        reader = self._store.reader
        trimmed, head = reader.trimmed(info.key), reader.head(info.key)
        if head is None or archived is None:
            return Reach(trimmed, trimmed)
        older = self._events.first_at_or_after(info.key, head.size, before) - 1
        size = min(older, archived.size, head.size - 1)
        following = reader.chunk_time(info.key, size + 1)
        return Reach(trimmed, max(trimmed, following[0] - 1 if following else 0))

    def trim(
        self, info: LogInfo, archived: ArchivedLog, reach: Reach, progress: Callable[[int], None]
    ) -> int:
        """Trim a log as far as `reach` says, in short steps; gives how many events it was trimmed of.

        `progress` is called with how many events are done.

        Raises:
            ArchiveError: a segment is missing, was changed, or is not of these events. What was trimmed
                before stays so.
            StoreError, OSError: the store or the objects fail.
        """
        trimmed = reach.trimmed
        for segment in segments_of(self._objects, archived, trimmed):
            if trimmed >= reach.size:
                break
            row = self._checked(info, segment, trimmed)
            last = min(row.last, reach.size)
            for step in (*range(trimmed + STEP_EVENTS, last, STEP_EVENTS), last):
                with self._store.transaction() as transaction:
                    transaction.put_segment(info.key, row)
                    trimmed = transaction.trim(info.key, step)
                progress(trimmed - reach.trimmed)
        return trimmed - reach.trimmed

    def _checked(self, info: LogInfo, segment: Fetched, trimmed: int) -> SegmentRow:
        """The row of a segment, whose events were compared with those that are stored still."""
        ref = segment.ref
        try:
            runs = decode_segment(segment.data, self._limits.archive_object_bytes).runs
            leaves = b"".join(leaf for run in runs for leaf in rebuilt(run)[1])
        except (SegmentError, ValueError) as error:
            raise ArchiveError(f"{ref.key}: {error}") from None
        first, last = runs[0].first, runs[-1].last
        begin = max(first, trimmed + 1)
        stored = self._store.reader.leaves(info.key, begin, last - begin + 1)
        if leaves[(begin - first) * LEAF_BYTES :] != stored:
            raise ArchiveError(f"{ref.key} holds other events than the store has from {begin} to {last}")
        times = (runs[0].time, runs[-1].time)
        return SegmentRow(first, last, *times, ref.key, ref.sha256, ref.size, ref.version)
