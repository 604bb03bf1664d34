"""Proofs of inclusion and consistency (RFC 9162 §2.1.3 and §2.1.4), and the way in to those of a range.

Proofs are made from any source of subtree hashes and checked against roots alone. What is checked is
hostile: numbers are bounded, each hash must have 32 bytes, and a proof must be consumed exactly.
"""

from collections.abc import Sequence

from indelible.merkle.checks import ProofError, check_hashes
from indelible.merkle.frontier import Frontier
from indelible.merkle.hashing import EMPTY_ROOT, node_hash
from indelible.merkle.ranges import range_nodes, range_proof, verify_range
from indelible.merkle.subtrees import HashSource, Span, node_hashes, perfect_parts, split
from indelible.model.limits import TREE_SIZE_MAX

__all__ = [
    "HashSource",
    "ProofError",
    "consistency_nodes",
    "consistency_proof",
    "frontier_from_source",
    "inclusion_nodes",
    "inclusion_proof",
    "range_nodes",
    "range_proof",
    "root_from_source",
    "verify_consistency",
    "verify_inclusion",
    "verify_range",
]


def root_from_source(size: int, source: HashSource) -> bytes:
    """Return the root of the first `size` leaves.

    Raises:
        ValueError: when `size` is out of range or the source answers wrongly.
    """
    _check_range(0 <= size <= TREE_SIZE_MAX, f"A tree of {size} leaves is out of range.")
    return node_hashes([Span(0, size)], source)[0] if size else EMPTY_ROOT


def frontier_from_source(size: int, source: HashSource) -> Frontier:
    """Return the frontier of the first `size` leaves, as a restart recomputes it from what is stored.

    Raises:
        ValueError: when `size` is out of range or the source answers wrongly.
    """
    _check_range(0 <= size <= TREE_SIZE_MAX, f"A tree of {size} leaves is out of range.")
    spans = []
    for level, position in perfect_parts(Span(0, size)):
        spans.append(Span(position << level, (position + 1) << level))
    return Frontier(size, node_hashes(spans, source))


def inclusion_nodes(index: int, size: int) -> tuple[Span, ...]:
    """Return the leaves under each node of an inclusion proof, the leaf's sibling first.

    Raises:
        ValueError: unless 0 <= index < size.
    """
    _check_range(0 <= index < size <= TREE_SIZE_MAX, f"There is no leaf {index} in a tree of {size}.")
    begin, end = 0, size
    spans = []
    while end - begin > 1:
        middle = split(begin, end)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(begin, middle))
            begin = middle
    return tuple(reversed(spans))


def inclusion_proof(index: int, size: int, source: HashSource) -> tuple[bytes, ...]:
    """Prove that leaf `index` (from 0) is in the tree of the first `size` leaves (RFC 9162 §2.1.3.1).

    Raises:
        ValueError: unless 0 <= index < size, or when the source answers wrongly.
    """
    return node_hashes(inclusion_nodes(index, size), source)


def consistency_nodes(old_size: int, new_size: int) -> tuple[Span, ...]:
    """Return the leaves under each node of a consistency proof, in the proof's order.

    Raises:
        ValueError: unless 0 <= old_size <= new_size.
    """
    _check_range(
        0 <= old_size <= new_size <= TREE_SIZE_MAX,
        f"Sizes {old_size} and {new_size} are out of range or order.",
    )
    if old_size == 0:
        return ()
    begin, end = 0, new_size
    spans = []
    while end != old_size:
        middle = split(begin, end)
        if old_size <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(begin, middle))
            begin = middle
    if begin:  # else this node is the whole old tree, whose root the verifier has
        spans.append(Span(begin, end))
    return tuple(reversed(spans))


def consistency_proof(old_size: int, new_size: int, source: HashSource) -> tuple[bytes, ...]:
    """Prove that the tree of `new_size` leaves begins with that of `old_size` (RFC 9162 §2.1.4.1).

    The proof from size 0 and between equal sizes is empty.

    Raises:
        ValueError: unless 0 <= old_size <= new_size, or when the source answers wrongly.
    """
    return node_hashes(consistency_nodes(old_size, new_size), source)


def verify_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is in a tree (RFC 9162 §2.1.3.2).

    Raises:
        ProofError: when the proof does not show it.
    """
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise ProofError(f"There is no leaf {index} in a tree of {size} leaves.")
    check_hashes("leaf hash", [leaf_hash])
    check_hashes("root", [root])
    check_hashes("hash of the proof", proof)
    node, last, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise ProofError("The inclusion proof has too many hashes.")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            node, last = _climb_to_left_sibling(node, last)
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofError("The inclusion proof has too few hashes.")
    if computed != root:
        raise ProofError(f"The inclusion proof of leaf {index} leads to another root.")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that a tree begins with an older one (RFC 9162 §2.1.4.2).

    From size 0 exactly the empty proof is valid, and the old root must be that of no leaves.

    Raises:
        ProofError: when the proof does not show it.
    """
    if not 0 <= old_size <= new_size <= TREE_SIZE_MAX:
        raise ProofError(f"A tree of {new_size} leaves cannot extend one of {old_size}.")
    check_hashes("root", [old_root, new_root])
    check_hashes("hash of the proof", proof)
    if old_size in (0, new_size):
        _verify_without_proof(old_size, new_size, old_root, new_root, proof)
        return
    found_old, found_new = _consistency_roots(old_size, new_size, old_root, proof)
    if found_old != old_root:
        raise ProofError(f"The consistency proof leads to another root at size {old_size}.")
    if found_new != new_root:
        raise ProofError(f"The consistency proof leads to another root at size {new_size}.")


def _verify_without_proof(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    if proof:
        raise ProofError(
            "From size 0 and between equal sizes the consistency proof is empty; this one is not."
        )
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise ProofError("The root of a tree without leaves is SHA-256 of nothing; this one is not.")
    if old_size == new_size and old_root != new_root:
        raise ProofError(f"There are two different roots of size {old_size}.")


def _consistency_roots(
    old_size: int, new_size: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Recompute both roots from a proof between 0 < old_size < new_size."""
    # when the old tree is perfect its root is a node of the new one, and the proof leaves it out
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        raise ProofError("The consistency proof is empty.")
    skipped = _trailing_ones(old_size - 1)
    node, last = (old_size - 1) >> skipped, (new_size - 1) >> skipped
    old, new = path[0], path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("The consistency proof has too many hashes.")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            node, last = _climb_to_left_sibling(node, last)
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ProofError("The consistency proof has too few hashes.")
    return old, new


def _climb_to_left_sibling(node: int, last: int) -> tuple[int, int]:
    """Skip the levels where the rightmost node has no sibling and is carried up as it is."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _trailing_ones(number: int) -> int:
    return (~number & (number + 1)).bit_length() - 1


def _check_range(holds: bool, message: str) -> None:  # noqa: FBT001 - the condition that is checked
    if not holds:
        raise ValueError(message)
