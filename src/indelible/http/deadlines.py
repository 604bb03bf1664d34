"""Deadlines for many short waits: one look a second at all of them, in place of a timer for each."""

import asyncio
import time
from typing import TypeVar

from indelible.http.request import Cancellable

_T = TypeVar("_T")
_SWEEP_SECONDS = 0.5
_EXPIRED = 0.0


class Deadlines:
    """Cuts off what waits too long, up to half a second late. For one event loop."""

    def __init__(self) -> None:
        self._until: dict[Cancellable[object], float] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def within(self, seconds: float, work: Cancellable[_T]) -> _T:
        """Await `work`, and cancel it when it takes too long.

        Raises:
            TimeoutError: it took longer than `seconds`.
        """
        until = self._until
        until[work] = time.monotonic() + seconds
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            if until[work] != _EXPIRED:
                raise
            raise TimeoutError from None
        finally:
            del until[work]

    def _look(self) -> None:
        self._sweep = None
        now = time.monotonic()
        for work, until in list(self._until.items()):
            if _EXPIRED < until < now:
                self._until[work] = _EXPIRED
                work.cancel()
        if self._until:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._look)
