"""The three hashes of the tree (RFC 6962 §2.1; formats.md, Commitment, entry, leaf)."""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"

EMPTY_ROOT: bytes = sha256().digest()
"""The root of the tree without leaves: SHA-256 of nothing."""


def leaf_hash(entry: bytes) -> bytes:
    """Return SHA-256(0x00 || entry), 32 bytes."""
    return sha256(LEAF_PREFIX + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right), 32 bytes."""
    return sha256(NODE_PREFIX + left + right).digest()


def pair_up(nodes: Sequence[bytes]) -> list[bytes]:
    """Hash nodes 0 and 1, 2 and 3, …: the level above. A last node without a partner is left out."""
    return [sha256(b"\x01" + a + b).digest() for a, b in zip(nodes[::2], nodes[1::2], strict=False)]


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the root of the tree with these leaf hashes, `EMPTY_ROOT` for none (RFC 6962 MTH).

    RFC 6962 splits at the largest power of two; carrying a lone last node up to the next level gives
    the same tree, one level at a time.
    """
    if not leaves:
        return EMPTY_ROOT
    nodes = leaves
    while len(nodes) > 1:
        paired = pair_up(nodes)
        if len(nodes) & 1:
            paired.append(nodes[-1])
        nodes = paired
    return nodes[0]


def fold_right(roots: Sequence[bytes]) -> bytes:
    """Join the roots of adjacent perfect subtrees, largest first, as RFC 6962 joins a right edge."""
    folded = roots[-1]
    for root in reversed(roots[:-1]):
        folded = node_hash(root, folded)
    return folded
