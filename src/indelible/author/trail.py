"""Events from a file, as a log would hand them to a view."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from indelible.fold.types import Batch
from indelible.model.errors import Problem
from indelible.model.instants import MICROS_PER_SECOND
from indelible.model.limits import Limits
from indelible.service.framing import Framing, split

WRITER = "00000000-0000-0000-0000-000000000000"
"""Who appended: the writer of a server without keys."""

_LINES = 5_000
_NDJSON = Framing("ndjson")


class Trail(NamedTuple):
    """All events of a log: event `n` has the payload at `n - 1`, and was received `n - 1` s after `start`."""

    payloads: Sequence[bytes]
    start: int  # microseconds since 1970

    def batch(self, first: int, last: int) -> Batch:
        """Return the events from sequence `first` to `last`, both inside."""
        times = [self.start + place * MICROS_PER_SECOND for place in range(first - 1, last)]
        return Batch(first, times, self.payloads[first - 1 : last], (WRITER,))


def read_trail(file: BinaryIO, start: int, limits: Limits, most: int | None = None) -> Trail:
    """Read NDJSON as `append_batch` does: blank lines are skipped, each other one is an event.

    Raises:
        Problem: `malformed_json` or `too_large`, with the line in the file; `empty_event` for none at all.
    """
    payloads: list[bytes] = []
    for first_line, body in _pieces(file, limits):
        try:
            payloads += split(body, _NDJSON, limits)
        except Problem as problem:
            if problem.code.name == "empty_event":
                continue  # nothing but blank lines
            raise _at_line(problem, first_line) from None
        if most is not None and len(payloads) >= most:
            del payloads[most:]
            break
    if not payloads:
        raise Problem("empty_event", "the file holds no event: it must be one JSON value a line")
    return Trail(payloads, start)


def _pieces(file: BinaryIO, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """Give whole lines, as many as one batch may have, and the number of the first of them."""
    most = min(_LINES, limits.batch_events)
    lines: list[bytes] = []
    size = 0
    number = 0
    for number, line in enumerate(file, 1):
        if lines and (len(lines) >= most or size + len(line) > limits.batch_bytes):
            yield number - len(lines), b"".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield number - len(lines) + 1, b"".join(lines)


def _at_line(problem: Problem, first: int) -> Problem:
    """Count the line that a refusal names from the start of the file."""
    line = problem.facts.get("line")
    where = first + line - 1 if isinstance(line, int) else first
    word = "line" if isinstance(line, int) else "in the lines from"
    detail = problem.detail.partition(": ")[2] or problem.detail
    return Problem(problem.code.name, f"{word} {where}: {detail}", **{**problem.facts, "line": where})
