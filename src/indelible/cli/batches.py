"""Cutting a stream of NDJSON into batches whose idempotency keys are the same on every run."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS

DEFAULT_BATCH_EVENTS = 1_000
MAX_BATCH_BYTES = 8 << 20
"""A batch is cut before it grows past this, well under what a server takes."""

_PURPOSE = b"indelible/cli/append/v1\x00"


class Batch(NamedTuple):
    """Consecutive lines of the input, and the key under which they are appended."""

    body: bytes
    events: int
    first_line: int  # counted from 1
    end: int  # bytes of the input up to the end of the batch
    key: str


def cut_batches(stream: BinaryIO, *, events: int, run: str = "") -> Iterator[Batch]:
    """Cut NDJSON into batches of at most `events` lines that hold something.

    A batch's key is a digest of the whole input up to its end and of `run`: the same command on the same
    input gives the same keys, so what was appended before is not appended again, and input that begins
    otherwise never shares a key.

    Raises:
        Problem: `too_large` for a line over the limit of an event, with `line`.
    """
    digest = hashlib.sha256(_PURPOSE + run.encode() + b"\x00")
    lines: list[bytes] = []
    filled = size = 0
    end, first = 0, 1
    for number, line in enumerate(_read_lines(stream), 1):
        if lines and (filled == events or size + len(line) > MAX_BATCH_BYTES):
            yield _finish(lines, filled, first, end, digest)
            lines, filled, size, first = [], 0, 0, number
        digest.update(line)
        lines.append(line)
        end += len(line)
        size += len(line)
        filled += not line.isspace()
    if filled:
        yield _finish(lines, filled, first, end, digest)


def _finish(lines: list[bytes], filled: int, first: int, end: int, digest: "hashlib._Hash") -> Batch:
    return Batch(b"".join(lines), filled, first, end, f"file-{digest.hexdigest()}")


def _read_lines(stream: BinaryIO) -> Iterator[bytes]:
    longest = DEFAULT_LIMITS.event_bytes + len(b"\r\n")
    number = 0
    while line := stream.readline(longest + 1):
        number += 1
        if len(line) > longest:
            raise Problem(
                "too_large",
                f"line {number} is longer than an event may be",
                limit=DEFAULT_LIMITS.event_bytes,
                line=number,
            )
        yield line
