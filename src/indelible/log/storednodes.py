"""A log's stored tile nodes one by one, and those that stand beyond its head."""

from collections.abc import Iterator

from indelible.log.treecheck import WIDTH
from indelible.merkle.frontier import TILE_HEIGHT
from indelible.merkle.hashing import HASH_BYTES
from indelible.merkle.tiles import TILE_LEVELS, tile_width
from indelible.store.base import HeadRow, Reader

_TILES_A_READ = 1_024


class StoredNodes:
    """Gives single nodes, reading each tile once where they are asked for in order."""

    def __init__(self, reader: Reader, log: int, size: int) -> None:
        self._reader = reader
        self._log = log
        self._size = size
        self._tiles: dict[int, tuple[int, bytes | None]] = {}  # by level: the tile read last

    def node(self, level: int, position: int) -> bytes | None:
        """The hash at a tile level and position, None where none is stored."""
        tile, at = divmod(position, WIDTH)
        if self._tiles.get(level, (-1, None))[0] != tile:
            start = tile * WIDTH
            count = min(WIDTH, (self._size >> TILE_HEIGHT * level) - start)
            self._tiles[level] = (tile, _read(self._reader, self._log, level, start, count))
        joined = self._tiles[level][1]
        if joined is None:
            return _read(self._reader, self._log, level, position, 1)
        return joined[at * HASH_BYTES : (at + 1) * HASH_BYTES]


def _read(reader: Reader, log: int, level: int, start: int, count: int) -> bytes | None:
    try:
        return reader.nodes(log, level, start, count)
    except (LookupError, TypeError):  # not all there, or not bytes
        return None


def tiles_beyond(reader: Reader, log: int, head: HeadRow) -> Iterator[str]:
    """Stored tiles that hold more than the head covers: those of a head that was set back, or bytes added.

    What a commit adds meanwhile is none of them.
    """
    after = (-1, -1)
    while page := reader.tiles(log, after, _TILES_A_READ):
        for level, tile, size in page:
            covered = HASH_BYTES * _width(level, tile, head.size)
            if size > covered and reader.head(log) == head:
                yield f"tile {tile} of level {level} has {size - covered} bytes more than the head covers"
        after = page[-1][:2]


def _width(level: int, tile: int, size: int) -> int:
    """How many nodes of a tile the head covers, 0 of one that no tree has."""
    return tile_width(level, tile, size) if 1 <= level < TILE_LEVELS and tile >= 0 else 0
