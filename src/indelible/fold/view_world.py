"""Calls of the world `indelible:view` (`wit/view.wit`): how batches, questions and parts become values."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from wasmtime import Store
from wasmtime.component import Linker

from indelible.fold import capi, values
from indelible.fold.errors import AnswerTooLarge, GuestError, GuestTrap, QueryRefused, SnapshotUnsupported
from indelible.fold.guest import Allowance, Guest
from indelible.fold.text import clean
from indelible.fold.types import Answer, Batch, Pairs, Question
from indelible.fold.values import BatchColumns, Value, Values
from indelible.model.limits import Limits

_CONTENT_TYPE = re.compile(
    rb"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(?:; ?[\x21-\x7e]+(?: [\x21-\x7e]+)*)?"
)
_CONTENT_TYPE_BYTES = 200
_OCTETS = "application/octet-stream"
_LEAST_PART_BYTES = 4_096  # bounds the number of parts: a guest could give tiny ones for ever


def link_nothing(_linker: Linker, _store: Store) -> None:
    """A view imports nothing."""


def check_content_type(raw: bytes) -> str:
    """Return the content type that a guest gave when it can stand in a header, else octets."""
    return raw.decode() if _CONTENT_TYPE.fullmatch(raw) else _OCTETS


class ViewWorld:
    """Speaks to one guest of `indelible:view`."""

    def __init__(self, guest: Guest, limits: Limits) -> None:
        self._guest = guest
        self._limits = limits
        self._columns = BatchColumns()
        self._fold = Allowance(limits.fold_fuel_per_batch, limits.fold_batch_seconds)
        self._ask = Allowance(limits.query_fuel, limits.query_seconds)

    def describe(self) -> str:
        """Return what the view says about itself, as it gave it.

        Raises:
            GuestTrap: also when the text is longer than the limit.
        """
        limit = self._limits.view_description_bytes
        text, size = self._guest.call(
            "describe", 0, 0, self._ask, lambda value: values.read_string(value, limit)
        )
        if size > limit:
            raise GuestTrap("limit", f"describe gave {size} bytes; at most {limit} are taken")
        return str(text.decode())

    def init(self, config: str, facts: Pairs) -> None:
        """Start from nothing.

        Raises:
            GuestError: the guest refuses the configuration.
        """
        made = Values()
        arguments = made.block((made.text(config), made.pairs(facts)))
        self._succeed("init", arguments, 2)

    def append(self, batch: Batch) -> None:
        """Fold a batch.

        Raises:
            GuestError: the guest could not.
        """
        try:
            self._succeed("append", self._columns.fill(batch), 1)
        finally:
            self._columns.release()

    def query(self, question: Question) -> Answer:
        """Ask.

        Raises:
            QueryRefused: the instance stays good.
            AnswerTooLarge: the caller discards the instance.
        """
        made = Values()
        request = made.record(
            (
                (b"params", made.pairs(question.params)),
                (b"body", made.string(_utf8_body(question.body))),
                (b"facts", made.pairs(question.facts)),
            )
        )
        answer = self._guest.call("query", made.block((request,)), 1, self._ask, self._read_answer)
        if isinstance(answer, QueryRefused):
            raise answer
        return answer  # type: ignore[no-any-return]  # what _read_answer gives, through Any

    def snapshot(self) -> Iterator[str]:
        """Give the state in parts.

        Raises:
            SnapshotUnsupported: no part, one too large, or too many in sum.
        """
        total = part = 0
        while (text := self._part(part)) is not None:
            total += max(len(text), _LEAST_PART_BYTES)
            if total > self._limits.snapshot_bytes:
                raise SnapshotUnsupported(f"the snapshot has more than {self._limits.snapshot_bytes} bytes")
            yield text.decode()
            part += 1
        if part == 0:
            raise SnapshotUnsupported("the view gives no snapshot")

    def restore(self, parts: Iterable[str | bytes]) -> None:
        """Replace the state with what `snapshot` gave.

        Raises:
            GuestError: the guest refuses the parts.
            ValueError: there is no part, or one is not UTF-8.
        """
        number = -1
        held: str | bytes | None = None
        for part in parts:
            if held is not None:
                self._restore_part(number, held, last=False)
            number, held = number + 1, part
        if held is None:
            raise ValueError("a snapshot has at least one part")
        self._restore_part(number, held, last=True)

    def _restore_part(self, number: int, part: str | bytes, *, last: bool) -> None:
        made = Values()
        text = made.text(part if isinstance(part, str) else part.decode())
        block = made.block(((capi.U32, number, 0, 0), text, (capi.BOOL, int(last), 0, 0)))
        self._succeed("restore", block, 3)

    def _part(self, number: int) -> bytes | None:
        made = Values()
        limit = self._limits.snapshot_part_bytes

        def read(value: Value) -> tuple[bytes, int] | None:
            text = values.read_option(value)
            return None if text is None else values.read_string(text, limit)

        block = made.block(((capi.U32, number, 0, 0),))
        found = self._guest.call("snapshot", block, 1, self._fold, read)
        if found is None:
            return None
        text, size = found
        if size > limit:
            raise SnapshotUnsupported(f"part {number} has {size} bytes; at most {limit} are taken")
        return bytes(text)

    def _succeed(self, name: str, arguments: int, count: int) -> None:
        """Call a function that answers `result<_, string>`."""
        limit = self._limits.refusal_text_bytes

        def read(value: Value) -> str | None:
            fine, error = values.read_result(value)
            return None if fine or error is None else clean(values.read_string(error, limit)[0], limit)

        text = self._guest.call(name, arguments, count, self._fold, read)
        if text is not None:
            raise GuestError(text)

    def _read_answer(self, value: Value) -> Any:
        fine, held = values.read_result(value)
        if held is None:
            raise RuntimeError("a checked function gave an empty result")
        return self._read_success(held) if fine else self._read_refusal(held)

    def _read_success(self, held: Value) -> Answer:
        kind, body = values.read_record(held)
        limit = self._limits.answer_bytes
        content_type, _ = values.read_string(kind, _CONTENT_TYPE_BYTES)
        data, size = values.read_string(body, limit)
        if size > limit:
            raise AnswerTooLarge(size, limit)
        return Answer(check_content_type(content_type), data)

    def _read_refusal(self, held: Value) -> QueryRefused:
        name, text = values.read_variant(held)
        limit = self._limits.refusal_text_bytes
        raw = values.read_string(text, limit)[0] if text is not None else b""
        return QueryRefused("invalid" if name == b"invalid" else "failed", clean(raw, limit))


def _utf8_body(body: str | bytes) -> bytes:
    try:
        data = body.encode() if isinstance(body, str) else body
        if not data.isascii():
            data.decode()
    except UnicodeError:
        raise QueryRefused("invalid", "The body of a question must be UTF-8.") from None
    return data
