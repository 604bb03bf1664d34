"""Our tree against RFC 6962 written down recursion for recursion, at sizes where tiles and levels begin.

The tree is sparse: all entries are alike but for some hundreds, so 16 million of them cost nothing, and the
few show which path each hash of a proof belongs to.
"""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.tiles import ListTree, SparseTree, entries_of, naive_root, sha

from indelible.merkle.frontier import EMPTY_FRONTIER, extend, root
from indelible.merkle.proofs import (
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

HUGE = (1 << 24) + 257
SIZES = (1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 1 << 24, HUGE)
CHOSEN = random.Random(16_777_473).sample(range(HUGE), 300)  # noqa: S311 - which entries differ, no secret
TREE = SparseTree({at: b"entry %d" % at for at in (*range(600), *range(65_000, 65_600), *CHOSEN, HUGE - 1)})


def split(size: int) -> int:
    """The largest power of two smaller than a size of 2 or more."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def path(index: int, begin: int, end: int) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 §2.1.1; `index` counts from the tree's first leaf."""
    if end - begin == 1:
        return []
    middle = begin + split(end - begin)
    if index < middle:
        return [*path(index, begin, middle), naive_root(TREE, middle, end)]
    return [*path(index, middle, end), naive_root(TREE, begin, middle)]


def subproof(old: int, begin: int, end: int, known: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2; `old` counts from the tree's first leaf."""
    if old == end:
        return [] if known else [naive_root(TREE, begin, end)]
    middle = begin + split(end - begin)
    if old <= middle:
        return [*subproof(old, begin, middle, known), naive_root(TREE, middle, end)]
    return [*subproof(old, middle, end, False), naive_root(TREE, begin, middle)]


def nodes(asked: Sequence[tuple[int, int]]) -> list[bytes]:
    """Hashes at any level, straight from the tree."""
    return [TREE.node(level, position) for level, position in asked]


tiled = tile_hash_source(
    lambda level, start, count: [TREE.node(8 * level, at) for at in range(start, start + count)]
)
"""The same out of what tiles hold: every eighth level."""


@st.composite
def places(draw: st.DrawFn) -> tuple[int, int]:
    """A size, and a number of leaves in it; boundaries and entries that differ come up often."""
    size = draw(st.sampled_from(SIZES))
    near = [at for at in (*SIZES, *CHOSEN) if at <= size]
    picked = draw(st.one_of(st.integers(0, size), st.sampled_from([0, 1, size - 1, size, *near])))
    return size, min(picked, size)


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_that_of_the_recursion(size: int) -> None:
    """From hashes at all levels, and from tiles."""
    expected = naive_root(TREE, 0, size)
    assert root_from_source(size, nodes) == root_from_source(size, tiled) == expected
    assert root(frontier_from_source(size, tiled)) == expected


@given(places())
@settings(max_examples=150, deadline=None)
def test_inclusion_proofs_are_those_of_the_recursion(place: tuple[int, int]) -> None:
    """Made from both sources, they hold for their leaf and for no other."""
    size, picked = place
    index = min(picked, size - 1)
    proof = inclusion_proof(index, size, tiled)
    assert list(proof) == path(index, 0, size) == list(inclusion_proof(index, size, nodes))
    leaf, top = TREE.node(0, index), naive_root(TREE, 0, size)
    verify_inclusion(index, size, leaf, proof, top)
    with pytest.raises(ProofError):
        verify_inclusion(index, size, sha(b"another"), proof, top)


@given(places())
@settings(max_examples=150, deadline=None)
def test_consistency_proofs_are_those_of_the_recursion(place: tuple[int, int]) -> None:
    """Made from both sources, they hold between their roots and no others."""
    size, old = place
    proof = consistency_proof(old, size, tiled)
    assert list(proof) == ([] if old == 0 else subproof(old, 0, size, True))
    assert proof == consistency_proof(old, size, nodes)
    before, after = naive_root(TREE, 0, old), naive_root(TREE, 0, size)
    verify_consistency(old, size, before, after, proof)
    if old:
        with pytest.raises(ProofError):
            verify_consistency(old, size, sha(before), after, proof)


@given(places(), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_a_range_is_closed_at_any_size(place: tuple[int, int], count: int) -> None:
    """Its leaves and its proof give the root, and with one leaf less they don't."""
    size, first = place
    leaves = [TREE.node(0, at) for at in range(first, min(first + count, size))]
    proof = range_proof(first, first + len(leaves), size, tiled)
    verify_range(first, leaves, size, proof, naive_root(TREE, 0, size))
    if leaves:
        with pytest.raises(ProofError):
            verify_range(first, leaves[:-1], size, proof, naive_root(TREE, 0, size))


@pytest.mark.parametrize("begin", [65_000, (1 << 24) - 300])
def test_growing_over_a_boundary_gives_the_same_tree(begin: int) -> None:
    """Leaf by leaf's worth of pieces from the stored right edge: roots, and each node that a tile holds."""
    frontier = frontier_from_source(begin, tiled)
    for piece in (1, 7, 249, 43, 256, 1):
        leaves = [TREE.node(0, at) for at in range(frontier.size, frontier.size + piece)]
        growth = extend(frontier, leaves)
        frontier = growth.frontier
        assert root(frontier) == naive_root(TREE, 0, frontier.size)
        for node in growth.stored:
            assert node.hash == TREE.node(8 * node.level, node.position)


def test_a_tree_of_entries_that_all_differ_has_the_same_roots() -> None:
    """65,537 real entries, grown in batches as they come."""
    tree = ListTree(entries_of(65_537))
    frontier = EMPTY_FRONTIER
    for size in (1, 2, 255, 256, 257, 10_000, 65_535, 65_536, 65_537):
        frontier = extend(frontier, [tree.node(0, at) for at in range(frontier.size, size)]).frontier
        assert root(frontier) == naive_root(tree, 0, size)
