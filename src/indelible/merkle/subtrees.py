"""Which perfect subtrees make up a run of leaves, and how their hashes are asked for in one go."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from indelible.merkle.hashing import HASH_BYTES, fold_right

HashSource = Callable[[Sequence[tuple[int, int]]], Sequence[bytes]]
"""Answers (level, position) of perfect subtrees with their root hashes, in order.

The subtree (level, position) has the leaves [position·2^level, (position+1)·2^level); level 0 is a leaf
hash, and any level up to 63 may be asked. It is called once for a whole proof.
"""


class Span(NamedTuple):
    """The leaves [begin, end) that lie under one node of the tree, counted from 0."""

    begin: int
    end: int


def split(begin: int, end: int) -> int:
    """Return where RFC 6962 splits a subtree of two or more leaves: its left part is a power of two."""
    return begin + (1 << ((end - begin - 1).bit_length() - 1))


def perfect_parts(span: Span) -> list[tuple[int, int]]:
    """Return (level, position) of the perfect subtrees under a node of the tree, largest first.

    `span` is a node's: it begins at a multiple of the smallest power of two that holds it.
    """
    parts = []
    at, left = span.begin, span.end - span.begin
    while left:
        level = left.bit_length() - 1
        parts.append((level, at >> level))
        at += 1 << level
        left -= 1 << level
    return parts


def node_hashes(spans: Sequence[Span], source: HashSource) -> tuple[bytes, ...]:
    """Return the hash of each node, asking `source` once.

    Raises:
        ValueError: when `source` answers with too few or too many hashes, or one that is not 32 bytes.
    """
    parts = [perfect_parts(span) for span in spans]
    asked = [part for of_node in parts for part in of_node]
    answered = source(asked) if asked else ()
    if len(answered) != len(asked) or any(len(found) != HASH_BYTES for found in answered):
        raise ValueError(f"The source of hashes must answer {len(asked)} hashes of {HASH_BYTES} bytes.")
    return tuple(_fold_each(parts, answered))


def _fold_each(parts: Sequence[Sequence[tuple[int, int]]], hashes: Sequence[bytes]) -> Iterator[bytes]:
    at = 0
    for of_node in parts:
        yield fold_right(hashes[at : at + len(of_node)])
        at += len(of_node)
