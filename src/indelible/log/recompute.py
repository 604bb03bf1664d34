"""A whole log recomputed, from each payload to the root: what a restored copy must pass before it serves."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from indelible.log.chunk import Chunk, ChunkError
from indelible.log.read import EventReader, Span
from indelible.merkle.entry import commit_payloads, entry_leaf_hashes
from indelible.merkle.frontier import EMPTY_FRONTIER, encode_frontier, extend, root
from indelible.model.types import LogInfo
from indelible.store.base import HeadRow, Reader

WRITER_BYTES = 16
HASH_BYTES = 32


class Finding(NamedTuple):
    """A difference: in which log, at which sequence, and what it is."""

    log: LogInfo
    sequence: int
    found: str


def recompute(
    reader: Reader, info: LogInfo, head: HeadRow, progress: Callable[[int], None]
) -> Iterator[Finding]:
    """Compare every stored hash of a log with what its payloads and salts give; yields each difference.

    `progress` is called with the number of events done. Nothing is changed. Memory stays bounded.
    """
    frontier, time, expected = EMPTY_FRONTIER, 0, 1
    try:
        for chunk in EventReader(reader).chunks(info.key, Span(1, head.size)):
            if chunk.first != expected:
                yield Finding(info, expected, f"events {expected} to {chunk.first - 1} are missing")
            if chunk.time < time:
                yield Finding(info, chunk.first, "it is dated before the event before it")
            commitments = commit_payloads(chunk.salts, chunk.payloads())
            writers = [chunk.writer(at) for at in range(chunk.events)]
            leaves = entry_leaf_hashes(chunk.first, chunk.time, writers, commitments)
            for sequence, found in _differences(chunk, commitments, leaves):
                yield Finding(info, sequence, found)
            growth = extend(frontier, leaves)
            for node in growth.stored:
                if reader.nodes(info.key, node.level, node.position, 1) != node.hash:
                    text = f"the stored node {node.position} of tile level {node.level} is another"
                    yield Finding(info, chunk.last, text)
            frontier, time, expected = growth.frontier, chunk.time, chunk.last + 1
            progress(frontier.size)
    except (ChunkError, LookupError) as error:
        yield Finding(info, expected, f"stored rows are missing or damaged: {error}")
        return
    if frontier.size != head.size:
        yield Finding(info, head.size, f"the head says {head.size} events, {frontier.size} are stored")
    elif (root(frontier), encode_frontier(frontier)) != (head.root, head.frontier):
        yield Finding(info, head.size, "the stored root does not follow from the events")


def _differences(
    chunk: Chunk, commitments: Sequence[bytes], leaves: Sequence[bytes]
) -> Iterator[tuple[int, str]]:
    """Events whose stored commitment or leaf hash is not what payload and salt give."""
    if (b"".join(commitments), b"".join(leaves)) == (chunk.commitments, chunk.leaves):
        return
    for at in range(chunk.events):
        if commitments[at] != chunk.commitment(at):
            yield chunk.first + at, "payload and salt do not give the stored commitment"
        elif leaves[at] != chunk.leaf(at):
            yield chunk.first + at, "the entry does not give the stored leaf hash"
