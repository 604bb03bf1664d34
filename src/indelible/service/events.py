"""Reading events: pages, streams of any length, long polls, single events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal, NamedTuple

from indelible.log.core import Core
from indelible.log.read import Span
from indelible.model.errors import Problem
from indelible.model.types import Event, LogInfo
from indelible.service.access import Access
from indelible.service.auditing import Auditing
from indelible.service.parameters import instant
from indelible.service.types import Caller, EventPage
from indelible.service.wakeups import Wakeups

Order = Literal["asc", "desc"]


class _Ask(NamedTuple):
    info: LogInfo
    after: int | None
    low: int | None  # µs, inclusive
    high: int | None  # µs, exclusive
    reverse: bool


class Events:
    """The calls on `/logs/{log}/events`. Times are times of receipt: `from` inclusive, `to` exclusive."""

    def __init__(self, access: Access, core: Core, wakeups: Wakeups, auditing: Auditing) -> None:
        self._access = access
        self._heads = core.heads
        self._reader = core.events
        self._limits = core.limits
        self._wakeups = wakeups
        self._auditing = auditing

    async def page(
        self,
        caller: Caller,
        log: str,
        *,
        after_sequence: int | None = None,
        limit: int | None = None,
        from_: str | None = None,
        to: str | None = None,
        order: Order = "asc",
        wait_seconds: float = 0,
    ) -> EventPage:
        """At most `limit` events after (in `desc`: before) `after_sequence`, inside the times.

        With `wait_seconds` an empty ascending page waits for what comes next, at most so long.

        Raises:
            Problem: `not_found`, `forbidden`, `invalid_parameter`, `rate_limited`.
        """
        ask = self._ask(caller, log, after_sequence, from_, to, order)
        count = min(limit or self._limits.events_page_events, self._limits.events_page_events)
        await self._note(caller, ask)
        # The head from before the read: what is committed while it reads must not be waited past.
        size = max(ask.after or 0, self._heads.fresh(ask.info.key).size)
        page = await asyncio.to_thread(self._read, ask, count)
        if page.events or wait_seconds <= 0 or ask.reverse:
            return page
        seconds = min(wait_seconds, float(self._limits.long_poll_seconds))
        with self._access.rates.long_poll(caller.key_id):
            await self._wakeups.wait_beyond(ask.info.key, size, seconds)
        return await asyncio.to_thread(self._read, ask, count)

    async def stream(
        self,
        caller: Caller,
        log: str,
        *,
        after_sequence: int | None = None,
        limit: int | None = None,
        from_: str | None = None,
        to: str | None = None,
        order: Order = "asc",
    ) -> AsyncIterator[list[Event]]:
        """All such events up to the head of now, in lists of bounded size. `_audit` says that it was asked.

        Raises:
            Problem: as `page`, before anything is read.
        """
        ask = self._ask(caller, log, after_sequence, from_, to, order)
        span = await asyncio.to_thread(self._span, ask)
        await self._auditing.exported(caller, ask.info, span, from_, to)
        return self._stream(ask, span, limit)

    async def _stream(self, ask: _Ask, span: Span, limit: int | None) -> AsyncIterator[list[Event]]:
        left = limit
        while span.first <= span.last and left != 0:
            count = (
                self._limits.events_page_events
                if left is None
                else min(left, self._limits.events_page_events)
            )
            events, _ = await asyncio.to_thread(
                self._reader.page,
                ask.info.key,
                span,
                count,
                self._limits.events_page_bytes,
                reverse=ask.reverse,
            )
            if not events:
                return
            yield events
            left = None if left is None else left - len(events)
            edge = events[-1].sequence
            span = span._replace(last=edge - 1) if ask.reverse else span._replace(first=edge + 1)

    async def get(self, caller: Caller, log: str, sequence: int) -> Event:
        """One event.

        Raises:
            Problem: `not_found` for a sequence that the log has not reached, too.
        """
        info = self._access.log(caller, log, "read")
        event = None
        if 1 <= sequence <= self._heads.fresh(info.key).size:
            event = await asyncio.to_thread(self._reader.event, info.key, sequence)
        if event is None:
            raise Problem("not_found", "the log has no event of this sequence", sequence=sequence)
        return event

    def _ask(
        self, caller: Caller, log: str, after: int | None, from_: str | None, to: str | None, order: Order
    ) -> _Ask:
        info = self._access.log(caller, log, "read")
        return _Ask(info, after, instant("from", from_), instant("to", to), order == "desc")

    async def _note(self, caller: Caller, ask: _Ask) -> None:
        if caller.preset == "auditor":
            await self._auditing.read(caller, ask.info, ask.after)

    def _read(self, ask: _Ask, count: int) -> EventPage:
        span = self._span(ask)
        if span.first > span.last:
            return EventPage([], None)
        events, more = self._reader.page(
            ask.info.key, span, count, self._limits.events_page_bytes, reverse=ask.reverse
        )
        return EventPage(events, events[-1].sequence if more else None)

    def _span(self, ask: _Ask) -> Span:
        size = self._heads.fresh(ask.info.key).size
        first, last = self._reader.between(ask.info.key, size, ask.low, ask.high)
        if ask.after is not None and ask.reverse:
            last = min(last, ask.after - 1)
        elif ask.after is not None:
            first = max(first, ask.after + 1)
        return Span(first, last)
