"""Servers that archive quickly, and what tests ask of them."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

QUICK = {
    "INDELIBLE_LIMIT_ARCHIVE_AGE_SECONDS": "0.2",
    "INDELIBLE_LIMIT_ARCHIVE_INTERVAL_SECONDS": "0.1",
    "INDELIBLE_LIMIT_ARCHIVE_EVENTS_PER_SECOND": "1000000",
    "INDELIBLE_LIMIT_PUBLISH_INTERVAL_SECONDS": "0.1",
}
"""Seals what is a fifth of a second old."""


def readiness(http: httpx.Client) -> dict[str, Any]:
    """What `/readyz` says."""
    found: dict[str, Any] = http.get("/readyz").json()["details"]
    return found


def archived(http: httpx.Client, seconds: float = 60) -> dict[str, Any]:
    """Wait until everything is archived; what `/readyz` says then."""
    deadline = time.monotonic() + seconds
    while True:
        found = readiness(http)
        if found["archive"]["manifest"] and not found["archive"]["backlog_events"]:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """Serve a folder with nothing but the standard library, and give its URL."""
    handler = partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Write nothing."""


def grow(http: httpx.Client, log: str, events: int, key: str | None = None) -> Mapping[str, Any]:
    """Append a batch of numbered events."""
    body = b"[" + b",".join(b'{"n":%d}' % number for number in range(events)) + b"]"
    headers = {} if key is None else {"idempotency-key": key}
    answer = http.post(f"{log}/append_batch", content=body, headers=headers)
    assert answer.status_code == 201, answer.text
    found: Mapping[str, Any] = answer.json()
    return found
