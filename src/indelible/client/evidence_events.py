"""Reading the events of an evidence file into the tree that they claim to be of, a part at a time."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from uuid import UUID

from indelible.merkle.entry import SALT_BYTES, commit_payloads, event_leaf_hashes
from indelible.merkle.frontier import Frontier, extend
from indelible.model.instants import format_micros, parse_instant
from indelible.model.limits import Limits
from indelible.notes.evidence import Line, decode_lines, payload_of

_SECOND = len("2026-01-31T00:00:00.")
_TIME = len("2026-01-31T00:00:00.000000Z")


class EventLines:
    """Takes the bytes of `events.ndjson` and holds what is left of them: a frontier, counts, edges, a digest.

    `times_fall` is the first event that is dated before the one before it, if there is one. Of writers past
    the limit only the number of their events is kept, under "".
    """

    def __init__(self, first: int, left: Frontier, limits: Limits) -> None:
        self.next = first
        self.frontier = left
        self.writers: Counter[str] = Counter()
        self.first_time: int | None = None
        self.last_time: int | None = None
        self.times_fall: int | None = None
        self.bytes = 0
        self._digest = hashlib.sha256()
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._limits = limits

    def read(self, pieces: Iterable[bytes], told: Callable[[int], object]) -> None:
        """Read all of it; `told` gets the number of bytes read so far.

        Raises:
            ValueError: something is no event as the format has it, or does not follow the one before it.
        """
        for piece in pieces:
            self._digest.update(piece)
            self.bytes += len(piece)
            end = piece.rfind(b"\n") + 1
            if end:
                block = b"".join([*self._rest, piece[:end]])
                self._rest, self._rest_bytes = [], 0
                self._take(block)
            self._keep(piece[end:])
            told(self.bytes)
        if self._rest_bytes:
            raise ValueError("the last line has no end")

    @property
    def sha256(self) -> str:
        """The digest of what was read, in hex."""
        return self._digest.hexdigest()

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._rest.append(rest)
            self._rest_bytes += len(rest)
        if self._rest_bytes > self._limits.evidence_line_bytes:
            raise ValueError(f"a line has more than {self._limits.evidence_line_bytes} bytes")

    def _take(self, block: bytes) -> None:
        try:
            self._take_lines(decode_lines(block))
        except ValueError as error:
            raise ValueError(f"at event {self.next} or soon after it, {error}") from None

    def _take_lines(self, lines: list[Line]) -> None:
        end = self.next + len(lines)
        if [line.sequence for line in lines] != list(range(self.next, end)):
            raise ValueError("the sequences do not follow each other")
        times = [micros_of(line.time) for line in lines]
        salts = salts_of([line.salt for line in lines])
        commitments = commit_payloads(salts, [payload_of(line) for line in lines])
        writers = [writer_of(line.writer) for line in lines]
        leaves = event_leaf_hashes(self.next, times, writers, commitments)
        self.frontier = extend(self.frontier, leaves).frontier
        self._note_times(times)
        self._count([line.writer for line in lines])
        self.next = end

    def _note_times(self, times: list[int]) -> None:
        before = times[0] if self.last_time is None else self.last_time
        if self.times_fall is None and [before, *times] != sorted([before, *times]):
            pairs = zip([before, *times], times, strict=False)
            self.times_fall = self.next + next(at for at, (a, b) in enumerate(pairs) if b < a)
        self.first_time = times[0] if self.first_time is None else self.first_time
        self.last_time = times[-1]

    def _count(self, writers: list[str]) -> None:
        for writer, events in Counter(writers).items():
            known = writer in self.writers or len(self.writers) < self._limits.evidence_writers
            self.writers[writer if known else ""] += events


def micros_of(text: str) -> int:
    """Return the time that a line gives in microseconds since 1970.

    Raises:
        ValueError: it is not written with six digits and `Z`, or is before 1970.
    """
    fraction = text[_SECOND:-1]
    if len(text) != _TIME or text[-1] != "Z" or not (fraction.isascii() and fraction.isdigit()):
        raise ValueError("a time is not written with six digits and Z")
    return _second(text[:_SECOND]) + int(fraction)


@lru_cache(maxsize=256)
def _second(text: str) -> int:
    micros = parse_instant(f"{text}000000Z")
    if micros < 0 or format_micros(micros) != f"{text}000000Z":
        raise ValueError("a time is before 1970, or written another way than the format has it")
    return micros


@lru_cache(maxsize=16_384)
def writer_of(text: str) -> bytes:
    """Return the 16 bytes of a writer; raises ValueError where it is no UUID in lower case."""
    writer = UUID(text)
    if str(writer) != text:
        raise ValueError("a writer is not a UUID in lower case")
    return writer.bytes


def salts_of(texts: list[str]) -> bytes:
    """Return salts joined; raises ValueError where one is not 16 bytes in lower-case hex."""
    joined = "".join(texts)
    if set(map(len, texts)) - {2 * SALT_BYTES} or bytes.fromhex(joined).hex() != joined:
        raise ValueError("a salt is not 16 bytes in lower-case hex")
    return bytes.fromhex(joined)
