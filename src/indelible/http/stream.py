"""Answers of any length, as fast as the client takes them and no faster.

granian's own stream takes whatever it is given into memory. It reads a file, however, only as the connection
drains; so a long answer is a named pipe that granian reads and we write. The pipe gives what an answer of
any length needs: a full pipe makes us wait, and a client that has gone breaks it.
"""

import asyncio
import contextlib
import errno
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from indelible.http.request import Stream, Transport

_OPEN_SECONDS = 10.0
_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.05


async def send_stream(transport: Transport, answer: Stream) -> None:
    """Send `answer` until it ends or the client has gone; its iterator is closed either way."""
    try:
        pipe = await _begin(transport, answer)
        if pipe is None:
            return
        try:
            await _pump(pipe, answer.pieces)
        finally:
            os.close(pipe)
    finally:
        with contextlib.suppress(AttributeError):  # an iterator that is no generator has nothing to close
            await answer.pieces.aclose()  # type: ignore[attr-defined]  # the same


async def _begin(transport: Transport, answer: Stream) -> int | None:
    """Name a pipe for as long as it takes granian to open it, so that a killed server leaves nothing."""
    with tempfile.TemporaryDirectory(prefix="indelible-stream-") as folder:
        path = Path(folder) / "pipe"
        os.mkfifo(path, 0o600)
        transport.response_file(answer.status, answer.headers, str(path))
        return await _open_when_read(path)


async def _open_when_read(path: Path) -> int | None:
    """Open a named pipe for writing as soon as it has a reader; None when none comes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _OPEN_SECONDS
    pause = _FIRST_PAUSE
    while loop.time() < deadline:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return None


async def _pump(pipe: int, pieces: AsyncIterator[bytes]) -> None:
    async for piece in pieces:
        rest = memoryview(piece)
        while rest:
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                await _writable(pipe)
            except BrokenPipeError:
                return


async def _writable(pipe: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(pipe, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(pipe)
