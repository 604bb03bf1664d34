"""Waking those who wait for what comes next in a log. On the event loop only."""

import asyncio
from collections.abc import Iterable

from indelible.log.heads import Heads


class Wakeups:
    """Long polls wait here; each commit wakes those of the logs that it moved."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}

    def logs(self) -> set[int]:
        """The logs that somebody waits for."""
        return set(self._waiting)

    def committed(self, logs: Iterable[int]) -> None:
        """Wake all who wait on these logs."""
        for log in logs:
            for future in self._waiting.pop(log, ()):
                if not future.done():
                    future.set_result(None)

    async def wait_beyond(self, log: int, size: int, seconds: float) -> bool:
        """Wait until the log is longer than `size`; False when that took too long."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._heads.get(log).size <= size:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(log, set()).add(future)
            try:
                await asyncio.wait_for(future, left)
            except TimeoutError:
                return False
            finally:
                waiting = self._waiting.get(log)
                if waiting is not None:
                    waiting.discard(future)
                    if not waiting:
                        del self._waiting[log]
        return True
