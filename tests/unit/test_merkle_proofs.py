"""Edges of frontier and proofs: hostile numbers and lengths, empty trees and ranges, broken sources."""

from collections.abc import Sequence

import pytest

from indelible.merkle.frontier import EMPTY_FRONTIER, Frontier, decode_frontier, encode_frontier, extend, root
from indelible.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from indelible.merkle.proofs import (
    ProofError,
    consistency_proof,
    inclusion_proof,
    range_proof,
    root_from_source,
    verify_consistency,
    verify_inclusion,
    verify_range,
)
from indelible.merkle.tiles import tile_hash_source

A, B, C = (leaf_hash(text) for text in (b"a", b"b", b"c"))
TOP = node_hash(node_hash(A, B), C)
HUGE = 1 << 70


def unasked(nodes: Sequence[tuple[int, int]]) -> list[bytes]:
    """A source that must not be asked."""
    raise AssertionError(f"asked for {nodes}")


def test_the_hashes_of_nothing_and_of_one_empty_leaf_are_the_published_ones() -> None:
    """SHA-256 of nothing, and RFC 6962's leaf prefix over an empty leaf."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_a_frontier_of_three() -> None:
    """Three leaves are a perfect pair and a single leaf; their root joins the two."""
    growth = extend(EMPTY_FRONTIER, [A, B, C])
    assert growth.frontier == Frontier(3, (node_hash(A, B), C))
    assert growth.stored == ()
    assert root(growth.frontier) == TOP
    assert encode_frontier(growth.frontier) == node_hash(A, B) + C
    assert extend(growth.frontier, []).frontier == growth.frontier


@pytest.mark.parametrize(
    ("size", "data"), [(3, A), (3, A + B + C), (0, A), (1, b""), (1, A[:31]), (-1, A), (HUGE, A), (2, A + B)]
)
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, data: bytes) -> None:
    """A frontier has exactly one hash for each set bit of its size."""
    with pytest.raises(ValueError, match=r"hashes|leaves"):
        decode_frontier(size, data)


def test_empty_proofs_need_no_hashes() -> None:
    """Proofs from size 0, between equal sizes, of the only leaf and of the whole tree ask for nothing."""
    assert consistency_proof(0, 9, unasked) == ()
    assert consistency_proof(9, 9, unasked) == ()
    assert inclusion_proof(0, 1, unasked) == ()
    assert range_proof(0, 9, 9, unasked) == ()
    assert range_proof(0, 0, 0, unasked) == ()
    assert root_from_source(0, unasked) == EMPTY_ROOT


def test_from_size_zero_only_the_empty_proof_holds() -> None:
    """The empty tree is the beginning of every tree, when its root is that of nothing."""
    verify_consistency(0, 3, EMPTY_ROOT, TOP, ())
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, ())
    for old_root, new_size, new_root, proof in (
        (EMPTY_ROOT, 3, TOP, (A,)),
        (A, 3, TOP, ()),
        (EMPTY_ROOT, 0, A, ()),
        (A, 0, A, ()),
    ):
        with pytest.raises(ProofError):
            verify_consistency(0, new_size, old_root, new_root, proof)


def test_two_roots_of_one_size_are_named() -> None:
    """Two heads of one size are the forgery to find; the message says so."""
    with pytest.raises(ProofError, match="two different roots of size 3"):
        verify_consistency(3, 3, TOP, A, ())


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, HUGE), (HUGE, HUGE + 1)])
def test_numbers_out_of_range_are_refused_at_once(index: int, size: int) -> None:
    """Indexes outside the tree and sizes past 63 bits fail before anything is computed."""
    with pytest.raises(ProofError):
        verify_inclusion(index, size, A, [A] * 60, TOP)
    with pytest.raises(ProofError):
        verify_range(index, [A], size, [A] * 60, TOP)
    with pytest.raises(ValueError, match="no lea"):
        inclusion_proof(index, size, unasked)
    with pytest.raises(ValueError, match="no lea"):
        range_proof(index, index + 1, size, unasked)
    with pytest.raises(ValueError, match="out of range"):
        root_from_source(HUGE, unasked)


def test_the_largest_tree_is_walked_in_bounded_depth() -> None:
    """A range at the far end of a tree of 2^63 - 1 leaves fails by its root, not by recursion."""
    size = (1 << 63) - 1
    proof = range_proof(size - 5, size - 1, size, lambda nodes: [A] * len(nodes))
    assert len(proof) <= 126
    with pytest.raises(ProofError, match="another root"):
        verify_range(size - 5, [B] * 4, size, proof, TOP)
    with pytest.raises(ProofError, match="another root"):
        verify_inclusion(size - 1, size, A, inclusion_proof(size - 1, size, lambda n: [A] * len(n)), TOP)


@pytest.mark.parametrize("wrong", [b"", A[:31], A + b"\0"])
def test_every_hash_must_have_32_bytes(wrong: bytes) -> None:
    """Leaf, proof and roots alike: a shorter or longer hash moves the borders of what is hashed."""
    for leaf, proof, top in ((wrong, [B, C], TOP), (A, [wrong, C], TOP), (A, [B, C], wrong)):
        with pytest.raises(ProofError, match="32 bytes"):
            verify_inclusion(0, 3, leaf, proof, top)
        with pytest.raises(ProofError, match="32 bytes"):
            verify_range(0, [leaf], 3, proof, top)
    for old, proof, top in ((wrong, [C], TOP), (A, [wrong], TOP), (A, [C], wrong)):
        with pytest.raises(ProofError, match="32 bytes"):
            verify_consistency(2, 3, old, top, proof)


def test_an_empty_range_shows_nothing_but_the_root() -> None:
    """The closure of no leaves is the whole tree's root, wherever the empty range stands."""
    for first in range(4):
        proof = range_proof(first, first, 3, lambda nodes: {2: [node_hash(A, B), C]}[len(nodes)])
        assert proof == (TOP,)
        verify_range(first, [], 3, proof, TOP)
    verify_range(0, [], 0, [], EMPTY_ROOT)
    with pytest.raises(ProofError):
        verify_range(0, [], 0, [A], EMPTY_ROOT)


@pytest.mark.parametrize("answer", [[], [A], [A, B, C], [A, B[:31]]])
def test_a_source_that_answers_wrongly_is_refused(answer: list[bytes]) -> None:
    """A proof is never made from too few, too many or short hashes."""
    with pytest.raises(ValueError, match="32 bytes"):
        inclusion_proof(0, 3, lambda nodes: answer)
    with pytest.raises(ValueError, match="32 bytes"):
        tile_hash_source(lambda level, start, count: answer)([(1, 0)] if len(answer) != 2 else [(1, 4)])
