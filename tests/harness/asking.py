"""What tests of the use cases share: how to run one, and what a refused call was told."""

import asyncio
import re
import time
from collections.abc import Awaitable, Coroutine
from typing import Any

import pytest

from indelible.model.errors import Problem
from indelible.model.instants import format_micros


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)


async def refusal(call: Awaitable[Any]) -> Problem:
    """The problem that a call is refused with."""
    with pytest.raises(Problem) as caught:
        await call
    return caught.value


def timeless(body: bytes) -> bytes:
    """A report without the moment at which it was asked for."""
    return re.sub(rb'"asked_at":"[^"]+"', b"", body)


def later(seconds: float) -> str:
    """An instant from now on."""
    return format_micros(int((time.time() + seconds) * 1e6))
