"""The right edge of a growing tree: all that an append needs to know of what was there before.

A tree of `size` leaves is a row of perfect subtrees, one for each set bit of `size`, largest first. Their
roots are the frontier: at most 64 hashes, from which the root follows and onto which leaves are added.
"""

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from indelible.merkle.hashing import EMPTY_ROOT, HASH_BYTES, fold_right, pair_up
from indelible.model.limits import TREE_SIZE_MAX

TILE_HEIGHT = 8
"""Levels of the tree in one tile; node hashes are stored at every eighth level (C2SP tlog-tiles)."""


class Frontier(NamedTuple):
    """A tree's number of leaves and the roots of its perfect subtrees, largest first."""

    size: int
    hashes: tuple[bytes, ...]


class StoredHash(NamedTuple):
    """A completed node at a tile level: the root of leaves [position·256^level, (position+1)·256^level)."""

    level: int
    position: int
    hash: bytes


class Growth(NamedTuple):
    """The frontier after an extension, and the nodes of tile levels 1 and up that it completed."""

    frontier: Frontier
    stored: tuple[StoredHash, ...]


EMPTY_FRONTIER = Frontier(0, ())


def root(frontier: Frontier) -> bytes:
    """Return the tree's root, `EMPTY_ROOT` for no leaves."""
    return fold_right(frontier.hashes) if frontier.hashes else EMPTY_ROOT


def extend(frontier: Frontier, leaves: Sequence[bytes]) -> Growth:
    """Add leaf hashes to the right of a tree, level by level.

    Args:
        frontier: as `root` and `extend` make it: one hash for each set bit of its size.
        leaves: leaf hashes, 32 bytes each (`entry_leaf_hashes`).

    Returns:
        The new frontier, and each node of tile level 1, 2, … that the leaves completed, in order of level
        and position. Leaf hashes themselves (tile level 0) are not repeated.
    """
    size = frontier.size
    older = list(frontier.hashes)  # its last is the root of the smallest subtree
    edge: list[bytes] = []
    stored: list[StoredHash] = []
    nodes = list(leaves)
    for level in count():
        if not nodes:
            break
        first = size >> level
        if level and level % TILE_HEIGHT == 0:
            stored += [StoredHash(level // TILE_HEIGHT, at, node) for at, node in enumerate(nodes, first)]
        if first & 1:
            nodes.insert(0, older.pop())
        if len(nodes) & 1:
            edge.append(nodes[-1])
        nodes = pair_up(nodes)
    return Growth(Frontier(size + len(leaves), (*older, *reversed(edge))), tuple(stored))


def encode_frontier(frontier: Frontier) -> bytes:
    """Return the hashes joined, largest subtree first. The size is stored beside them."""
    return b"".join(frontier.hashes)


def decode_frontier(size: int, data: bytes) -> Frontier:
    """Return the frontier of a tree of `size` leaves.

    Raises:
        ValueError: when `data` is not 32 bytes for each set bit of `size`.
    """
    if not 0 <= size <= TREE_SIZE_MAX:
        raise ValueError(f"A tree has 0 to {TREE_SIZE_MAX} leaves, not {size}.")
    if len(data) != HASH_BYTES * size.bit_count():
        raise ValueError(
            f"The frontier of {size} leaves has {size.bit_count()} hashes of {HASH_BYTES} bytes; "
            f"{len(data)} bytes are given."
        )
    return Frontier(size, tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)))
