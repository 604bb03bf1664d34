"""A log's tiles in the object store, so that a plain file server over `proofs/<log id>/` is a tiled log.

Tiles of a head are stored before its checkpoint is, so whoever reads a checkpoint there finds them. Written
once each, full or partial; partial ones only for heads that are published.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from indelible.log.prove import Prover
from indelible.merkle.frontier import TILE_HEIGHT
from indelible.merkle.tiles import TILE_LEVELS, TILE_WIDTH, TilePath, entries_path, tile_path
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.store.objects import Objects, create_same


def tiles_between(old_size: int, new_size: int) -> Iterator[TilePath]:
    """What a tree of `new_size` has that one of `old_size` has not: bundles (level None) and tiles, in order.

    The partial tiles of `new_size` are among them, those of sizes between are not.
    """
    for level in range(TILE_LEVELS):
        old, new = old_size >> (TILE_HEIGHT * level), new_size >> (TILE_HEIGHT * level)
        if not new:
            return
        if old == new:
            continue
        for number in range(old // TILE_WIDTH, -(-new // TILE_WIDTH)):
            width = min(TILE_WIDTH, new - number * TILE_WIDTH)
            if level == 0:
                yield TilePath(None, number, width)
            yield TilePath(level, number, width)


def right_edge(size: int) -> list[TilePath]:
    """The last bundle and the last tile of each level of a tree."""
    edge: list[TilePath] = []
    for level in range(TILE_LEVELS):
        width = size >> (TILE_HEIGHT * level)
        if not width:
            break
        number = (width - 1) // TILE_WIDTH
        edge.append(TilePath(level, number, width - number * TILE_WIDTH))
    return edge and [edge[0]._replace(level=None), *edge]


def tile_key(info: LogInfo, tile: TilePath) -> str:
    """Where a tile or a bundle stands in the object store."""
    return f"proofs/{info.log_id}/{_path(tile)}"


def _path(tile: TilePath) -> str:
    if tile.level is None:
        return entries_path(tile.number, tile.width)
    return tile_path(tile.level, tile.number, tile.width)


class Mirror:
    """Stores tiles. Its calls block, and are for threads; `close` ends its own."""

    def __init__(self, objects: Objects, prover: Prover, limits: Limits) -> None:
        self._objects = objects
        self._prover = prover
        self._width = max(1, limits.archive_parallel_puts)
        self._threads = ThreadPoolExecutor(self._width, thread_name_prefix="mirror")
        self._laid: dict[int, int] = {}  # by log: the size whose tiles all stand there
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)  # by log

    def before_publishing(self, info: LogInfo, last_size: int, size: int) -> None:
        """Store the tiles of a head that is about to be published, where those of the last one are all there.

        Where they are not, that is left to `catch_up`: a checkpoint does not wait for all of a log's history.

        Raises:
            OSError, ObjectsDiffer: as `catch_up`.
        """
        with self._locks[info.key]:
            if info.key in self._laid or self._all_there(info, last_size):
                self._lay(info, size)

    def catch_up(self, info: LogInfo, known_size: int, size: int) -> None:
        """Store what is missing of a log's tiles; those of `known_size` are known to be there.

        Raises:
            OSError: the objects cannot be written.
            ObjectsDiffer: another tile stands there.
        """
        if info.key not in self._laid:
            self._store_between(info, known_size, size)
        with self._locks[info.key]:
            self._laid.setdefault(info.key, size)
            self._lay(info, size)

    def _lay(self, info: LogInfo, size: int) -> None:
        laid = self._laid[info.key]
        if size > laid:
            self._store_between(info, laid, size)
            self._laid[info.key] = size

    def _store_between(self, info: LogInfo, old_size: int, size: int) -> None:
        """The right edge last: where it stands, all of it does."""
        edge = set(right_edge(size))
        self._store_all(info, (tile for tile in tiles_between(old_size, size) if tile not in edge))
        self._store_all(info, (tile for tile in tiles_between(old_size, size) if tile in edge))

    def _store_all(self, info: LogInfo, tiles: Iterator[TilePath]) -> None:
        """Some at a time, so that memory is bounded and one that fails ends the rest."""
        while batch := list(islice(tiles, self._width)):
            for _ in self._threads.map(partial(self._store, info), batch):
                pass

    def _store(self, info: LogInfo, tile: TilePath) -> None:
        if tile.level is None:
            data = self._prover.entries(info.key, tile.number, tile.width)
        else:
            data = self._prover.tile(info.key, tile.level, tile.number, tile.width)
        create_same(self._objects, tile_key(info, tile), data)

    def _all_there(self, info: LogInfo, size: int) -> bool:
        """Whether the right edge of a size stands there: it is stored after all that is left of it."""
        edge = right_edge(size)
        there = all(self._objects.start(tile_key(info, tile), 1) is not None for tile in edge)
        if there:
            self._laid[info.key] = size
        return there

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
