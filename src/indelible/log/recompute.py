"""A whole log recomputed, from each payload to the root, going on past whatever is wrong with it.

What a restored copy must pass before it serves, and what `indelible fsck` finds. Rows are read as they lie in
the store, not through `log/read.py`, which stops at the first that is not as it should be.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from indelible.log.chunk import LEAF_BYTES, Chunk, ChunkError, decode_chunk
from indelible.log.chunkcheck import ENTRY, Links, check_chunk
from indelible.log.gate import events_beyond
from indelible.log.storednodes import StoredNodes, tiles_beyond
from indelible.log.storedrows import rows_of
from indelible.log.treecheck import WIDTH, Closed, TreeCheck
from indelible.merkle.frontier import decode_frontier
from indelible.model.types import LogInfo
from indelible.store.base import SEQUENCE_MAX, ChunkRow, EventRows, HeadRow, Reader

GAP_MAX = 1 << 22
"""Events that can be missing at one place, inside a log, for the tree after them to be checked still."""


class Finding(NamedTuple):
    """A difference: in which log, at which sequence, what of it differs, and in words.

    `kind` is one of payload, commitment, entry, leaf, event, node, frontier, root, head, time, gap, chunk,
    beyond, segment, and what whoever calls looks for besides.
    """

    log: LogInfo
    sequence: int
    kind: str
    found: str


class Watched(NamedTuple):
    """A root that the log must have had when it had `size` events, and whose word that is."""

    size: int
    root: bytes
    kind: str
    says: str


Inspect = Callable[[Chunk], Iterable[tuple[int, str, str]]]
"""Looks at each chunk for more: gives sequence, kind and words of what it finds."""


def recompute(
    reader: Reader,
    info: LogInfo,
    head: HeadRow,
    progress: Callable[[int], None],
    *,
    rows: EventRows | None = None,
    watched: Sequence[Watched] = (),
    inspect: Inspect = lambda _chunk: (),
) -> Iterator[Finding]:
    """Compare every stored hash of a log with what stands below it; yields each difference.

    Events are read from `rows`, where the reader itself does not show those that were trimmed.

    `progress` is called with the number of events done. Nothing is changed, memory stays bounded, and events
    that are appended meanwhile don't matter: `head` and what it covers never change.
    """
    yield from _Recomputing(reader, rows or reader, info, head, watched, inspect).findings(progress)


class _Recomputing:
    def __init__(
        self,
        reader: Reader,
        rows: EventRows,
        info: LogInfo,
        head: HeadRow,
        watched: Sequence[Watched],
        inspect: Inspect,
    ) -> None:
        self._reader = reader
        self._rows = rows
        self._info = info
        self._head = head
        self._watched = sorted(watched, reverse=True)  # the next one last
        self._inspect = inspect
        self._tree = TreeCheck(StoredNodes(reader, info.key, head.size).node)
        self._undecided: list[tuple[int, str, str]] = []  # of the tile that is open
        self._time = 0
        self._next = 1

    def _finding(self, sequence: int, kind: str, found: str) -> Finding:
        return Finding(self._info, sequence, kind, found)

    def findings(self, progress: Callable[[int], None]) -> Iterator[Finding]:
        head = self._head
        yield from self._compare_roots()
        for row in rows_of(self._rows, self._info.key, min(head.size, SEQUENCE_MAX)):
            yield from self._row(row)
            progress(min(self._tree.size, head.size))
        if self._next <= head.size:
            yield from self._gap(head.size + 1)
        yield from self._top()
        for at in reversed(self._watched):
            found = f"{at.says} of {at.size} events, the store holds {head.size}"
            yield self._finding(at.size, at.kind, f"{found}: an older copy was restored, or the tail was cut")
        if self._time != head.time and self._tree.size == head.size:
            found = f"the head is dated {head.time} µs, the last event {self._time} µs"
            yield self._finding(head.size, "head", found)
        yield from self._beyond()

    def _beyond(self) -> Iterator[Finding]:
        """What stands past the head as it is now: what was appended meanwhile does not."""
        log = self._info.key
        head = self._reader.head(log) or self._head
        events = events_beyond(self._reader, log, head)
        if events is not None:
            yield self._finding(head.size, "beyond", events)
        for found in tiles_beyond(self._reader, log, head):
            yield self._finding(head.size, "beyond", found)

    # ------------------------------------------------------------------ rows

    def _row(self, row: ChunkRow) -> Iterator[Finding]:
        if row.first > self._next:
            yield from self._gap(row.first)
        elif row.first < self._next:
            found = f"a chunk that begins at {row.first} overlaps the one before it"
            yield self._finding(row.first, "chunk", found)
        try:
            chunk = decode_chunk(row)
            links = check_chunk(chunk)
        except (ChunkError, ValueError) as error:
            yield self._finding(row.first, "chunk", f"stored rows are damaged: {error}")
            yield from self._grow(row.first, _leaves_alone(row))
            return
        if chunk.time < self._time:
            yield self._finding(chunk.first, "time", "it is dated before the event before it")
        if chunk.last > self._head.size:
            found = f"the head says {self._head.size}, events up to {chunk.last} are stored with it"
            yield self._finding(self._head.size, "beyond", found)
        for difference in links.differences:
            if difference.kind in {"leaf", "event"}:
                self._undecided.append(difference)
            else:
                yield self._finding(*difference)
        for found_also in self._inspect(chunk):
            yield self._finding(*found_also)
        self._time = chunk.time
        yield from self._grow(chunk.first, links)

    def _gap(self, until: int) -> Iterator[Finding]:
        """Events before `until` are not stored."""
        first, last = self._next, until - 1
        those = f"event {first} is" if first == last else f"events {first} to {last} are"
        yield self._finding(first, "gap", f"{those} not all there: missing in the store")
        if last == self._head.size or last - first > GAP_MAX:
            self._tree.lose()
        else:
            yield from self._closed(self._tree.skip(until - first))
        self._watched = [at for at in self._watched if at.size > last]
        self._next = until

    # ------------------------------------------------------------------ the tree

    def _grow(self, first: int, links: Links) -> Iterator[Finding]:
        """Add the leaves of a chunk that were not added yet, stopping where a root is to be compared."""
        at = self._next - first
        end = min(len(links.stored), self._head.size - first + 1)
        while at < end:
            stop = end
            if self._watched and self._watched[-1].size - first + 1 < end:
                stop = max(at, self._watched[-1].size - first + 1)
            whole = at == 0 and stop == len(links.stored)
            stored = links.stored if whole else links.stored[at:stop]
            given = stored if links.given is links.stored else links.given[at:stop]
            yield from self._closed(self._tree.add(stored, given))
            self._next, at = first + stop, stop
            yield from self._compare_roots()

    def _closed(self, closed: Iterator[Closed]) -> Iterator[Finding]:
        for level, position, confirms, missing in closed:
            if level == 1:
                yield from self._decided("stored" if confirms == "stored" else "given")
            if confirms == "neither":
                width = WIDTH**level
                first, last = position * width + 1, (position + 1) * width
                what = "is missing" if missing else f"is another than events {first} to {last} give"
                found = f"the stored node {position} of tile level {level} {what}"
                yield self._finding(last, "node", found)

    def _decided(self, confirms: str) -> Iterator[Finding]:
        """What the tree above says of the leaf hashes that their entries did not give."""
        undecided, self._undecided = self._undecided, []
        for sequence, kind, found in undecided:
            if kind == "leaf" and confirms == "stored":
                yield self._finding(sequence, "entry", ENTRY)
            else:
                yield self._finding(sequence, kind, found)

    def _compare_roots(self) -> Iterator[Finding]:
        while self._watched and self._watched[-1].size <= self._tree.size:
            at = self._watched.pop()
            roots = self._tree.roots() if at.size == self._tree.size else []
            if roots and at.root not in roots:
                found = f"{at.says} of {at.size} events has another root than the stored events"
                yield self._finding(at.size, at.kind, found)

    def _top(self) -> Iterator[Finding]:
        """The head, compared with all that stands below it."""
        head = self._head
        edges, roots = self._tree.edges(), self._tree.roots()
        yield from self._decided(
            "stored" if len(edges) > 1 and _joined(edges[1]) == head.frontier else "given"
        )
        if edges and head.frontier not in map(_joined, edges):
            found = "the stored right edge does not follow from the events"
            yield self._finding(head.size, "frontier", found)
        elif not edges and not _fits(head):
            yield self._finding(head.size, "frontier", "the stored right edge is that of another size")
        if roots and head.root not in roots:
            yield self._finding(head.size, "root", "the stored root does not follow from the events")


def _leaves_alone(row: ChunkRow) -> Links:
    """What a damaged row can still give to the tree, so that the rest of it is checked."""
    joined = row.leaves if isinstance(row.leaves, bytes) and not len(row.leaves) % LEAF_BYTES else b""
    leaves = [joined[at : at + LEAF_BYTES] for at in range(0, len(joined), LEAF_BYTES)]
    return Links(leaves, leaves, ())


def _joined(edge: Sequence[bytes]) -> bytes:
    return b"".join(edge)


def _fits(head: HeadRow) -> bool:
    try:
        decode_frontier(head.size, head.frontier)
    except (TypeError, ValueError):
        return False
    return True
