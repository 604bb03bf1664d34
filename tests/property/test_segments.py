"""Segments come back as they went, whatever is in them; and are cut anywhere without a difference."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.log.archive import plan_segment
from indelible.log.chunk import Chunk, KeyUse, decode_chunk
from indelible.log.mirror import right_edge, tiles_between
from indelible.log.segment import Ref, SegmentError, cut, decode_segment, encode_segment, rebuilt
from indelible.log.stage import Call, seal, stage
from indelible.merkle.hashing import EMPTY_ROOT
from indelible.merkle.tiles import TilePath
from indelible.model.limits import Limits
from indelible.store.base import HeadRow

LIMIT = 1 << 24
PREVIOUS = Ref("events/x/1-1", "00", 1, None)

calls = st.lists(
    st.tuples(
        st.integers(0, 2), st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.booleans()
    ),
    min_size=1,
    max_size=6,
)
commits = st.lists(calls, min_size=1, max_size=4)


def log_of(made: list[list[tuple[int, list[bytes], bool]]]) -> list[Chunk]:
    """The chunks that these commits of these calls make, through the code of every commit."""
    randomness = random.Random(1).randbytes  # noqa: S311 - salts that come again
    head, chunks = HeadRow(0, 0, 0, EMPTY_ROOT, b""), []
    for time, group in enumerate(made):
        payloads = [payload for _, batch, _ in group for payload in batch]
        asked = [
            Call(
                bytes([writer]) * 16,
                len(batch),
                randomness(16) if keyed else None,
                randomness(16) if keyed else b"",
            )
            for writer, batch, keyed in group
        ]
        staged = stage(head, 1_000 + time, seal(payloads, randomness), asked)
        chunks += [decode_chunk(row) for row in staged.chunks]
        head = staged.head
    return chunks


@given(commits)
def test_what_is_sealed_comes_back(made: list[list[tuple[int, list[bytes], bool]]]) -> None:
    """Every column, the idempotency keys too; and from it alone the rows and leaf hashes of the store."""
    chunks = log_of(made)
    data = encode_segment("x.example/logs/1", chunks, None)
    segment = decode_segment(data, LIMIT)
    assert (segment.header.first, segment.header.last) == (1, chunks[-1].last)
    for run, chunk in zip(segment.runs, chunks, strict=True):
        row, leaves = rebuilt(run)
        assert decode_chunk(row) == chunk
        assert b"".join(leaves) == chunk.leaves


@given(commits, st.data())
def test_a_cut_loses_nothing(made: list[list[tuple[int, list[bytes], bool]]], data: st.DataObject) -> None:
    """Sealed in two pieces, cut at any event: the same leaves, payloads and keys at the same sequences."""
    chunks = log_of(made)
    last = chunks[-1].last
    at = data.draw(st.integers(1, last))
    pieces = [
        [cut(c, low, high) for c in chunks if c.last >= low and c.first <= high]
        for low, high in ((1, at), (at + 1, last))
    ]
    runs = [
        run
        for piece in pieces
        if piece
        for run in decode_segment(encode_segment("x", piece, PREVIOUS), LIMIT).runs
    ]
    assert b"".join(b"".join(rebuilt(run)[1]) for run in runs) == b"".join(chunk.leaves for chunk in chunks)
    assert _keys(runs) == _keys(chunks)
    assert [p for run in runs for p in run.payloads()] == [p for chunk in chunks for p in chunk.payloads()]


def _keys(chunks: list[Chunk]) -> dict[int, KeyUse]:
    return {chunk.first + use.offset: use._replace(offset=0) for chunk in chunks for use in chunk.keys}


@given(commits, st.data())
def test_a_damaged_segment_is_refused(
    made: list[list[tuple[int, list[bytes], bool]]], data: st.DataObject
) -> None:
    """One flipped bit after the header, a byte less or more: never other events, always a refusal."""
    right = encode_segment("x", log_of(made), None)
    body = right.index(b"\n") + 1
    at = data.draw(st.integers(body, len(right) - 1))
    flipped = bytearray(right)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for wrong in (bytes(flipped), right[:-1], right + b"\0", right[:body]):
        try:
            found = decode_segment(wrong, LIMIT)
        except SegmentError:
            continue
        assert found == decode_segment(right, LIMIT)  # a bit of the compression that says nothing


def test_a_segment_that_inflates_too_far_is_refused() -> None:
    """By what it says, before it is inflated."""
    data = encode_segment("x", log_of([[(0, [bytes(10_000)], False)]]), None)
    with pytest.raises(SegmentError, match="the limit is"):
        decode_segment(data, 10_000)


# ---------------------------------------------------------------------- plans


@given(
    st.integers(0, 3_000),
    st.integers(0, 3_000),
    st.booleans(),
    st.integers(1, 4),
    st.lists(st.integers(1, 99), min_size=1),
)
def test_segments_end_where_the_rules_say(
    archived: int, more: int, by_age: bool, units: int, sizes: list[int]
) -> None:
    """At a multiple of 256, or at the head by age; never empty, nor over its limits for no need."""
    head = archived + more
    limits = Limits(archive_segment_events=units * 256, archive_segment_bytes=20_000)

    def payload_bytes(first: int, last: int) -> int:
        return sum(sizes[sequence % len(sizes)] for sequence in range(first, last + 1))

    end = plan_segment(archived + 1, head, by_age=by_age, limits=limits, payload_bytes=payload_bytes)
    if end is None:
        assert more == 0 or (not by_age and head // 256 * 256 - archived < units * 256)
        return
    assert archived < end <= head
    assert end % 256 == 0 or (by_age and end == head)
    assert end - archived <= units * 256
    first_unit = min(head, (archived // 256 + 1) * 256)
    assert end == first_unit or payload_bytes(archived + 1, end) <= 20_000


@given(st.integers(0, 200_000), st.integers(0, 3_000))
def test_tiles_are_laid_once_and_all(old: int, more: int) -> None:
    """What one tree has and the other has not, each once; with the right edge last of each level."""
    new = old + more

    def all_of(size: int) -> set[TilePath]:
        return set(tiles_between(0, size))

    found = list(tiles_between(old, new))
    assert len(found) == len(set(found))
    assert set(found) == all_of(new) - all_of(old)
    assert set(right_edge(new)) <= all_of(new)
    for level in {tile.level for tile in all_of(new)}:
        widths = [tile.width for tile in all_of(new) if tile.level == level]
        assert sum(widths) == new >> (8 * (level or 0))
        assert max(tile.number for tile in all_of(new) if tile.level == level) == next(
            tile.number for tile in right_edge(new) if tile.level == level
        )
