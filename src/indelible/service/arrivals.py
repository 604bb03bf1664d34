"""What a request may rely on when other processes change keys, logs and views of the same store.

Each of them counts its changes in one number of the store. A request waits for a reading of that number that
began after it arrived; if it moved, everything remembered is forgotten first. Requests that arrive while a
reading is under way share the next one, so a busy server reads about as often as the store answers.
"""

import asyncio
from collections.abc import Awaitable, Callable

from indelible.log.refusal import unavailable
from indelible.store.base import Reader, StoreError


class Arrivals:
    """Keeps what is remembered as new as the requests. On the event loop only."""

    def __init__(
        self, reader: Reader, look: Callable[[], Awaitable[int]], reload: Callable[[], Awaitable[None]]
    ) -> None:
        """`look` reads `Reader.registry`.

        `reload` is awaited before any request that could rely on what changed goes on.
        """
        self._look = look
        self._reload = reload
        self._seen = reader.registry()
        self._next: asyncio.Future[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def arrive(self) -> None:
        """Wait until what is remembered is as new as this call.

        Raises:
            Problem: `store_unavailable`.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read())
        await asyncio.shield(self._next)

    async def _read(self) -> None:
        """Read for those who wait, until nobody does."""
        try:
            while self._next is not None:
                waiting, self._next = self._next, None
                try:
                    version = await self._look()
                    if version != self._seen:
                        await self._reload()
                except asyncio.CancelledError:
                    waiting.cancel()
                    raise
                except Exception as error:  # noqa: BLE001 - told to those who wait for it, each a request
                    waiting.set_exception(unavailable(error) if isinstance(error, StoreError) else error)
                    waiting.exception()  # looked at, as nobody may be left to look
                    continue
                self._seen = version
                waiting.set_result(None)
        finally:
            self._reading = None
