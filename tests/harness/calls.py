"""A server on a loop of its own in this process, and what a refused call is told."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import uvloop

from indelible.app import Server
from indelible.config import Settings
from indelible.model.clock import SYSTEM_CLOCK, Clock

ROOT_KEY = "a-root-key-for-tests-of-32-characters-or-more"


@contextlib.contextmanager
def serving(settings: Settings, clock: Clock = SYSTEM_CLOCK) -> Iterator[str]:
    """Serve on a loop of its own until the block ends, and give the base URL."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    interval = sys.getswitchinterval()

    def call(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    async def make() -> Server:
        return Server(settings, clock)

    try:
        server = call(make())
        try:
            yield call(server.start()).url
        finally:
            call(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        sys.setswitchinterval(interval)


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check a refusal, and return its document."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.get_list("server") == ["indelible"]
    return document
