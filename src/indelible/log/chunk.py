"""The stored form of the events that one commit added to one log, and its one codec.

`meta`, version 1, big-endian:

    u8 version = 1 · u8 flags (1: writer column, 2: keys) · u16 number of writers · 16 bytes a writer
    16 bytes of salt an event · 32 bytes of commitment an event · u32 payload length an event
    with flag 1: u16 an event, its place among the writers
    with flag 2: u32 number of keys, then each:
                 u32 offset in the chunk, u32 events, digest[16], fingerprint[16]

A key's `events` may reach past the chunk: a large batch is stored as several chunks, and its key stands in
the first. Commitments are stored although payload and salt give them: entries are served without reading
payloads, and stay whole when a payload is erased one day.
"""

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from indelible.merkle.entry import Entry, entry_leaf_hashes
from indelible.model.types import Event
from indelible.store.base import ChunkRow

VERSION = 1
SALT_BYTES = 16
WRITER_BYTES = 16
COMMITMENT_BYTES = 32
LEAF_BYTES = 32
_WRITER_COLUMN = 1
_KEYS = 2
_HEADER = struct.Struct(">BBH")
_KEY = struct.Struct(">II16s16s")
_COLUMNS = (int, int, int, bytes, bytes, bytes)  # of a row; SQLite keeps a value of any kind in any column


class ChunkError(ValueError):
    """Stored bytes are not a chunk that this program wrote."""


class KeyUse(NamedTuple):
    """An idempotency key as stored: which events it made, and digests of the key and of the request."""

    offset: int
    events: int
    digest: bytes
    fingerprint: bytes


class Chunk(NamedTuple):
    """A decoded chunk; columns have one item an event, joined columns fixed widths."""

    first: int
    events: int
    time: int
    writers: tuple[bytes, ...]
    writer_of: Sequence[int]  # places in `writers`; empty when there is one writer
    salts: bytes
    commitments: bytes
    lengths: Sequence[int]
    keys: tuple[KeyUse, ...]
    leaves: bytes
    payload: bytes

    @property
    def last(self) -> int:
        """The sequence of the last event."""
        return self.first + self.events - 1

    def places(self, first: int, last: int) -> tuple[int, int]:
        """The places of its events from sequence `first` to `last`: from the one, and before the other."""
        return max(0, first - self.first), min(self.last, last) - self.first + 1

    def entry_hashes(self, commitments: Sequence[bytes]) -> list[bytes]:
        """The leaf hashes that its entries would have with these commitments, one for each event."""
        writers: bytes | list[bytes] = self.writers[0]
        if self.writer_of:
            writers = [self.writers[place] for place in self.writer_of]
        return entry_leaf_hashes(self.first, self.time, writers, commitments)

    def payloads(self) -> list[bytes]:
        """The events' exact bytes."""
        payload = self.payload
        ends = list(accumulate(self.lengths))
        return [payload[end - length : end] for end, length in zip(ends, self.lengths, strict=True)]

    def writer(self, offset: int) -> bytes:
        """Who appended the event at `offset`."""
        return self.writers[self.writer_of[offset] if self.writer_of else 0]

    def event_list(self) -> list[Event]:
        """The events as values."""
        salts = self.salts
        return [
            Event(self.first + i, self.time, self.writer(i), salts[i * 16 : i * 16 + 16], payload)
            for i, payload in enumerate(self.payloads())
        ]

    def entry(self, offset: int) -> Entry:
        """The Merkle tree's entry of the event at `offset`."""
        return Entry(self.first + offset, self.time, self.writer(offset), self.commitment(offset))

    def leaf(self, offset: int) -> bytes:
        """The leaf hash of the event at `offset`."""
        return self.leaves[offset * LEAF_BYTES : (offset + 1) * LEAF_BYTES]

    def commitment(self, offset: int) -> bytes:
        """The commitment of the event at `offset`."""
        return self.commitments[offset * COMMITMENT_BYTES : (offset + 1) * COMMITMENT_BYTES]

    def salt(self, offset: int) -> bytes:
        """The salt of the event at `offset`."""
        return self.salts[offset * SALT_BYTES : (offset + 1) * SALT_BYTES]


def encode_meta(
    writers: Sequence[bytes],
    writer_of: Sequence[int],
    *,
    salts: bytes,
    commitments: bytes,
    lengths: Sequence[int],
    keys: Sequence[KeyUse],
) -> bytes:
    """Encode what a row's `meta` holds; `writer_of` is empty when there is one writer."""
    flags = (_WRITER_COLUMN if writer_of else 0) | (_KEYS if keys else 0)
    events = len(lengths)
    parts = [
        _HEADER.pack(VERSION, flags, len(writers)),
        *writers,
        salts,
        commitments,
        struct.pack(f">{events}I", *lengths),
    ]
    if writer_of:
        parts.append(struct.pack(f">{events}H", *writer_of))
    if keys:
        parts.append(struct.pack(">I", len(keys)))
        parts += [_KEY.pack(*key) for key in keys]
    return b"".join(parts)


def decode_chunk(row: ChunkRow, *, whole: bool = True) -> Chunk:
    """Decode a stored row; without `whole`, one whose leaves and payload were not read.

    Raises:
        ChunkError: the row is not of version 1, or its parts do not fit together.
    """
    if tuple(map(type, row)) != _COLUMNS:
        raise ChunkError(f"chunk at {row.first}: a column is of another kind than was written")
    try:
        return _decode(row, whole=whole)
    except struct.error as error:
        raise ChunkError(f"chunk at {row.first}: {error}") from None


def _decode(row: ChunkRow, *, whole: bool) -> Chunk:
    version, flags, writer_count = _HEADER.unpack_from(row.meta)
    if version != VERSION or flags & ~(_WRITER_COLUMN | _KEYS):
        raise ChunkError(f"chunk at {row.first}: version {version} with flags {flags} is not known")
    if row.events < 1:
        raise ChunkError(f"chunk at {row.first}: it has no events")
    at = _HEADER.size
    writers = tuple(row.meta[at + 16 * i : at + 16 * i + 16] for i in range(writer_count))
    at += WRITER_BYTES * writer_count
    salts = row.meta[at : at + SALT_BYTES * row.events]
    at += SALT_BYTES * row.events
    commitments = row.meta[at : at + COMMITMENT_BYTES * row.events]
    at += COMMITMENT_BYTES * row.events
    lengths = struct.unpack_from(f">{row.events}I", row.meta, at)
    at += 4 * row.events
    writer_of: Sequence[int] = ()
    if flags & _WRITER_COLUMN:
        writer_of = struct.unpack_from(f">{row.events}H", row.meta, at)
        at += 2 * row.events
    keys, at = _decode_keys(row.meta, at) if flags & _KEYS else ((), at)
    fits = (
        at == len(row.meta)
        and (not whole or sum(lengths) == len(row.payload))
        and (not whole or len(row.leaves) == LEAF_BYTES * row.events)
        and max(writer_of, default=0) < writer_count
        and all(key.offset < row.events and key.events for key in keys)
    )
    if not fits:
        raise ChunkError(f"chunk at {row.first}: its parts do not fit together")
    return Chunk(
        row.first,
        row.events,
        row.time,
        writers,
        writer_of,
        salts,
        commitments,
        lengths,
        keys,
        row.leaves,
        row.payload,
    )


def _decode_keys(meta: bytes, at: int) -> tuple[tuple[KeyUse, ...], int]:
    (count,) = struct.unpack_from(">I", meta, at)
    at += 4
    keys = tuple(KeyUse._make(_KEY.unpack_from(meta, at + i * _KEY.size)) for i in range(count))
    return keys, at + count * _KEY.size
