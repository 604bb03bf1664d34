"""What is laid out in memory for the engine, read back through its addresses."""

import base64
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from indelible.fold import capi, values
from indelible.fold.types import Batch
from indelible.fold.values import BatchColumns, Value, Values
from indelible.model.packed import Packed

LIMIT = 1 << 30
U64 = st.integers(0, 2**64 - 1)
PAYLOADS = st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)), max_size=12)
PIECES = st.sampled_from([b"", b"a", b"bc", b"\xc3", b"\xa9", b"\xc3\xa9"])
TEXTS = st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=6)


def items(value: Value) -> list[Value]:
    """The values of a list or a tuple."""
    assert value[0] in (capi.LIST, capi.TUPLE)
    width = capi.WORD * capi.WORDS_PER_VALUE
    return [values.load(value[2] + place * width) for place in range(value[1])]


def text(value: Value) -> bytes:
    """The bytes of a string or an enum's name."""
    assert value[0] in (capi.STRING, capi.ENUM)
    return capi.copy(value[2], value[1])


def expected(payload: bytes) -> tuple[bytes, bytes]:
    """How the contract hands a payload over: its form and its text."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return b"base64", base64.b64encode(payload)
    return b"text", payload


def check(columns: BatchColumns, batch: Batch) -> None:
    """Fill and read back; every column must say what the batch said."""
    argument = values.load(columns.fill(batch))
    first, times, payloads, forms, writers, writer_of = values.read_record(argument)
    assert first[:2] == (capi.U64, batch.first_sequence)
    assert [value[:2] for value in items(times)] == [(capi.U64, time) for time in batch.times]
    wanted = [expected(payload) for payload in batch.payloads]
    assert [text(value) for value in items(payloads)] == [data for _, data in wanted]
    shown = [text(value) for value in items(forms)]
    assert shown == ([] if all(form == b"text" for form, _ in wanted) else [form for form, _ in wanted])
    assert [text(value) for value in items(writers)] == [writer.encode() for writer in batch.writers]
    assert [value[:2] for value in items(writer_of)] == [(capi.U32, place) for place in batch.writer_of]


@given(st.lists(st.tuples(PAYLOADS, st.data()), min_size=1, max_size=4))
def test_columns_hold_what_the_batch_held(rounds: Sequence[tuple[list[bytes], st.DataObject]]) -> None:
    """Any payloads, one batch after another in the same columns: nothing of an earlier one shows."""
    columns = BatchColumns()
    for payloads, data in rounds:
        count = len(payloads)
        writers = data.draw(st.lists(st.text(max_size=8), min_size=1, max_size=4))
        places = st.lists(st.integers(0, len(writers) - 1), min_size=count, max_size=count)
        writer_of = data.draw(places) if len(writers) > 1 else []
        if not writer_of:
            writers = writers[:1]
        times = data.draw(st.lists(U64, min_size=count, max_size=count))
        check(columns, Batch(data.draw(U64), times, payloads, writers, writer_of))


@given(st.lists(st.lists(PIECES, max_size=5), min_size=1, max_size=3))
def test_payloads_laid_end_to_end_are_still_told_apart(rounds: list[list[bytes]]) -> None:
    """Each is handed over as it would be alone, also where one ends within a character of the whole."""
    columns = BatchColumns()
    for payloads in rounds:
        packed = Packed.of([b"before", *payloads, b"after"])[1 : len(payloads) + 1]
        check(columns, Batch(1, [0] * len(payloads), packed, ["w"]))


@given(TEXTS)
def test_pairs_come_in_order_with_repeats(pairs: list[tuple[str, str]]) -> None:
    """A list of tuples of strings reads back as it was, empty and multi-byte texts included."""
    made = Values()
    block = made.block((made.pairs(pairs),))
    read = [tuple(text(part).decode() for part in items(row)) for row in items(values.load(block))]
    assert read == pairs


@given(st.binary(max_size=300))
def test_octets_come_one_value_each(data: bytes) -> None:
    """A list of u8 reads back as the bytes that it was made of."""
    made = Values()
    block = made.block((made.octets(data),))
    assert values.read_octets(values.load(block)) == data
    assert values.octets_size(values.load(block)) == len(data)


@given(st.binary(max_size=50), st.integers(0, 60))
def test_a_string_is_copied_up_to_its_limit(data: bytes, limit: int) -> None:
    """No more than the limit is copied; the size is that of the whole."""
    made = Values()
    block = made.block((made.string(data),))
    assert values.read_string(values.load(block), limit) == (data[:limit], len(data))
