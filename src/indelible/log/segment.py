"""A segment of the archive: a sealed run of payloads and salts, and its one codec (docs/formats.md, Archive).

A line of JSON says what follows; then come the events, compressed. Commitments and leaf hashes are not in it:
they follow from payloads, salts and the rest, and so a segment that is read is compared with the tree.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from indelible.log.chunk import SALT_BYTES, WRITER_BYTES, Chunk, KeyUse, encode_meta
from indelible.merkle.entry import commit_payloads
from indelible.model.types import LogInfo
from indelible.store.base import ChunkRow

FORMAT = "indelible-segment/1"
COMPRESSION = "zlib"  # RFC 1950
CIPHER = "none"
DIGITS = 16  # of a sequence in a name, so that names sort as sequences do
HEADER_BYTES = 4_096  # more than a header has
_LEVEL = 6
_HEAD = struct.Struct(">IQH")
_KEY = struct.Struct(">II16s16s")


class SegmentError(ValueError):
    """Bytes that are no segment, or not one of those events; the text says which part."""


class Ref(msgspec.Struct, frozen=True):
    """An object of the archive: key, SHA-256 in hex, size in bytes, and its version where it has one."""

    key: str
    sha256: str
    size: int
    version: str | None = None


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the first line of a segment says. `previous` is the segment before it, None for the first."""

    format: str
    origin: str
    first: int
    last: int
    previous: Ref | None
    body_bytes: int
    body_sha256: str
    compression: str = COMPRESSION
    cipher: str = CIPHER


class Segment(NamedTuple):
    """A segment that was read: what it says of itself, and its events as chunks without leaf hashes."""

    header: Header
    runs: tuple[Chunk, ...]


def segment_key(info: LogInfo, first: int, last: int) -> str:
    """Where a segment stands in the object store."""
    return f"events/{info.log_id}/{first:0{DIGITS}}-{last:0{DIGITS}}"


def ref_of(key: str, data: bytes, version: str | None) -> Ref:
    """Name an object."""
    return Ref(key, hashlib.sha256(data).hexdigest(), len(data), version)


def cut(chunk: Chunk, first: int, last: int) -> Chunk:
    """The part of a chunk from sequence `first` to `last`, both inside."""
    low, high = chunk.places(first, last)
    if (low, high) == (0, chunk.events):
        return chunk
    begin = sum(chunk.lengths[:low])
    return chunk._replace(
        first=chunk.first + low,
        events=high - low,
        writer_of=chunk.writer_of[low:high],
        salts=chunk.salts[low * SALT_BYTES : high * SALT_BYTES],
        commitments=b"",
        lengths=chunk.lengths[low:high],
        keys=tuple(use._replace(offset=use.offset - low) for use in chunk.keys if low <= use.offset < high),
        leaves=b"",
        payload=chunk.payload[begin : begin + sum(chunk.lengths[low:high])],
    )


def encode_segment(origin: str, runs: Sequence[Chunk], previous: Ref | None) -> bytes:
    """Seal consecutive runs of events."""
    body = b"".join(map(_encode_run, runs))
    header = Header(
        FORMAT,
        origin,
        runs[0].first,
        runs[-1].last,
        previous,
        len(body),
        hashlib.sha256(body).hexdigest(),
    )
    return msgspec.json.encode(header) + b"\n" + zlib.compress(body, _LEVEL)


def _encode_run(run: Chunk) -> bytes:
    parts = [_HEAD.pack(run.events, run.time, len(run.writers)), *run.writers, run.salts]
    parts.append(struct.pack(f">{run.events}I", *run.lengths))
    if len(run.writers) > 1:
        parts.append(struct.pack(f">{run.events}H", *run.writer_of))
    parts.append(struct.pack(">I", len(run.keys)))
    parts += [_KEY.pack(*use) for use in run.keys]
    return b"".join([*parts, run.payload])


def decode_header(data: bytes) -> Header:
    """Read the first line, of a whole segment or of its beginning.

    Raises:
        SegmentError: it is not one that this program reads.
    """
    line, end, _ = data[:HEADER_BYTES].partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=Header)
    except msgspec.MsgspecError as error:
        raise SegmentError(f"its first line is no header: {error}") from None
    kind = (header.format, header.compression, header.cipher)
    if not end or kind != (FORMAT, COMPRESSION, CIPHER):
        raise SegmentError(f"it is of a kind that this program does not read: {kind}")
    if not 1 <= header.first <= header.last:
        raise SegmentError(f"it says that it holds events {header.first} to {header.last}")
    return header


def decode_segment(data: bytes, limit_bytes: int) -> Segment:
    """Read a segment whose events have at most `limit_bytes` as they were before compression.

    Raises:
        SegmentError: it is damaged, or larger.
    """
    header = decode_header(data)
    if header.body_bytes > limit_bytes:
        raise SegmentError(f"its events have {header.body_bytes} bytes, the limit is {limit_bytes}")
    try:
        inflating = zlib.decompressobj()
        body = inflating.decompress(data[data.index(b"\n") + 1 :], header.body_bytes + 1)
    except zlib.error as error:
        raise SegmentError(f"its events cannot be inflated: {error}") from None
    whole = inflating.eof and not inflating.unused_data and len(body) == header.body_bytes
    if not whole or hashlib.sha256(body).hexdigest() != header.body_sha256:
        raise SegmentError("its events are not those that its header says")
    try:
        runs = tuple(_decode_runs(body, header.first))
    except (struct.error, IndexError) as error:
        raise SegmentError(f"its events are cut short: {error}") from None
    if not runs or runs[-1].last != header.last:
        raise SegmentError(f"it does not hold the events {header.first} to {header.last}")
    return Segment(header, runs)


def _decode_runs(body: bytes, first: int) -> Iterator[Chunk]:
    at = 0
    while at < len(body):
        run, at = _decode_run(body, at, first)
        yield run
        first = run.last + 1


def _decode_run(body: bytes, at: int, first: int) -> tuple[Chunk, int]:
    events, time, count = _HEAD.unpack_from(body, at)
    at += _HEAD.size
    writers = tuple(body[at + WRITER_BYTES * i : at + WRITER_BYTES * (i + 1)] for i in range(count))
    at += WRITER_BYTES * count
    salts = body[at : at + SALT_BYTES * events]
    at += SALT_BYTES * events
    lengths = struct.unpack_from(f">{events}I", body, at)
    at += 4 * events
    writer_of: Sequence[int] = ()
    if count > 1:
        writer_of = struct.unpack_from(f">{events}H", body, at)
        at += 2 * events
    (uses,) = struct.unpack_from(">I", body, at)
    at += 4
    keys = tuple(KeyUse._make(_KEY.unpack_from(body, at + i * _KEY.size)) for i in range(uses))
    at += uses * _KEY.size
    end = at + sum(lengths)
    fits = count and events and max(writer_of, default=0) < count and end <= len(body)
    if not fits or any(use.offset >= events or not use.events for use in keys):
        raise SegmentError(f"the parts of the run at event {first} do not fit together")
    run = Chunk(first, events, time, writers, writer_of, salts, b"", lengths, keys, b"", body[at:end])
    return run, end


def rebuilt(run: Chunk) -> tuple[ChunkRow, list[bytes]]:
    """The row of the store that a run gives, and its leaf hashes, computed from payloads and salts.

    Raises:
        ValueError: a number is none that an entry can have.
    """
    commitments = commit_payloads(run.salts, run.payloads())
    leaves = run.entry_hashes(commitments)
    meta = encode_meta(
        run.writers,
        run.writer_of,
        salts=run.salts,
        commitments=b"".join(commitments),
        lengths=run.lengths,
        keys=run.keys,
    )
    return ChunkRow(run.first, run.events, run.time, meta, b"".join(leaves), run.payload), leaves
