"""Columns of the store to batches of the host, without work for each event where that can be avoided."""

import uuid
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate

from indelible.fold.types import Batch
from indelible.views.ports import Columns


@lru_cache(maxsize=4_096)
def writer_text(writer: bytes) -> str:
    """A writer's 16 bytes as a UUID in its canonical form."""
    return str(uuid.UUID(bytes=writer))


def count(columns: Columns) -> int:
    """How many events the columns hold."""
    return len(columns.payloads)


def cut(columns: Columns, start: int, stop: int) -> Columns:
    """The events at places `start` to `stop - 1`, with only those writers that wrote them."""
    if start == 0 and stop >= count(columns):
        return columns
    part = columns._replace(
        first_sequence=columns.first_sequence + start,
        times=columns.times[start:stop],
        payloads=columns.payloads[start:stop],
    )
    if not columns.writer_of:
        return part
    places = columns.writer_of[start:stop]
    used = sorted(set(places))
    writers = [columns.writers[place] for place in used]
    if len(used) <= 1:
        return part._replace(writers=writers, writer_of=())
    new = {place: at for at, place in enumerate(used)}
    return part._replace(writers=writers, writer_of=[new[place] for place in places])


def pieces(columns: Columns, max_events: int, max_bytes: int) -> Iterator[Columns]:
    """Cut into runs of at most `max_events` and `max_bytes` of payload; one event always fits."""
    start, total = 0, count(columns)
    small = sum(columns.payloads.sizes) <= max_bytes
    while start < total:
        stop = min(start + max_events, total)
        if not small:
            stop = start + max(1, _fitting(columns.payloads.sizes[start:stop], max_bytes))
        yield cut(columns, start, stop)
        start = stop


def _fitting(sizes: Sequence[int], max_bytes: int) -> int:
    """How many of the first payloads fit together."""
    return sum(size <= max_bytes for size in accumulate(sizes))


def to_batch(columns: Columns) -> Batch:
    """The columns as the host takes them."""
    return Batch(
        first_sequence=columns.first_sequence,
        times=columns.times,
        payloads=columns.payloads,
        writers=[writer_text(writer) for writer in columns.writers],
        writer_of=columns.writer_of,
    )
