"""A load generator: closed loop over keep-alive connections, as little work a request as Python allows.

Used by `bench/run.py` in a process of its own. It prints one JSON object: requests a second, and latencies.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop


class Connection(asyncio.Protocol):
    """One connection that sends the next request as soon as the last one was answered."""

    def __init__(self, shared: "Shared") -> None:
        self.shared = shared
        self.buffer = b""
        self.expected = -1
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = transport
        self.next()

    def next(self) -> None:
        """Send a request, or end when the time is over."""
        if time.perf_counter() >= self.shared.deadline:
            self.transport.close()
            self.shared.ended()
            return
        self.sent = time.perf_counter()
        self.transport.write(self.shared.request())  # type: ignore[attr-defined]  # it is a write transport

    def data_received(self, data: bytes) -> None:
        """Collect a response; when it is whole, note its time and go on."""
        self.buffer += data
        if self.expected < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            stop = head.find(b"\r\n", at)
            self.expected = end + 4 + int(head[at : stop if stop >= 0 else None])
            self.shared.statuses[self.buffer[9:12]] = self.shared.statuses.get(self.buffer[9:12], 0) + 1
        if len(self.buffer) >= self.expected:
            self.buffer = self.buffer[self.expected :]
            self.expected = -1
            self.shared.latencies.append(time.perf_counter() - self.sent)
            self.next()


class Shared:
    """What all connections share."""

    def __init__(self, request: Callable[[], bytes], connections: int, seconds: float) -> None:
        self.request = request
        self.deadline = time.perf_counter() + seconds
        self.latencies: list[float] = []
        self.statuses: dict[bytes, int] = {}
        self.open = connections
        self.done = asyncio.get_running_loop().create_future()

    def ended(self) -> None:
        """One connection less."""
        self.open -= 1
        if not self.open:
            self.done.set_result(None)


def requests(url: str, headers: dict[str, str], body: bytes, *, keyed: bool) -> Callable[[], bytes]:
    """Build the bytes of a request once; with `keyed` each gets an Idempotency-Key of its own."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines).encode()
    whole = head + b"\r\n\r\n" + body
    if not keyed:
        return lambda: whole
    prefix, count = os.urandom(8).hex(), itertools.count()
    return lambda: head + f"\r\nIdempotency-Key: {prefix}-{next(count)}\r\n\r\n".encode() + body


async def drive(
    url: str, request: Callable[[], bytes], connections: int, seconds: float
) -> dict[str, object]:
    """Run the load and summarise it."""
    parts = urlsplit(url)
    shared = Shared(request, connections, seconds)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(shared), parts.hostname or "", parts.port or 80)
    await shared.done
    elapsed = time.perf_counter() - started
    latencies = sorted(shared.latencies)
    return {
        "requests_per_second": len(latencies) / elapsed,
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "max_ms": latencies[-1] * 1e3,
        "statuses": {status.decode(): count for status, count in shared.statuses.items()},
    }


def main() -> None:
    """Parse the command line, run, print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--keyed", action="store_true")
    options = parser.parse_args()
    headers = dict(header.split(": ", 1) for header in options.header)
    request = requests(options.url, headers, options.body.read_bytes(), keyed=options.keyed)
    uvloop.install()
    result = asyncio.run(drive(options.url, request, options.connections, options.seconds))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
