"""Proof of a range: the hashes that close the tree around the leaves [first, end) (formats.md).

Walk the tree from the root, left first: a subtree disjoint from the range emits its hash, one inside it
emits nothing, any other is split. The verifier walks the same way, with the range's own leaf hashes, and
must use up the proof. One check shows that each leaf is in, and that none between them is missing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from indelible.merkle.checks import ProofError, check_hashes
from indelible.merkle.frontier import EMPTY_FRONTIER, Frontier, extend
from indelible.merkle.frontier import root as frontier_root
from indelible.merkle.hashing import node_hash
from indelible.merkle.subtrees import HashSource, Span, node_hashes, split
from indelible.model.limits import TREE_SIZE_MAX


def range_nodes(first_index: int, end_index: int, size: int) -> tuple[Span, ...]:
    """Return the leaves under each node that closes the tree around [first_index, end_index).

    Raises:
        ValueError: unless 0 <= first_index <= end_index <= size.
    """
    if not 0 <= first_index <= end_index <= size <= TREE_SIZE_MAX:
        raise ValueError(f"There are no leaves {first_index} to {end_index} in a tree of {size}.")
    return tuple(_disjoint(Span(0, size), first_index, end_index)) if size else ()


def range_proof(first_index: int, end_index: int, size: int, source: HashSource) -> tuple[bytes, ...]:
    """Prove the leaves [first_index, end_index), counted from 0, in the tree of the first `size` leaves.

    The proof of an empty range is the root (nothing, in the empty tree): it shows no leaf.

    Raises:
        ValueError: unless 0 <= first_index <= end_index <= size, or when the source answers wrongly.
    """
    return node_hashes(range_nodes(first_index, end_index, size), source)


def verify_range(
    first_index: int, leaf_hashes: Sequence[bytes], size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the tree's leaves from `first_index` on are exactly `leaf_hashes`.

    Raises:
        ProofError: when the proof does not show it.
    """
    check_hashes("leaf hash", leaf_hashes)
    opened = open_range(first_index, first_index + len(leaf_hashes), size, proof)
    close_range(opened, extend(opened.left, leaf_hashes).frontier, root)


class OpenRange(NamedTuple):
    """A range proof whose leaves come in parts: they extend `left` up to `end`, and `rest` closes it.

    Of a range without leaves the proof is the root: nothing is to its left, and nothing extends it.
    """

    left: Frontier
    end: int
    size: int
    rest: tuple[bytes, ...]


def open_range(first_index: int, end_index: int, size: int, proof: Sequence[bytes]) -> OpenRange:
    """Begin to check the leaves [first_index, end_index); `close_range` ends it.

    Raises:
        ProofError: when there are no such leaves, or the proof has a hash of another length or too few.
    """
    if not 0 <= first_index <= end_index <= size <= TREE_SIZE_MAX:
        raise ProofError(f"There are no leaves {first_index} to {end_index} in a tree of {size}.")
    check_hashes("hash of the proof", proof)
    if first_index == end_index:
        return OpenRange(EMPTY_FRONTIER, 0, size, tuple(proof))
    parts = first_index.bit_count()  # the perfect subtrees to the left, which the walk meets first
    if len(proof) < parts:
        raise ProofError("The range proof has too few hashes.")
    return OpenRange(Frontier(first_index, tuple(proof[:parts])), end_index, size, tuple(proof[parts:]))


def close_range(opened: OpenRange, frontier: Frontier, root: bytes) -> None:
    """Check that the tree begins with `frontier`: `opened.left`, extended with all of the range's leaves.

    Raises:
        ProofError: when the proof does not show it.
    """
    check_hashes("root", [root])
    closing = iter(opened.rest)
    if frontier.size != opened.end:
        raise ProofError(f"The range ends before leaf {opened.end}, not {frontier.size}.")
    if frontier.size == opened.size:
        computed = frontier_root(frontier)
    else:
        computed = _close(Span(0, opened.size), frontier.size, iter(frontier.hashes), closing)
    if next(closing, None) is not None:
        raise ProofError("The range proof has too many hashes.")
    if computed != root:
        raise ProofError(f"The proof of leaves up to {opened.end} leads to another root.")


def _disjoint(node: Span, first: int, end: int) -> Iterator[Span]:
    if node.end <= first or end <= node.begin or first == end:
        yield node
    elif not (first <= node.begin and node.end <= end):
        middle = split(*node)
        yield from _disjoint(Span(node.begin, middle), first, end)
        yield from _disjoint(Span(middle, node.end), first, end)


def _close(node: Span, end: int, inside: Iterator[bytes], closing: Iterator[bytes]) -> bytes:
    """Return the node's hash: of perfect subtrees before `end`, and what closes them on the right.

    Each split halves the node, so the depth is at most 63.
    """
    if node.end <= end:
        return next(inside)
    if end <= node.begin:
        found = next(closing, None)
        if found is None:
            raise ProofError("The range proof has too few hashes.")
        return found
    middle = split(*node)
    left = _close(Span(node.begin, middle), end, inside, closing)
    return node_hash(left, _close(Span(middle, node.end), end, inside, closing))
