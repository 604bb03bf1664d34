"""Leaves against stored nodes: each changed hash is told once, at its own place, and what it was made of."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.log.treecheck import WIDTH, Closed, TreeCheck
from indelible.merkle.frontier import EMPTY_FRONTIER, extend
from indelible.merkle.hashing import tree_hash

SIZE = WIDTH * WIDTH + 3 * WIDTH + 5
LEAVES = [hashlib.sha256(b"%d" % at).digest() for at in range(SIZE)]
GROWTH = extend(EMPTY_FRONTIER, LEAVES)
NODES = {(node.level, node.position): node.hash for node in GROWTH.stored}
OTHER = b"\1" * 32


def checked(
    stored: Sequence[bytes] = LEAVES,
    given: Sequence[bytes] | None = None,
    nodes: dict[tuple[int, int], bytes] = NODES,
) -> tuple[list[Closed], TreeCheck]:
    """All that a check says, the leaves added in runs of some hundreds."""
    tree = TreeCheck(lambda level, position: nodes.get((level, position)))
    said: list[Closed] = []
    for at in range(0, len(stored), 700):
        run = stored[at : at + 700]
        said += tree.add(run, run if given is None else given[at : at + 700])
    return said, tree


def with_other(values: Sequence[bytes], at: int) -> list[bytes]:
    """The hashes, one of them another."""
    return [*values[:at], OTHER, *values[at + 1 :]]


def test_nothing_is_said_of_a_tree_that_is_as_it_should_be() -> None:
    """And its right edge and root are those of the leaves."""
    said, tree = checked()
    assert (said, tree.size) == ([], SIZE)
    assert tree.edges() == (list(GROWTH.frontier.hashes),)
    assert tree.roots() == [tree_hash(LEAVES)]


@pytest.mark.parametrize("at", [0, WIDTH - 1, WIDTH, 70 * WIDTH + 9])
def test_a_changed_leaf_hash_is_told_by_the_node_above_it(at: int) -> None:
    """The node confirms what the entry gives, or what is stored where the entry was changed."""
    said, tree = checked(with_other(LEAVES, at), LEAVES)
    assert said == [Closed(1, at // WIDTH, "given")]
    assert tree.roots() == [tree_hash(LEAVES)]
    said, tree = checked(LEAVES, with_other(LEAVES, at))
    assert said == [Closed(1, at // WIDTH, "stored")]
    assert tree.roots() == [tree_hash(LEAVES)]


@pytest.mark.parametrize("place", [(1, 0), (1, 255), (1, 257)])
@pytest.mark.parametrize("missing", [False, True])
def test_a_changed_node_is_told_alone(place: tuple[int, int], missing: bool) -> None:
    """What stands above it was made of the right one, and confirms that."""
    nodes = {at: value for at, value in NODES.items() if at != place}
    if not missing:
        nodes[place] = OTHER
    said, tree = checked(nodes=nodes)
    assert said[0] == Closed(*place, "neither", missing)
    assert said[1:] == ([Closed(2, 0, "given")] if place[1] < WIDTH and not missing else [])
    assert tree.roots()[0] == tree_hash(LEAVES)


def test_a_changed_node_of_the_second_level_is_told_alone() -> None:
    """Its own place, and no other."""
    said, tree = checked(nodes={**NODES, (2, 0): OTHER})
    assert said == [Closed(2, 0, "neither")]
    assert tree_hash(LEAVES) in tree.roots()


def test_a_leaf_that_is_right_in_itself_and_another_is_told_by_the_node() -> None:
    """An event replaced with its own hashes: the node above does not follow, and is confirmed."""
    other = with_other(LEAVES, 300)
    said, _ = checked(other)
    assert said == [Closed(1, 1, "neither"), Closed(2, 0, "stored")]


def test_missing_leaves_hide_their_own_tiles_alone() -> None:
    """The nodes above a gap are believed; a changed one elsewhere is still told, and the edge follows."""
    tree = TreeCheck(lambda level, position: {**NODES, (1, 9): OTHER}.get((level, position)))
    said = [*tree.add(LEAVES[:100], LEAVES[:100]), *tree.skip(2 * WIDTH)]
    rest = LEAVES[100 + 2 * WIDTH :]
    said += tree.add(rest, rest)
    assert said[0] == Closed(1, 9, "neither")
    assert tree.roots()[0] == tree_hash(LEAVES)
    assert [*tree.skip(1)] == []
    assert tree.edges() == ()
    tree.lose()
    assert [*tree.add(LEAVES, LEAVES)] == []
    assert tree.roots() == []


@given(sizes=st.lists(st.integers(1, 600), max_size=5))
def test_the_edge_follows_however_the_leaves_come(sizes: list[int]) -> None:
    """Chunks of any size give the root of RFC 6962 after each."""
    tree, size = TreeCheck(lambda level, position: NODES.get((level, position))), 0
    for count in sizes:
        run = LEAVES[size : size + count]
        assert [*tree.add(run, run)] == []
        size += count
        assert tree.roots() == [tree_hash(LEAVES[:size])]
