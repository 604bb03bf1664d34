"""Deadlines for many short waits: one look a second at all of them, in place of a timer for each."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")
_SWEEP_SECONDS = 0.5
_EXPIRED = 0.0


class Deadlines:
    """Cuts off what waits too long, up to half a second late. For one event loop."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[object], float] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def within(self, seconds: float, work: Awaitable[_T]) -> _T:
        """Await `work` in the current task.

        Raises:
            TimeoutError: it took longer than `seconds`.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self._until[task] = time.monotonic() + seconds
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            if self._until[task] != _EXPIRED:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self._until[task]

    def _look(self) -> None:
        self._sweep = None
        now = time.monotonic()
        for task, until in list(self._until.items()):
            if _EXPIRED < until < now:
                self._until[task] = _EXPIRED
                task.cancel()
        if self._until:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._look)
