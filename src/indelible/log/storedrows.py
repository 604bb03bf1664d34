"""A log's stored chunks row by row, whatever is wrong with them."""

from collections.abc import Iterator

from indelible.log.chunk import LEAF_BYTES
from indelible.log.read import CHUNKS_A_READ, READ_BYTES
from indelible.store.base import ChunkRow, EventRows


def rows_of(reader: EventRows, log: int, last: int) -> Iterator[ChunkRow]:
    """The chunks that begin at or before sequence `last`, in order, a few at a time from the store.

    One that is missing is passed over, and one that overlaps another comes all the same.
    """
    seen, at, limit = 0, 1, 1
    while at <= last:
        before = _first_of(reader, log, at - 1)
        if before > seen:  # between the last chunk and where it says that it ends
            at = _following(reader, log, seen, before)
        rows = [row for row in reader.chunks(log, at, limit) if row.first > seen]
        if not rows:
            at = _following(reader, log, seen, last)
            continue
        if sum(map(_payload_bytes, rows)) * 2 <= READ_BYTES:
            limit = min(limit * 4, CHUNKS_A_READ)
        for row in rows:
            if row.first > last:
                return
            yield row
        seen = rows[-1].first
        at = seen + _extent(rows[-1])


def _first_of(reader: EventRows, log: int, sequence: int) -> int:
    """Where the chunk begins that is the last to begin at or before a sequence, 0 where there is none."""
    found = reader.chunk_time(log, sequence) if sequence > 0 else None
    return found[0] if found else 0


def _following(reader: EventRows, log: int, seen: int, last: int) -> int:
    """Where the first chunk after the one at `seen` begins; past `last` where there is none up to there.

    A bisection, since readers find a chunk from behind only; it is needed where a store is damaged.
    """
    if _first_of(reader, log, last) <= seen:
        return last + 1
    low, high = seen + 1, last
    while low < high:
        middle = (low + high) // 2
        if _first_of(reader, log, middle) > seen:
            high = middle
        else:
            low = middle + 1
    return low


def _extent(row: ChunkRow) -> int:
    """How many sequences a chunk takes, 1 where its columns do not agree."""
    agree = isinstance(row.leaves, bytes) and row.events == len(row.leaves) // LEAF_BYTES
    return max(1, row.events) if agree else 1


def _payload_bytes(row: ChunkRow) -> int:
    return len(row.payload) if isinstance(row.payload, bytes) else 0
