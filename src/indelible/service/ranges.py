"""What part of a log a call asks for, and the checkpoint that its answer stands under."""

import asyncio
from typing import NamedTuple

from indelible.log.core import Core
from indelible.log.publish import Published
from indelible.log.read import Span
from indelible.model.errors import Problem
from indelible.model.types import LogInfo
from indelible.service.access import Access
from indelible.service.parameters import instant
from indelible.service.types import Caller

Window = tuple[int | None, int | None]
"""µs since 1970, from inclusive, to exclusive; None where it is open."""


class Wanted(NamedTuple):
    """A range as it is asked for: sequences, or times (RFC 3339), or neither for all of the log."""

    first: int | None = None
    last: int | None = None
    from_: str | None = None
    to: str | None = None


class Asked(NamedTuple):
    """A range as it was found. `span` has the events asked for and no others; it may be empty.

    `closed` says of a window whether no event can be dated into it any more; None where no window is asked.
    """

    published: Published
    span: Span
    window: Window | None
    closed: bool | None

    @property
    def around(self) -> Span:
        """The range with its neighbours, which prove that a window is whole."""
        if self.window is None:
            return self.span
        return Span(max(1, self.span.first - 1), min(self.published.size, self.span.last + 1))


class Ranges:
    """Finds logs and ranges for the calls that prove something. A log that is refused proves nothing."""

    def __init__(self, access: Access, core: Core) -> None:
        self._access = access
        self._core = core

    async def log(self, caller: Caller, log: str) -> LogInfo:
        """Find a log that the caller may read, and have it checked.

        Raises:
            Problem: `not_found`, `forbidden`, `log_behind_published_head`.
        """
        info = self._access.log(caller, log, "read")
        await self.open(info)
        return info

    async def provable(self, caller: Caller, log: str) -> LogInfo:
        """Find a log whose tree the caller may see, and have it checked; raises as `log`."""
        info = self._access.provable(caller, log)
        await self.open(info)
        return info

    async def open(self, info: LogInfo) -> None:
        """Have a log checked; raises `log_behind_published_head`."""
        gate = self._core.gate
        if not gate.is_open(info.key) and gate.read_only is None:
            await asyncio.to_thread(gate.open, info)

    async def newest(self, info: LogInfo) -> Published:
        """A checkpoint of all that is acknowledged; on a read-only copy the last one that was published."""
        if self._core.gate.read_only is not None:
            return await self._core.publisher.at_least(info, 0)
        return await self._core.publisher.at_least(info, self._core.heads.fresh(info.key).size)

    async def find(self, info: LogInfo, wanted: Wanted, *, newest: bool = False) -> Asked:
        """Find a range. One by times, or `newest` and open at its end, reaches to the newest event.

        Before a window of the past is answered, the log is told to date nothing into it any more.

        Raises:
            Problem: `invalid_parameter`, `beyond_head`, `clock_unsure`, `read_only`.
        """
        window = _window(wanted)
        if window is not None:
            return await self.within(info, window)
        first, last = wanted.first, wanted.last
        at_least, needed = self._core.publisher.at_least, last or first or 0
        published = await (self.newest(info) if newest and last is None else at_least(info, needed))
        if published.size < needed:
            published = await at_least(info, needed)
        span = Span(first or 1, published.size if last is None else last)
        if span.first > span.last + 1:
            raise Problem("invalid_parameter", "first must not be beyond last", parameter="first")
        return Asked(published, span, None, None)

    async def within(self, info: LogInfo, window: Window) -> Asked:
        """Find the events of a window of time, up to the newest; raises `clock_unsure`, `read_only`."""
        closed = await self._close(info, window[1])
        published = await self.newest(info)
        span = await asyncio.to_thread(self._core.events.between, info.key, published.size, *window)
        return Asked(published, span, window, closed)

    async def _close(self, info: LogInfo, end: int | None) -> bool:
        """Let no event be dated into a window that has ended, and say whether that is so.

        A read-only copy can't promise it: the log may go on elsewhere.
        """
        if end is None:
            return False
        head = await asyncio.to_thread(self._core.reader.head, info.key)
        if head is not None and max(head.time, head.time_floor) >= end:
            return True
        if self._core.gate.read_only is not None:
            return False
        return await self._core.lanes.raise_floor(info.key, end)


def _window(wanted: Wanted) -> Window | None:
    low, high = instant("from", wanted.from_), instant("to", wanted.to)
    if low is None and high is None:
        return None
    if wanted.first is not None or wanted.last is not None:
        raise Problem("invalid_parameter", "give sequences (first, last) or times (from, to), not both")
    if low is not None and high is not None and low >= high:
        raise Problem("invalid_parameter", "from must be before to", parameter="from")
    return low, high
