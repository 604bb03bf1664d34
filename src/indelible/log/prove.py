"""Proofs and tiles, out of stored hashes: reads, never a walk over the log. Blocking; any thread."""

from collections.abc import Sequence

from indelible.log.chunk import decode_chunk
from indelible.log.publish import Published
from indelible.log.read import EventReader, Span
from indelible.merkle.entry import encode_entry
from indelible.merkle.proofs import HashSource, consistency_proof, inclusion_proof, root_from_source
from indelible.merkle.ranges import range_proof
from indelible.merkle.tiles import encode_bundle, tile_hash_source
from indelible.model.types import LogInfo
from indelible.notes.tlogproof import TlogProof, event_extra, format_tlog_proof
from indelible.store.base import Reader

TILE_WIDTH = 256
HASH_BYTES = 32


class Prover:
    """Proves what the store holds. What it says is checked by whoever verifies it, with the signed head."""

    def __init__(self, reader: Reader, events: EventReader) -> None:
        self._reader = reader
        self._events = events

    def source(self, log: int) -> HashSource:
        """Hashes of perfect subtrees of a log."""

        def read(level: int, start: int, count: int) -> Sequence[bytes]:
            if level == 0:
                joined = self._events.rows.leaves(log, start + 1, count)
            else:
                joined = self._reader.nodes(log, level, start, count)
            return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]

        return tile_hash_source(read)

    def root_at(self, log: int, size: int) -> bytes:
        """The root of the log when it had `size` events, recomputed from stored hashes."""
        return root_from_source(size, self.source(log))

    def inclusion(self, log: int, index: int, size: int) -> tuple[bytes, ...]:
        """The proof that leaf `index` is in the tree of `size`."""
        return inclusion_proof(index, size, self.source(log))

    def consistency(self, log: int, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """The proof that the tree of `old_size` is a prefix of that of `new_size`."""
        return consistency_proof(old_size, new_size, self.source(log))

    def leaf(self, log: int, sequence: int) -> bytes:
        """The stored leaf hash of an event."""
        return self._events.rows.leaves(log, sequence, 1)

    def event_proof(self, info: LogInfo, sequence: int, published: Published) -> bytes:
        """A C2SP tlog-proof of one event against a published checkpoint that covers it."""
        chunk = self._events.chunk(info.key, sequence)
        if chunk is None:
            raise LookupError(f"no event {sequence}")
        at = sequence - chunk.first
        hashes = self.inclusion(info.key, sequence - 1, published.size)
        extra = event_extra(encode_entry(chunk.entry(at)), chunk.salt(at))
        return format_tlog_proof(TlogProof(extra, sequence - 1, hashes, published.note))

    def range(self, log: int, span: Span, size: int) -> tuple[list[bytes], tuple[bytes, ...]]:
        """The entries of a run of events, and the hashes that close the tree of `size` around them."""
        return self.entries_of(log, span), self.closing(log, span, size)

    def closing(self, log: int, span: Span, size: int) -> tuple[bytes, ...]:
        """The hashes that close the tree of `size` around a run of events."""
        return range_proof(span.first - 1, span.last, size, self.source(log))

    def tile(self, log: int, level: int, index: int, width: int) -> bytes:
        """`width` hashes of tile `index` at a tile level (C2SP tlog-tiles), which the log holds."""
        start = index * TILE_WIDTH
        if level == 0:
            return self._events.rows.leaves(log, start + 1, width)
        return self._reader.nodes(log, level, start, width)

    def entries(self, log: int, index: int, width: int) -> bytes:
        """An entry bundle: `width` entries, each behind its length as u16."""
        return encode_bundle(self.entries_of(log, Span(index * TILE_WIDTH + 1, index * TILE_WIDTH + width)))

    def entries_of(self, log: int, span: Span) -> list[bytes]:
        """The entries of a run of events, none for an empty one.

        Without a payload being read: a bundle of large events would cost hundreds of MiB.
        """
        entries: list[bytes] = []
        for row in self._events.rows.metas(log, span.first, span.last):
            chunk = decode_chunk(row, whole=False)
            if chunk.first > span.first + len(entries):
                break
            low, high = chunk.places(*span)
            entries += [encode_entry(chunk.entry(at)) for at in range(low, high)]
        if len(entries) != span.last - span.first + 1:
            raise LookupError(f"entries {span.first} to {span.last} are not all there")
        return entries
