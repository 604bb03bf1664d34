"""What waits on the event loop for something that a fold thread will say."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from indelible.model.errors import Problem

Said = TypeVar("Said")


class Promise(Generic[Said]):
    """One answer, said once by any thread, awaited on the loop that made the promise.

    Until a thread has taken it, it can be withdrawn: by its deadline or because its caller went away.
    """

    __slots__ = ("_future", "_lock", "_loop", "_open")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Said] = self._loop.create_future()
        self._lock = threading.Lock()
        self._open = True

    @property
    def is_open(self) -> bool:
        """Whether it still waits to be taken."""
        return self._open

    def take(self) -> bool:
        """Claim it for answering; False when it was withdrawn or taken before."""
        with self._lock:
            taken, self._open = self._open, False
        return taken

    def keep(self, said: Said) -> None:
        """Answer a promise that was taken. Any thread."""
        self._tell(self._future.set_result, said)

    def fail(self, problem: Problem) -> None:
        """Refuse a promise that was taken. Any thread."""
        self._tell(self._future.set_exception, problem)

    def refuse(self, problem: Problem) -> None:
        """Take and refuse, unless somebody was quicker."""
        if self.take():
            self.fail(problem)

    def _tell(self, tell: Callable[..., None], said: object) -> None:
        # RuntimeError: the loop is closed, so nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, tell, said)

    def _settle(self, tell: Callable[..., None], said: object) -> None:
        if not self._future.done():
            tell(said)

    async def kept(self, seconds: float | None, expired: Callable[[], Problem]) -> Said:
        """Wait. After `seconds` without being taken, it is refused with `expired()`."""
        timer = None if seconds is None else self._loop.call_later(seconds, self._expire, expired)
        try:
            return await self._future
        finally:
            self.take()
            if timer is not None:
                timer.cancel()

    def _expire(self, expired: Callable[[], Problem]) -> None:
        self.refuse(expired())
