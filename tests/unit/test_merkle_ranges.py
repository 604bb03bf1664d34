"""A range whose leaves come in parts is checked as one whose leaves are all there."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.logs import naive_leaf, naive_root

from indelible.merkle.checks import ProofError
from indelible.merkle.entry import event_leaf_hashes
from indelible.merkle.frontier import EMPTY_FRONTIER, extend
from indelible.merkle.ranges import close_range, open_range, range_proof
from indelible.merkle.subtrees import HashSource

LEAVES = [hashlib.sha256(b"%d" % at).digest() for at in range(70)]


def source() -> HashSource:
    """Hashes of perfect subtrees, each computed from its leaves."""
    return lambda asked: [naive_root(LEAVES[at << level : (at + 1) << level]) for level, at in asked]


@given(st.data())
def test_leaves_in_parts_lead_to_the_root(data: st.DataObject) -> None:
    """Whatever the range and wherever it is cut; and with a leaf missing at its end they do not."""
    size = data.draw(st.integers(1, len(LEAVES)))
    first = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(first + 1, size))
    cut = data.draw(st.integers(first, end))
    root = naive_root(LEAVES[:size])
    opened = open_range(first, end, size, range_proof(first, end, size, source()))
    half = extend(opened.left, LEAVES[first:cut]).frontier
    close_range(opened, extend(half, LEAVES[cut:end]).frontier, root)
    if cut < end:
        with pytest.raises(ProofError):
            close_range(opened, half, root)


def test_a_range_without_leaves_is_under_every_head_and_only_that() -> None:
    """The proof is the root; it does not do for a range that has leaves, of which none came."""
    root = naive_root(LEAVES)
    close_range(open_range(5, 5, len(LEAVES), [root]), EMPTY_FRONTIER, root)
    for first in (0, 5):
        proof = [root] * (first.bit_count() + 1)
        with pytest.raises(ProofError, match="ends before"):
            close_range(open_range(first, 9, len(LEAVES), proof), EMPTY_FRONTIER, root)


@pytest.mark.parametrize(("first", "end", "size"), [(-1, 2, 9), (3, 2, 9), (0, 10, 9), (0, 1, 1 << 63)])
def test_a_range_that_is_none_is_refused(first: int, end: int, size: int) -> None:
    """Numbers are a stranger's."""
    with pytest.raises(ProofError):
        open_range(first, end, size, [])


def test_each_leaf_has_its_own_time_and_writer() -> None:
    """As the formats have it, written by hand."""
    payloads, salts = [b"a", b"b", b"c"], [bytes([at]) * 16 for at in range(3)]
    times, writers = [5, 5, 9], [b"w" * 16, b"v" * 16, b"w" * 16]
    columns = list(zip(salts, payloads, strict=True))
    commitments = [hashlib.sha256(salt + payload).digest() for salt, payload in columns]
    assert event_leaf_hashes(7, times, writers, commitments) == [
        naive_leaf(7 + at, times[at], writers[at], *columns[at]) for at in range(3)
    ]
    assert event_leaf_hashes(7, [], [], []) == []
    for wrong in ((0, times, writers), (7, [5, -1, 9], writers), (7, [5, 1 << 64, 9], writers)):
        with pytest.raises(ValueError, match=r"run from|u64"):
            event_leaf_hashes(*wrong, commitments)
    for columns_short in ((times[:2], writers), (times, writers[:2]), (times, [b"w"] * 3)):
        with pytest.raises(ValueError, match=r"Each entry|writer"):
            event_leaf_hashes(7, *columns_short, commitments)
