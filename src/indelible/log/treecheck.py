"""A log's stored tree compared with its leaves, each node with what stands right below it. Pure.

Every stored hash is compared with the one link below it, so that one changed hash is one difference, at its
own place, and does not show again in everything above. Where all links hold, the root is that of the leaves.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from indelible.merkle.frontier import EMPTY_FRONTIER, TILE_HEIGHT, extend
from indelible.merkle.hashing import EMPTY_ROOT, fold_right, tree_hash

WIDTH = 1 << TILE_HEIGHT

Confirms = Literal["given", "stored", "neither"]
StoredNode = Callable[[int, int], bytes | None]
"""The stored hash at a tile level (1 and up) and position, None where there is none."""


class Closed(NamedTuple):
    """A node whose subtree is full and was not all as it should be.

    `confirms` says which of the hashes below it the stored node was made of: those that are stored, those
    that the level below them gives, or neither.
    """

    level: int
    position: int
    confirms: Confirms
    missing: bool = False


class _Block:
    """Up to 256 hashes of one tile level: as stored, and as what is below them gives."""

    __slots__ = ("_given", "stored", "unknown")

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self._given: list[bytes] | None = None  # None while it is the same
        self.unknown = False  # some are missing

    @property
    def given(self) -> list[bytes]:
        return self.stored if self._given is None else self._given

    @property
    def differs(self) -> bool:
        return self._given is not None

    def add(self, stored: Sequence[bytes], given: Sequence[bytes]) -> None:
        if self._given is None and given is not stored and list(given) != list(stored):
            self._given = list(self.stored)
        self.stored += stored
        if self._given is not None:
            self._given += given


class TreeCheck:
    """Takes a log's leaves in order, and says which stored nodes do not follow from them."""

    def __init__(self, node: StoredNode) -> None:
        self._node = node
        self._blocks = [_Block()]
        self._closed = [0]  # full blocks so far, by level
        self._lost = False
        self.size = 0

    def add(self, stored: Sequence[bytes], given: Sequence[bytes]) -> Iterator[Closed]:
        """Add leaf hashes as they are stored, and as their entries give them."""
        at = 0
        while at < len(stored) and not self._lost:
            end = at + WIDTH - len(self._blocks[0].stored)
            if at == 0 and end >= len(stored):
                self._blocks[0].add(stored, given)
            else:
                part = stored[at:end]
                self._blocks[0].add(part, part if given is stored else given[at:end])
            self.size += min(end, len(stored)) - at
            at = end
            if len(self._blocks[0].stored) == WIDTH:
                yield from self._close(0)

    def skip(self, count: int) -> Iterator[Closed]:
        """Go past leaves that are missing: the nodes right above them are believed, to check the others."""
        while count:
            self._blocks[0].unknown = True
            part = [b""] * min(count, WIDTH - len(self._blocks[0].stored))
            count -= len(part)
            yield from self.add(part, part)

    def lose(self) -> None:
        """Check no node any more: too many leaves are missing to find the place of those after them."""
        self._lost = True

    def _close(self, at: int) -> Iterator[Closed]:
        block, position = self._blocks[at], self._closed[at]
        self._blocks[at] = _Block()
        self._closed[at] += 1
        if len(self._blocks) == at + 1:
            self._blocks.append(_Block())
            self._closed.append(0)
        stored = self._node(at + 1, position)
        given = b"" if block.unknown else tree_hash(block.given)
        confirms: Confirms = "neither"
        if not block.unknown and stored == given:
            confirms = "given"
        elif not block.unknown and block.differs and stored == tree_hash(block.stored):
            confirms, given = "stored", stored
        above = self._blocks[at + 1]
        if block.unknown:
            above.unknown = above.unknown or stored is None
            above.add([stored or b""], [stored or b""])
        else:
            if confirms == "neither" or block.differs:
                yield Closed(at + 1, position, confirms, stored is None)
            above.add([stored or given], [given])
        if len(above.stored) == WIDTH:
            yield from self._close(at + 1)

    def edges(self) -> tuple[Sequence[bytes], ...]:
        """The right edge (largest subtree first) as what is below gives it, and as it is stored.

        Both where they differ, one where they don't, none where leaves of it are missing.
        """
        if self._lost or any(block.unknown for block in self._blocks):
            return ()
        given = _edge([block.given for block in self._blocks])
        if not any(block.differs for block in self._blocks):
            return (given,)
        return given, _edge([block.stored for block in self._blocks])

    def roots(self) -> list[bytes]:
        """The roots of `edges`, in the same order."""
        return [fold_right(edge) if edge else EMPTY_ROOT for edge in self.edges()]


def _edge(levels: Sequence[Sequence[bytes]]) -> list[bytes]:
    return [
        subtree
        for hashes in reversed(levels)
        if hashes
        for subtree in extend(EMPTY_FRONTIER, hashes).frontier.hashes
    ]
