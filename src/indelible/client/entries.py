"""Reading a log's entries out of its bundles, from one head to a later one, and checking each.

Bundles give entries, entries leaf hashes, leaf hashes the tiles of every level, and these the root that was
signed. Memory is bounded: the right edge of the tree, one tile a level, and the bundles that are under way.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from indelible.client.claims import when
from indelible.client.errors import NotProved
from indelible.client.tiled import TiledLog
from indelible.merkle.entry import Entry, decode_entry
from indelible.merkle.frontier import EMPTY_FRONTIER, Frontier, StoredHash, extend, root
from indelible.merkle.hashing import HASH_BYTES, leaf_hash
from indelible.merkle.proofs import frontier_from_source
from indelible.merkle.tiles import TILE_WIDTH
from indelible.notes.checkpoint import Checkpoint

_AHEAD = 8
"""Bundles, each with its tile, that are fetched at one time."""


class Reached(NamedTuple):
    """How far a log was read: the tree's right edge there, and the times (µs) of its first and last entry."""

    frontier: Frontier
    first_time: int | None
    last_time: int


NOTHING = Reached(EMPTY_FRONTIER, None, 0)
"""Before the first entry."""


class _Bundle(NamedTuple):
    number: int
    entries: tuple[bytes, ...]
    tile: bytes


def stand_at(log: TiledLog, head: Checkpoint, source_size: int) -> Reached:
    """Go to a head that is trusted already, so as to read on from there.

    Args:
        log: the log.
        head: whose entries are not read again.
        source_size: a size whose tiles are served, that of `head` or larger.

    Raises:
        NotProved: the log's tiles do not give that head.
    """
    if head.size == 0:
        return NOTHING
    frontier = frontier_from_source(head.size, log.source(source_size))
    if root(frontier) != head.root:
        raise NotProved(f"the tiles of {head.origin} do not give its head of {head.size} events")
    last = head.size - 1
    entry = _decode(log.bundle(last // TILE_WIDTH, source_size)[last % TILE_WIDTH], last + 1)
    return Reached(frontier, None, entry.time)


def read_entries(
    log: TiledLog,
    start: Reached,
    head: Checkpoint,
    each: Callable[[Sequence[Entry]], object] = lambda _entries: None,
) -> Reached:
    """Read all entries after `start`, up to `head`, and check them.

    Sequences follow each other, times never go back, tiles are those of the entries, and the root is the
    head's.

    Args:
        log: the log.
        start: `NOTHING`, or what `stand_at` or this function gave.
        head: a head that is not smaller; its signature is the caller's to check.
        each: is given the entries of each bundle, in order, before the next is looked at.

    Raises:
        NotProved: one of these does not hold; the text names the event.
        Problem, Unreachable, UnexpectedAnswer: an answer is missing.
    """
    reached, tiles = start, _Tiles(log, head.size)
    for bundle in _ahead(log, start.frontier.size, head.size):
        reached = _take(bundle, reached, tiles, each)
    tiles.finish()
    if root(reached.frontier) != head.root:
        raise NotProved(f"the {head.size} entries of {head.origin} give another root than the one it signed")
    return reached


def _take(
    bundle: _Bundle, reached: Reached, tiles: "_Tiles", each: Callable[[Sequence[Entry]], object]
) -> Reached:
    leaves = [leaf_hash(entry) for entry in bundle.entries]
    first = bundle.number * TILE_WIDTH + 1
    _check_tile(0, bundle.number, b"".join(leaves), bundle.tile)
    skipped = reached.frontier.size - first + 1
    entries = _in_order(bundle.entries[skipped:], reached)
    growth = extend(reached.frontier, leaves[skipped:])
    for node in growth.stored:
        tiles.add(node)
    each(entries)
    began = entries[0].time if reached.first_time is None else reached.first_time
    return Reached(growth.frontier, began, entries[-1].time)


def _in_order(encoded: Sequence[bytes], reached: Reached) -> list[Entry]:
    """Decode entries that must follow what was reached."""
    time, sequence = reached.last_time, reached.frontier.size
    entries = []
    for data in encoded:
        sequence += 1
        entry = _decode(data, sequence)
        if entry.time < time:
            raise NotProved(
                f"event {sequence} was received {when(entry.time)}, before the event before it, {when(time)}"
            )
        time = entry.time
        entries.append(entry)
    return entries


def _decode(data: bytes, sequence: int) -> Entry:
    try:
        entry = decode_entry(data)
    except ValueError as error:
        raise NotProved(f"the entry of event {sequence} is malformed: {error}") from None
    if entry.sequence != sequence:
        raise NotProved(f"in the place of event {sequence} stands the entry of event {entry.sequence}")
    return entry


def _check_tile(level: int, number: int, computed: bytes, served: bytes, offset: int = 0) -> None:
    if served[offset * HASH_BYTES : offset * HASH_BYTES + len(computed)] != computed:
        raise NotProved(f"tile {number} of level {level} is not that of the log's entries")


class _Tiles:
    """The nodes of levels 1 and up, compared with the tiles that are served, tile by tile."""

    def __init__(self, log: TiledLog, size: int) -> None:
        self._log = log
        self._size = size
        self._open: dict[int, list[StoredHash]] = {}

    def add(self, node: StoredHash) -> None:
        """Take the next node of its level."""
        nodes = self._open.setdefault(node.level, [])
        nodes.append(node)
        if node.position % TILE_WIDTH == TILE_WIDTH - 1:
            self._compare(nodes)

    def finish(self) -> None:
        """Compare the tiles that are not full."""
        for nodes in self._open.values():
            if nodes:
                self._compare(nodes)

    def _compare(self, nodes: list[StoredHash]) -> None:
        number, offset = divmod(nodes[0].position, TILE_WIDTH)
        level = nodes[0].level
        served = self._log.tile(level, number, self._size)
        _check_tile(level, number, b"".join(node.hash for node in nodes), served, offset)
        nodes.clear()


def _ahead(log: TiledLog, begin: int, size: int) -> Iterator[_Bundle]:
    """The bundles with the leaves [begin, size), in order, some of them fetched ahead."""

    def fetch(number: int) -> _Bundle:
        return _Bundle(number, log.bundle(number, size), log.tile(0, number, size))

    if begin >= size:
        return
    numbers = iter(range(begin // TILE_WIDTH, (size - 1) // TILE_WIDTH + 1))
    pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="indelible-tiles")
    waiting: deque[Future[_Bundle]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(fetch, number))
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
