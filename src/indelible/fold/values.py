"""Component values as machine words: what a call takes is written here, what it gives is read here.

A value is four words: its kind, and up to three words of content. A string's content is its size and address,
a list's its length and the address of its values, a record's the address of entries of a name and a value.
The library copies arguments before the guest runs and never frees or changes them; all that a value points
to is kept alive by the `Values` or the `BatchColumns` that made it.
"""

import base64
import itertools
import operator
import struct
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from indelible.fold import capi
from indelible.fold.types import Batch, Pairs
from indelible.model.packed import Packed

Value = tuple[int, int, int, int]

TEXT, BASE64 = b"text", b"base64"
_ENTRY_VALUE = 2  # a record entry is a name of two words, then a value
_VALUE = struct.Struct("<4Q")
_KIND = 0xFF  # the other bytes of the first word are padding


class Values:
    """Makes values and keeps what they point to. Used for one call, then dropped."""

    def __init__(self) -> None:
        self._kept: list[bytes | array[int]] = []

    def block(self, values: Sequence[Value]) -> int:
        """Lay values out one after another; return their address (never 0)."""
        words = array("Q", itertools.chain.from_iterable(values) if values else (0,))
        self._kept.append(words)
        return words.buffer_info()[0]

    def string(self, data: bytes) -> Value:
        """A string of bytes that the caller knows to be UTF-8: the library aborts the process on others."""
        self._kept.append(data)
        return (capi.STRING, len(data), capi.bytes_address(data), 0)

    def text(self, text: str) -> Value:
        """A string.

        Raises:
            UnicodeEncodeError: a lone surrogate.
        """
        return self.string(text.encode())

    def list_of(self, values: Sequence[Value]) -> Value:
        """A list."""
        return (capi.LIST, len(values), self.block(values), 0)

    def pairs(self, pairs: Pairs) -> Value:
        """A list of tuples of two strings."""
        rows = [(capi.TUPLE, 2, self.block((self.text(name), self.text(value))), 0) for name, value in pairs]
        return self.list_of(rows)

    def octets(self, data: bytes) -> Value:
        """A list of u8. Takes 32 bytes of memory for each."""
        words = array("Q", (capi.U8, 0, 0, 0)) * max(len(data), 1)
        width = capi.WORD * capi.WORDS_PER_VALUE
        with memoryview(words) as whole, whole.cast("B") as octets:
            octets[capi.WORD : len(data) * width : width] = data
        self._kept.append(words)
        return (capi.LIST, len(data), words.buffer_info()[0], 0)

    def record(self, fields: Sequence[tuple[bytes, Value]]) -> Value:
        """A record; `fields` in the order of its type."""
        words = array("Q")
        for name, value in fields:
            self._kept.append(name)
            words.extend((len(name), capi.bytes_address(name), *value))
        self._kept.append(words)
        return (capi.RECORD, len(fields), words.buffer_info()[0], 0)


class Payloads(NamedTuple):
    """Payloads as component strings: one run of bytes, the size of each, and its form.

    `parted` when there is a line feed before each but the first. `forms` is empty when all are text.
    """

    joined: bytes
    sizes: "array[int]"
    parted: bool
    forms: Sequence[bytes]


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def prepare(payloads: Sequence[bytes]) -> Payloads:
    """Decide how each payload is handed over: as text when it is UTF-8, else as base64 of it.

    ASCII is handed over as it lies. Other payloads are joined with a line feed, so that the whole is UTF-8
    exactly when every one is: no sequence can run over a line feed.
    """
    if isinstance(payloads, Packed) and (packed := payloads.joined).isascii():
        return Payloads(packed, payloads.sizes, parted=False, forms=())
    joined = b"\n".join(payloads)
    forms: list[bytes] = []
    if not _is_utf8(joined):
        forms = [TEXT if _is_utf8(payload) else BASE64 for payload in payloads]
        payloads = [
            payload if form is TEXT else base64.b64encode(payload)
            for payload, form in zip(payloads, forms, strict=True)
        ]
        joined = b"\n".join(payloads)
    return Payloads(joined, array("Q", map(len, payloads)), parted=True, forms=forms)


class _Column:
    """A list of values of one kind, kept and refilled batch after batch: one or two words each change."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._words = array("Q")

    def fit(self, count: int) -> None:
        """Make room for `count` values."""
        if count * capi.WORDS_PER_VALUE > len(self._words):
            self._words = array("Q", (self._kind, 0, 0, 0)) * count

    def set(self, word: int, values: "array[int]") -> None:
        """Write one word of each value."""
        step = capi.WORDS_PER_VALUE
        with memoryview(self._words) as words:
            words[word : len(values) * step : step] = values

    def value(self, count: int) -> Value:
        """The list of the first `count` values."""
        return (capi.LIST, count, self._words.buffer_info()[0], 0)


class BatchColumns:
    """The argument of `append`: columns that are reused, so that an event costs no Python object."""

    _NAMES = (b"first-sequence", b"times", b"payloads", b"forms", b"writers", b"writer-of")

    def __init__(self) -> None:
        self._times = _Column(capi.U64)
        self._payloads = _Column(capi.STRING)
        self._forms = _Column(capi.ENUM)
        self._writer_of = _Column(capi.U32)
        self._entries = array("Q")
        for name in self._NAMES:
            self._entries.extend((len(name), capi.bytes_address(name), 0, 0, 0, 0))
        self._argument = array("Q", (capi.RECORD, len(self._NAMES), self._entries.buffer_info()[0], 0))
        for column in (self._times, self._payloads, self._forms, self._writer_of):
            column.fit(1)
        self._kept: object = None

    def fill(self, batch: Batch) -> int:
        """Write `batch`; return the address of the argument, valid until the next `fill`.

        Raises:
            ValueError: columns of different lengths.
            OverflowError: a number that is negative or too large.
        """
        count = len(batch.payloads)
        _check(batch, count)
        payloads = prepare(batch.payloads)
        values = Values()
        self._kept = (payloads, values)
        self._times.fit(count)
        self._times.set(1, array("Q", batch.times))
        self._fill_strings(payloads, count)
        columns = (
            (capi.U64, batch.first_sequence, 0, 0),
            self._times.value(count),
            self._payloads.value(count),
            self._fill_forms(payloads.forms),
            values.list_of([values.text(writer) for writer in batch.writers]),
            self._fill_writer_of(batch.writer_of),
        )
        for place, value in enumerate(columns):
            start = place * capi.WORDS_PER_ENTRY + _ENTRY_VALUE
            self._entries[start : start + capi.WORDS_PER_VALUE] = array("Q", value)
        return self._argument.buffer_info()[0]

    def release(self) -> None:
        """Let go of the last batch's bytes."""
        self._kept = None

    def _fill_strings(self, payloads: Payloads, count: int) -> None:
        first = capi.bytes_address(payloads.joined)
        starts: Iterable[int] = itertools.accumulate(payloads.sizes, initial=first)
        if payloads.parted:
            starts = map(operator.add, starts, range(count))
        self._payloads.fit(count)
        self._payloads.set(1, payloads.sizes)
        self._payloads.set(2, array("Q", itertools.islice(starts, count)))

    def _fill_forms(self, forms: Sequence[bytes]) -> Value:
        address = {TEXT: capi.bytes_address(TEXT), BASE64: capi.bytes_address(BASE64)}
        self._forms.fit(len(forms))
        self._forms.set(1, array("Q", map(len, forms)))
        self._forms.set(2, array("Q", map(address.__getitem__, forms)))
        return self._forms.value(len(forms))

    def _fill_writer_of(self, places: Sequence[int]) -> Value:
        self._writer_of.fit(len(places))
        self._writer_of.set(1, array("Q", places))
        return self._writer_of.value(len(places))


def _check(batch: Batch, count: int) -> None:
    if len(batch.times) != count or len(batch.writer_of) not in (0, count):
        raise ValueError("the columns of a batch have different lengths")
    if batch.writer_of:
        if max(batch.writer_of) >= len(batch.writers):
            raise ValueError("writer_of points past the writers")
    elif len(batch.writers) > 1:
        raise ValueError("writer_of is needed when there are several writers")


class _Malformed(RuntimeError):
    """The library gave a value of another kind than the checked type has."""


def load(address: int) -> Value:
    """Read the four words of a value."""
    kind, *rest = _VALUE.unpack(capi.copy(address, _VALUE.size))
    return (kind & _KIND, rest[0], rest[1], rest[2])


def _expect(value: Value, kind: int) -> Value:
    if value[0] != kind:
        raise _Malformed(f"expected a value of kind {kind}, got {value[0]}")
    return value


def read_string(value: Value, limit_bytes: int) -> tuple[bytes, int]:
    """Copy at most `limit_bytes` of a string; return them and the string's size."""
    _, size, address, _ = _expect(value, capi.STRING)
    return capi.copy(address, min(size, limit_bytes)), size


def read_octets(value: Value) -> bytes:
    """Copy a list of u8."""
    _, count, address, _ = _expect(value, capi.LIST)
    width = capi.WORD * capi.WORDS_PER_VALUE
    return capi.copy(address, count * width)[capi.WORD :: width]


def octets_size(value: Value) -> int:
    """Return how many values a list has."""
    return _expect(value, capi.LIST)[1]


def read_result(value: Value) -> tuple[bool, Value | None]:
    """Take a result apart: whether it is ok, and what it holds."""
    _, flag, address, _ = _expect(value, capi.RESULT)
    return bool(flag & _KIND), load(address) if address else None


def read_option(value: Value) -> Value | None:
    """Take an option apart."""
    _, address, _, _ = _expect(value, capi.OPTION)
    return load(address) if address else None


def read_variant(value: Value) -> tuple[bytes, Value | None]:
    """Take a variant apart: the name of its case, and what it holds."""
    _, size, name, address = _expect(value, capi.VARIANT)
    return capi.copy(name, min(size, 64)), load(address) if address else None


def read_record(value: Value) -> list[Value]:
    """Take a record's fields, in the order of its type."""
    _, count, address, _ = _expect(value, capi.RECORD)
    width = capi.WORD * capi.WORDS_PER_ENTRY
    return [load(address + place * width + capi.WORD * _ENTRY_VALUE) for place in range(count)]
