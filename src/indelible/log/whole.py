"""A log's rows whole, without a seam: those in the store, and those that were trimmed, out of the archive."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from indelible.log.chunk import LEAF_BYTES
from indelible.log.segment import SegmentError
from indelible.log.segmentrows import Rows, SegmentRows
from indelible.store.base import ChunkRow, EventRows, Reader, SegmentRow


class WholeRows(EventRows):
    """Implements `store.base.EventRows` over a store and its archive.

    The store is asked first: where it has what is asked for, nothing else is looked at. Trimming may go on
    meanwhile; what is no longer in the store then is in a segment already.

    Args:
        reader: of the store.
        segments: of its archive.
        on_damage: told of a segment that cannot be read, whose events are then missing; None: it is raised.
    """

    def __init__(
        self,
        reader: Reader,
        segments: SegmentRows,
        on_damage: Callable[[SegmentRow, SegmentError], None] | None = None,
    ) -> None:
        self._reader = reader
        self._segments = segments
        self._on_damage = on_damage

    def chunks(self, log: int, sequence: int, limit: int, *, reverse: bool = False) -> list[ChunkRow]:
        """See `EventRows`; fewer where a segment ends.

        Raises:
            ObjectsUnreachable, OSError: the archive cannot be read.
            SegmentError: a segment is missing or was changed.
        """
        rows = self._reader.chunks(log, sequence, limit, reverse=reverse)
        if rows:
            return rows
        archived = self._archived(log, sequence)
        if reverse:
            return list(reversed(archived.upto(sequence)[-limit:]))
        return list(archived.since(sequence)[:limit])

    def metas(self, log: int, first: int, last: int) -> list[ChunkRow]:
        """See `EventRows`; raises as `chunks`."""
        rows = self._reader.metas(log, first, last)
        if rows and rows[0].first <= first:
            return rows
        archived = self._archived(log, first).since(first)
        if not archived:
            return rows
        wanted = [row._replace(leaves=b"", payload=b"") for row in archived if row.first <= last]
        after = archived[-1].first + archived[-1].events
        return wanted if after > last else wanted + self.metas(log, after, last)

    def chunk_time(self, log: int, sequence: int) -> tuple[int, int, int] | None:
        """See `EventRows`; raises as `chunks`."""
        found = self._reader.chunk_time(log, sequence)
        if found is not None:
            return found
        rows = self._archived(log, sequence).since(sequence)
        return (rows[0].first, rows[0].events, rows[0].time) if rows else None

    def leaves(self, log: int, first: int, count: int) -> bytes:
        """See `EventRows`; raises as `chunks`."""
        try:
            return self._reader.leaves(log, first, count)
        except LookupError:
            rows = self._archived(log, first).since(first)
            if not rows:
                raise
        joined = b"".join(row.leaves for row in rows)
        skip = (first - rows[0].first) * LEAF_BYTES
        found = joined[skip : skip + count * LEAF_BYTES]
        done = len(found) // LEAF_BYTES
        return found if done == count else found + self.leaves(log, first + done, count - done)

    def _archived(self, log: int, sequence: int) -> "_Archived":
        """The rows of the segment that holds a trimmed event; none where the event was not trimmed."""
        trimmed = self._reader.trimmed(log) if sequence > 0 else 0
        segment = self._reader.segment(log, sequence) if sequence <= trimmed else None
        if segment is None:
            return _Archived(None, 0)
        try:
            return _Archived(self._segments.rows(segment), trimmed)
        except SegmentError as error:
            if self._on_damage is None:
                raise
            self._on_damage(segment, error)
            return _Archived(None, 0)


class _Archived(NamedTuple):
    """The rows of one segment, or none, but for those that the store still has, after event `trimmed`."""

    rows: Rows | None
    trimmed: int

    def since(self, sequence: int) -> Sequence[ChunkRow]:
        """The row that holds an event, and those after it."""
        if self.rows is None:
            return ()
        return self.rows.rows[self.rows.place(sequence) : self.rows.place(self.trimmed) + 1]

    def upto(self, sequence: int) -> Sequence[ChunkRow]:
        """The row that holds an event, and those before it."""
        return () if self.rows is None else self.rows.rows[: self.rows.place(sequence) + 1]
