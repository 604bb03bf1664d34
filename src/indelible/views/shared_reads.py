"""Reads that all views of one log share: twenty views that follow it have it read once, not twenty times."""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from indelible.views.batches import count, cut
from indelible.views.ports import Columns, EventSource

_OVERHEAD_BYTES = 512
"""What a run takes beside its events, about."""

_EVENT_BYTES = 20
"""What an event takes beside its payload: its time, size and the place of its writer."""


class SharedReads:
    """An event source in front of another one, which keeps what was read last for whoever follows behind.

    Events never change, so what is kept never goes stale; it may end before the head, as a read may.
    Views that follow one log end up reading the same runs, wherever they began: each is given the rest of
    the run that its next event stands in. A run that was short because the head was near is read again by
    those who come when the log has grown, so that nobody replays in small steps.
    """

    def __init__(self, source: EventSource, limit_bytes: int, is_shared: Callable[[int], bool]) -> None:
        """Keep at most `limit_bytes` of logs that `is_shared`, those that more than one view follows."""
        self._source = source
        self._limit_bytes = limit_bytes
        self._is_shared = is_shared
        self._lock = threading.Lock()
        self._runs: OrderedDict[tuple[int, int], Columns] = (
            OrderedDict()
        )  # by log and first event; oldest first
        self._firsts: dict[int, list[int]] = {}  # by log, sorted
        self._reading: dict[tuple[int, int], Future[Columns]] = {}
        self.held_bytes = 0  # of the events that are kept

    def committed(self, log: int) -> tuple[int, bytes]:
        """See `EventSource`."""
        return self._source.committed(log)

    def root_at(self, log: int, size: int) -> bytes:
        """See `EventSource`."""
        return self._source.root_at(log, size)

    def read(self, log: int, after_sequence: int, enough_events: int, enough_bytes: int) -> Columns:
        """See `EventSource`; who asks for what another one is reading waits for that."""
        if not self._is_shared(log):
            return self._source.read(log, after_sequence, enough_events, enough_bytes)
        at = (log, after_sequence + 1)
        head, _ = self._source.committed(log)
        with self._lock:
            run = self._find(*at)
            if run is not None and (_last(run) >= head or _is_long(run, enough_events, enough_bytes)):
                return cut(run, at[1] - run.first_sequence, count(run))
            reading = self._reading.get(at)
            if reading is None:
                mine = self._reading[at] = Future()
        if reading is not None:
            return reading.result()
        try:
            columns = self._source.read(log, after_sequence, enough_events, enough_bytes)
        except BaseException as error:
            with self._lock:
                del self._reading[at]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._reading[at]
            self._keep(log, columns)
        mine.set_result(columns)
        return columns

    def _find(self, log: int, sequence: int) -> Columns | None:
        """The kept run that an event stands in."""
        firsts = self._firsts.get(log, [])
        place = bisect_right(firsts, sequence) - 1
        run = self._runs[log, firsts[place]] if place >= 0 else None
        return run if run is not None and sequence <= _last(run) else None

    def _keep(self, log: int, columns: Columns) -> None:
        """Keep a run, and let go of the oldest ones past the limit."""
        size = _size_bytes(columns)
        at = (log, columns.first_sequence)
        if not count(columns) or size > self._limit_bytes:
            return
        self._drop(at)
        self._runs[at] = columns
        self.held_bytes += size
        firsts = self._firsts.setdefault(log, [])
        firsts.insert(bisect_right(firsts, columns.first_sequence), columns.first_sequence)
        while self.held_bytes > self._limit_bytes:
            self._drop(next(iter(self._runs)))

    def _drop(self, at: tuple[int, int]) -> None:
        run = self._runs.pop(at, None)
        if run is None:
            return
        self.held_bytes -= _size_bytes(run)
        log, first = at
        self._firsts[log].remove(first)
        if not self._firsts[log]:
            del self._firsts[log]


def _last(run: Columns) -> int:
    return run.first_sequence + count(run) - 1


def _is_long(run: Columns, enough_events: int, enough_bytes: int) -> bool:
    return count(run) >= enough_events // 2 or sum(run.payloads.sizes) >= enough_bytes // 2


def _size_bytes(columns: Columns) -> int:
    return _OVERHEAD_BYTES + sum(columns.payloads.sizes) + _EVENT_BYTES * count(columns)
