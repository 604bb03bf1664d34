"""Holding a name alone among all processes that share a store, from a coroutine."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, asynccontextmanager

Guard = Callable[[str], AbstractContextManager[None]]
"""Makes what holds a name while it is entered (`SharedStore.exclusively`)."""


@asynccontextmanager
async def alone(held: AbstractContextManager[None], threads: Executor) -> AsyncIterator[None]:
    """Hold a name for the block, waiting for it on a thread; let go of it however the block ends.

    Raises:
        StoreConflict: another process holds it for long.
        StoreUnavailable: the store does not answer.
    """
    loop = asyncio.get_running_loop()
    entering = loop.run_in_executor(threads, held.__enter__)
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        await asyncio.gather(entering, return_exceptions=True)
        if entering.exception() is None:
            await loop.run_in_executor(threads, held.__exit__, None, None, None)
        raise
    try:
        yield
    finally:
        await asyncio.shield(loop.run_in_executor(threads, held.__exit__, None, None, None))
