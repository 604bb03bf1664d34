"""Calls of the world `primatomic:machine` (`wit/machine.wit`): bytes in, bytes out, one event at a time."""

import json
import struct
import time
from collections.abc import Iterable, Iterator

from indelible.fold import values
from indelible.fold.errors import Aborted, AnswerTooLarge, SnapshotUnsupported
from indelible.fold.guest import Allowance, Guest
from indelible.fold.types import Answer, Batch, Pairs, Question
from indelible.fold.values import Value, Values
from indelible.fold.wasi import Moment, Sandbox
from indelible.model.limits import Limits

_SNAPSHOT = struct.Struct(">8sQQ")
_SNAPSHOT_MAGIC = b"machine1"
"""A snapshot begins with the sequence and time (µs) of the last event: the guest's clock stands there."""


def question_bytes(question: Question) -> bytes:
    """Return a question's input: the body, or, when it is empty, the parameters as a JSON object.

    A name that is repeated becomes an array of its values, in their order.
    """
    if question.body:
        return question.body.encode() if isinstance(question.body, str) else question.body
    grouped: dict[str, list[str]] = {}
    for name, value in question.params:
        grouped.setdefault(name, []).append(value)
    single = {name: found[0] if len(found) == 1 else found for name, found in grouped.items()}
    return json.dumps(single, ensure_ascii=False, separators=(",", ":")).encode()


def content_type_of(body: bytes) -> str:
    """Say whether an answer is JSON; else it is octets."""
    try:
        json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return "application/octet-stream"
    return "application/json"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class MachineWorld:
    """Speaks to one guest of `primatomic:machine`."""

    def __init__(self, guest: Guest, limits: Limits, sandbox: Sandbox) -> None:
        self._guest = guest
        self._limits = limits
        self._sandbox = sandbox
        self._last = Moment(0, 0)
        self._fold = Allowance(limits.fold_fuel_per_batch, limits.fold_batch_seconds)
        self._ask = Allowance(limits.query_fuel, limits.query_seconds)

    def describe(self) -> str:
        """Return the empty text: a machine says nothing about itself."""
        return ""

    def init(self, _config: str, _facts: Pairs) -> None:
        """Start from nothing; a machine is told nothing."""
        self._sandbox.enter("init", Moment(0, 0))
        self._guest.call("init", 0, 0, self._fold)

    def append(self, batch: Batch) -> None:
        """Fold the events one by one; each has the fuel of a batch, all together its time."""
        end = time.monotonic() + self._fold.seconds
        for place, payload in enumerate(batch.payloads):
            seconds = end - time.monotonic()
            if seconds <= 0:
                raise Aborted("the call took too long")
            moment = Moment(batch.first_sequence + place, batch.times[place])
            self._sandbox.enter("append", moment)
            self._give("append", payload, Allowance(self._fold.fuel, seconds))
            self._last = moment

    def query(self, question: Question) -> Answer:
        """Ask.

        Raises:
            AnswerTooLarge: the caller discards the instance.
        """
        made = Values()
        block = made.block((made.octets(question_bytes(question)),))
        limit = self._limits.answer_bytes

        def read(value: Value) -> bytes:
            size = values.octets_size(value)
            if size > limit:
                raise AnswerTooLarge(size, limit)
            return values.read_octets(value)

        self._sandbox.enter("query", self._last)
        body: bytes = self._guest.call("query", block, 1, self._ask, read)
        return Answer(content_type_of(body), body)

    def snapshot(self) -> Iterator[bytes]:
        """Give the state as one part.

        Raises:
            SnapshotUnsupported: it is larger than a part may be.
            TooLargeToLift: it has more than about 2.7 MB; the instance is gone.
        """
        self._sandbox.enter("snapshot", self._last)
        state: bytes = self._guest.call("snapshot", 0, 0, self._fold, values.read_octets)
        if len(state) + _SNAPSHOT.size > self._limits.snapshot_part_bytes:
            raise SnapshotUnsupported(f"the state has {len(state)} bytes, more than a part may have")
        yield _SNAPSHOT.pack(_SNAPSHOT_MAGIC, *self._last) + state

    def restore(self, parts: Iterable[str | bytes]) -> None:
        """Replace the state with what `snapshot` gave.

        Raises:
            ValueError: not one part of bytes that `snapshot` made.
        """
        found = list(parts)
        if len(found) != 1 or not isinstance(found[0], bytes) or len(found[0]) < _SNAPSHOT.size:
            raise ValueError("a machine's snapshot is one part of bytes")
        magic, sequence, micros = _SNAPSHOT.unpack_from(found[0])
        if magic != _SNAPSHOT_MAGIC:
            raise ValueError("the part is no snapshot of a machine")
        self._last = Moment(sequence, micros)
        self._sandbox.enter("restore", self._last)
        self._give("restore", found[0][_SNAPSHOT.size :], self._fold)

    def _give(self, name: str, data: bytes, allowance: Allowance) -> None:
        made = Values()
        self._guest.call(name, made.block((made.octets(data),)), 1, allowance)
