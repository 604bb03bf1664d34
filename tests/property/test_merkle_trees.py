"""Frontier, proofs and tiles against a naive tree written from RFC 6962 §2.1, recursion for recursion."""

import hashlib
import random
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indelible.merkle.frontier import (
    EMPTY_FRONTIER,
    Frontier,
    StoredHash,
    decode_frontier,
    encode_frontier,
    extend,
    root,
)
from indelible.merkle.proofs import (
    HashSource,
    ProofError,
    consistency_proof,
    frontier_from_source,
    inclusion_proof,
    range_proof,
    root_from_source,
    verify_consistency,
    verify_inclusion,
    verify_range,
)
from indelible.merkle.tiles import tile_hash_source

SMALL = 130
LARGE = 2_000


def sha(data: bytes) -> bytes:
    """SHA-256, straight from the standard library."""
    return hashlib.sha256(data).digest()


LEAVES = [sha(b"\x00" + b"%d" % at) for at in range(LARGE + 1)]


def largest_power_below(number: int) -> int:
    """The largest power of two smaller than a number of 2 or more."""
    power = 1
    while power * 2 < number:
        power *= 2
    return power


@cache
def mth(begin: int, end: int) -> bytes:
    """MTH(D[begin:end]) of RFC 6962 §2.1."""
    if begin == end:
        return sha(b"")
    if end - begin == 1:
        return LEAVES[begin]
    middle = begin + largest_power_below(end - begin)
    return sha(b"\x01" + mth(begin, middle) + mth(middle, end))


def path(index: int, begin: int, end: int) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 §2.1.1."""
    if end - begin == 1:
        return []
    middle = begin + largest_power_below(end - begin)
    if index < middle:
        return [*path(index, begin, middle), mth(middle, end)]
    return [*path(index, middle, end), mth(begin, middle)]


def subproof(old: int, begin: int, end: int, known: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2; `old` counts from the tree's first leaf."""
    if old == end:
        return [] if known else [mth(begin, end)]
    middle = begin + largest_power_below(end - begin)
    if old <= middle:
        return [*subproof(old, begin, middle, known), mth(middle, end)]
    return [*subproof(old, middle, end, False), mth(begin, middle)]


def closing(first: int, last: int, begin: int, end: int) -> list[bytes]:
    """The range closure as formats.md words it."""
    if end <= first or last <= begin:
        return [mth(begin, end)]
    if first <= begin and end <= last:
        return []
    middle = begin + largest_power_below(end - begin)
    return [*closing(first, last, begin, middle), *closing(first, last, middle, end)]


def naive_source(nodes: Sequence[tuple[int, int]]) -> list[bytes]:
    """A source of hashes that computes each from its leaves."""
    return [mth(position << level, (position + 1) << level) for level, position in nodes]


def grown(size: int) -> Frontier:
    """The frontier of the first leaves, added in one go."""
    return extend(EMPTY_FRONTIER, LEAVES[:size]).frontier


def stored_levels(size: int, cuts: Sequence[int] = ()) -> dict[int, list[bytes]]:
    """Node hashes as a store gathers them over appends that end at `cuts`, leaf hashes as level 0."""
    levels: dict[int, list[bytes]] = {0: LEAVES[:size]}
    frontier = EMPTY_FRONTIER
    for cut in [*sorted(cuts), size]:
        growth = extend(frontier, LEAVES[frontier.size : cut])
        for node in growth.stored:
            level = levels.setdefault(node.level, [])
            assert node.position == len(level), "nodes are completed in order, each once"
            level.append(node.hash)
        frontier = growth.frontier
    return levels


def flip(hashes: Sequence[bytes], place: int) -> list[bytes]:
    """The hashes with one bit turned."""
    at, bit = divmod(place, 256)
    changed = bytearray(hashes[at])
    changed[bit // 8] ^= 1 << bit % 8
    return [*hashes[:at], bytes(changed), *hashes[at + 1 :]]


sizes = st.integers(0, LARGE)


def test_every_small_tree_has_the_naive_root() -> None:
    """The frontier's root equals MTH for each size to 130, grown one leaf at a time."""
    frontier = EMPTY_FRONTIER
    for size in range(SMALL + 1):
        assert root(frontier) == mth(0, size)
        assert frontier == grown(size)
        assert frontier == frontier_from_source(size, naive_source)
        assert root_from_source(size, naive_source) == mth(0, size)
        assert decode_frontier(size, encode_frontier(frontier)) == frontier
        frontier = extend(frontier, LEAVES[size : size + 1]).frontier


@given(size=sizes, cuts=st.lists(sizes, max_size=6))
@settings(deadline=None)
def test_the_way_leaves_are_cut_into_appends_does_not_matter(size: int, cuts: list[int]) -> None:
    """Any split of the same leaves into appends leads to one frontier, root and set of stored nodes."""
    within = [cut for cut in cuts if cut <= size]
    frontier = EMPTY_FRONTIER
    for cut in [*sorted(within), size]:
        frontier = extend(frontier, LEAVES[frontier.size : cut]).frontier
    assert frontier == grown(size)
    assert root(frontier) == mth(0, size)
    assert stored_levels(size, within) == stored_levels(size)


@given(size=sizes)
@settings(deadline=None)
def test_stored_nodes_are_the_full_tiles(size: int) -> None:
    """Tile level 1 gets the root of each full run of 256 leaves, and nothing of a partial one."""
    levels = stored_levels(size)
    full = [mth(at * 256, at * 256 + 256) for at in range(size // 256)]
    assert levels.get(1, []) == full
    assert set(levels) <= {0, 1}


def test_every_small_inclusion_proof() -> None:
    """For all sizes to 130 and all leaves: the naive proof, which verifies for that leaf and no other."""
    for size in range(1, SMALL + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, naive_source)
            assert list(proof) == path(index, 0, size)
            verify_inclusion(index, size, LEAVES[index], proof, mth(0, size))
            with pytest.raises(ProofError):
                verify_inclusion(index, size, LEAVES[size], proof, mth(0, size))


def test_every_small_consistency_proof() -> None:
    """For all pairs of sizes to 130: the naive proof, which verifies for these roots."""
    for new in range(SMALL + 1):
        for old in range(new + 1):
            proof = consistency_proof(old, new, naive_source)
            assert list(proof) == (subproof(old, 0, new, True) if old else [])
            verify_consistency(old, new, mth(0, old), mth(0, new), proof)


def test_every_small_range_proof() -> None:
    """For all ranges of trees to 40 leaves: the closure as formats.md words it, which verifies."""
    for size in range(1, 41):
        for first in range(size):
            for end in range(first + 1, size + 1):
                proof = range_proof(first, end, size, naive_source)
                assert list(proof) == closing(first, end, 0, size)
                verify_range(first, LEAVES[first:end], size, proof, mth(0, size))


@given(data=st.data(), size=st.integers(1, LARGE))
@settings(deadline=None)
def test_proofs_from_tiles_equal_the_naive_ones(data: st.DataObject, size: int) -> None:
    """Proofs made from hashes at tile levels alone are the naive proofs; no tile is read twice."""
    source, reads = tiles_of(stored_levels(size))
    index = data.draw(st.integers(0, size - 1))
    assert list(inclusion_proof(index, size, source)) == path(index, 0, size)
    assert len(reads) == len(set(reads))
    reads.clear()
    old = data.draw(st.integers(1, size))
    assert list(consistency_proof(old, size, source)) == subproof(old, 0, size, True)
    assert len(reads) == len(set(reads))
    reads.clear()
    end = data.draw(st.integers(index + 1, size))
    proof = range_proof(index, end, size, source)
    assert list(proof) == closing(index, end, 0, size)
    assert len(reads) == len(set(reads))
    verify_range(index, LEAVES[index:end], size, proof, mth(0, size))


def tiles_of(levels: dict[int, list[bytes]]) -> tuple[HashSource, list[tuple[int, int]]]:
    """A source over stored hashes, and the list of tiles that it has read."""
    reads: list[tuple[int, int]] = []

    def read(level: int, start: int, count: int) -> list[bytes]:
        assert start // 256 == (start + count - 1) // 256, "one read stays inside one tile"
        reads.append((level, start // 256))
        return levels[level][start : start + count]

    return tile_hash_source(read), reads


@given(data=st.data(), size=st.integers(2, LARGE))
@settings(deadline=None)
def test_a_changed_inclusion_proof_fails(data: st.DataObject, size: int) -> None:
    """A flipped bit, a missing, doubled or added hash, or another index or size: each fails."""
    index = data.draw(st.integers(0, size - 1))
    proof, top = path(index, 0, size), mth(0, size)
    changed = flip(proof, data.draw(st.integers(0, 256 * len(proof) - 1)))
    wrong_index = data.draw(st.integers(0, size - 1).filter(lambda at: at != index))
    for bad in (
        changed,
        proof[1:],
        proof[:-1],
        [*proof, proof[-1]],
        [*proof, top],
        [proof[0][:31], *proof[1:]],
    ):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, LEAVES[index], bad, top)
    with pytest.raises(ProofError):
        verify_inclusion(wrong_index, size, LEAVES[index], proof, top)


@given(data=st.data(), new=st.integers(2, LARGE))
@settings(deadline=None)
def test_a_changed_consistency_proof_fails(data: st.DataObject, new: int) -> None:
    """A flipped bit, a missing or added hash, another root, or another history: each fails."""
    old = data.draw(st.integers(1, new - 1))
    proof, roots = subproof(old, 0, new, True), (mth(0, old), mth(0, new))
    changed = flip(proof, data.draw(st.integers(0, 256 * len(proof) - 1)))
    for bad in (changed, proof[1:], proof[:-1], [*proof, proof[-1]], [proof[0] + b"\0", *proof[1:]]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, *roots, bad)
    with pytest.raises(ProofError):
        verify_consistency(old, new, LEAVES[-1], roots[1], proof)
    with pytest.raises(ProofError):
        verify_consistency(old, new, roots[0], LEAVES[-1], proof)
    with pytest.raises(ProofError):
        verify_consistency(new, old, roots[1], roots[0], proof)


@given(data=st.data(), size=st.integers(1, 400))
@settings(deadline=None)
def test_a_changed_range_proof_fails(data: st.DataObject, size: int) -> None:
    """A leaf changed, left out, added or swapped, a shifted range, or a changed proof: each fails."""
    first = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(first + 1, size))
    leaves, proof, top = LEAVES[first:end], closing(first, end, 0, size), mth(0, size)
    bad_leaves = [leaves[1:], leaves[:-1], [*leaves, LEAVES[end]], flip(leaves, 256 * len(leaves) - 1)]
    bad_leaves += [[*leaves[1:], leaves[0]]] if len(leaves) > 1 else []
    for bad in bad_leaves:
        with pytest.raises(ProofError):
            verify_range(first, bad, size, proof, top)
    bad_proofs = [[*proof, top], *([flip(proof, 5), proof[1:], proof[:-1]] if proof else [])]
    for bad in bad_proofs:
        with pytest.raises(ProofError):
            verify_range(first, leaves, size, bad, top)
    with pytest.raises(ProofError):
        verify_range(first + 1, leaves, size, proof, top)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537])
def test_stored_nodes_at_the_borders_of_tiles(size: int) -> None:
    """At each border exactly the completed nodes are stored, and proofs out of them verify."""
    leaves = [sha(b"\x00" + b"%d" % at) for at in range(size)]
    growth = extend(EMPTY_FRONTIER, leaves)
    levels: dict[int, list[bytes]] = {0: leaves}
    for node in growth.stored:
        levels.setdefault(node.level, []).append(node.hash)
    assert [(node.level, node.position) for node in growth.stored] == [
        *[(1, at) for at in range(size // 256)],
        *[(2, at) for at in range(size // 65_536)],
    ]
    source, reads = tiles_of(levels)
    top = root(growth.frontier)
    assert root_from_source(size, source) == top
    chosen = random.Random(size)  # noqa: S311 - which leaves are tried, no secret
    for index in {*chosen.choices(range(size), k=20), 0, size - 1} if size else ():
        reads.clear()
        verify_inclusion(index, size, leaves[index], inclusion_proof(index, size, source), top)
        assert len(reads) == len(set(reads)) <= 4


def test_a_single_leaf_completes_two_levels_at_once() -> None:
    """The 65,536th leaf completes one node of tile level 1 and one of level 2, at the right positions."""
    leaves = [sha(b"\x00" + b"%d" % at) for at in range(65_536)]
    before = extend(EMPTY_FRONTIER, leaves[:-1])
    after = extend(before.frontier, leaves[-1:])
    whole = extend(EMPTY_FRONTIER, leaves)
    assert [(node.level, node.position) for node in after.stored] == [(1, 255), (2, 0)]
    assert after.stored[-1] == whole.stored[-1] == StoredHash(2, 0, root(whole.frontier))
    assert after.frontier == whole.frontier
