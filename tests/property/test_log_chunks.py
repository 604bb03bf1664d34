"""The stored form of events: what is encoded is decoded, and what is damaged is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.log.chunk import Chunk, ChunkError, KeyUse, decode_chunk, encode_meta
from indelible.store.base import ChunkRow


@st.composite
def rows(draw: st.DrawFn) -> tuple[ChunkRow, Chunk]:
    """A row as staging writes it, and what it must be decoded to."""
    payloads = draw(st.lists(st.binary(max_size=20), min_size=1, max_size=8))
    events = len(payloads)
    writers = draw(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=3, unique=True))
    writer_of: list[int] = []
    if len(writers) > 1:
        writer_of = draw(st.lists(st.integers(0, len(writers) - 1), min_size=events, max_size=events))
    salts = draw(st.binary(min_size=16 * events, max_size=16 * events))
    commitments = draw(st.binary(min_size=32 * events, max_size=32 * events))
    leaves = draw(st.binary(min_size=32 * events, max_size=32 * events))
    digest = st.binary(min_size=16, max_size=16)
    use = st.builds(KeyUse, st.integers(0, events - 1), st.integers(1, 2**32 - 1), digest, digest)
    keys = draw(st.lists(use, max_size=3))
    lengths = [len(payload) for payload in payloads]
    meta = encode_meta(writers, writer_of, salts=salts, commitments=commitments, lengths=lengths, keys=keys)
    first, time = draw(st.integers(1, 2**40 - 1)), draw(st.integers(0, 2**62))
    row = ChunkRow(first, events, time, meta, leaves, b"".join(payloads))
    chunk = Chunk(
        first,
        events,
        time,
        tuple(writers),
        tuple(writer_of),
        salts,
        commitments,
        tuple(lengths),
        tuple(keys),
        leaves,
        row.payload,
    )
    assert chunk.payloads() == payloads
    return row, chunk


@given(rows())
def test_what_is_encoded_is_decoded(made: tuple[ChunkRow, Chunk]) -> None:
    """Column by column, and event by event."""
    row, expected = made
    chunk = decode_chunk(row)
    assert chunk == expected
    for at, event in enumerate(chunk.event_list()):
        assert event.sequence == row.first + at
        assert (event.writer, event.salt) == (chunk.writer(at), chunk.salt(at))
        entry = chunk.entry(at)
        assert (entry.sequence, entry.time, entry.commitment) == (
            row.first + at,
            row.time,
            chunk.commitment(at),
        )


@given(rows(), st.data())
def test_damage_is_refused_or_changes_only_what_it_hit(
    made: tuple[ChunkRow, Chunk], data: st.DataObject
) -> None:
    """A changed byte, a cut or a longer part: ChunkError, or a chunk whose parts still fit together."""
    row, expected = made
    part = data.draw(st.sampled_from(["meta", "leaves", "payload"]))
    value = bytearray(getattr(row, part))
    kind = data.draw(st.sampled_from(["flip", "cut", "grow"]))
    if kind == "flip" and value:
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut" and value:
        del value[data.draw(st.integers(0, len(value) - 1)) :]
    else:
        value += data.draw(st.binary(min_size=1, max_size=40))
        kind = "grow"
    changed = ChunkRow._make(bytes(value) if name == part else getattr(row, name) for name in row._fields)
    try:
        chunk = decode_chunk(changed)
    except ChunkError:
        return
    assert kind == "flip", "another length must be noticed"
    assert chunk != expected
    assert len(chunk.payloads()) == len(chunk.event_list()) == row.events
    assert sum(map(len, chunk.payloads())) == len(row.payload)
    assert all(len(chunk.writer(at)) == 16 and len(chunk.salt(at)) == 16 for at in range(row.events))
    assert all(use.offset < row.events for use in chunk.keys)


@given(st.binary(max_size=120), st.integers(-2, 2**33), st.binary(max_size=64), st.binary(max_size=20))
def test_rubbish_is_a_chunk_error_and_nothing_else(
    meta: bytes, events: int, leaves: bytes, payload: bytes
) -> None:
    """Whatever stands in a row: no other exception, no endless loop, no chunk without events."""
    try:
        chunk = decode_chunk(ChunkRow(1, events, 0, meta, leaves, payload))
    except ChunkError:
        return
    assert chunk.events >= 1
    assert len(chunk.payloads()) == chunk.events


@pytest.mark.parametrize("flags", [4, 8, 0x80])
def test_flags_of_a_later_version_are_refused(flags: int) -> None:
    """A column that this program does not know must not be read over."""
    meta = struct.pack(">BBH", 1, flags, 1) + bytes(16 + 16 + 32 + 4)
    with pytest.raises(ChunkError):
        decode_chunk(ChunkRow(1, 1, 0, meta, bytes(32), b""))
