"""What tests of the committer share: a running world, and what its calls were told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.harness.logs import World

from indelible.log.pending import Change
from indelible.model.errors import Problem
from indelible.model.limits import Limits


@asynccontextmanager
async def world(path: Path, **limits: Any) -> AsyncIterator[World]:
    """A world with its committer running; stopped at the end."""
    made = World(path, Limits(**limits))
    made.committer.start()
    try:
        yield made
    finally:
        await made.stop()


async def settle(*calls: Awaitable[Any]) -> list[Any]:
    """Results or exceptions, of calls that are all submitted in one turn of the loop: one group."""
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)


async def change(made: World, wanted: Change) -> object:
    """Change and wait; submitted when it is first awaited, as appends are."""
    return await made.committer.change(wanted)


def codes(results: Sequence[object]) -> list[str]:
    """What each call was told: a problem's code, or `ok`."""
    return [result.code.name if isinstance(result, Problem) else "ok" for result in results]


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)
