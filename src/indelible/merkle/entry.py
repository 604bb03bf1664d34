"""The 65 bytes that stand for an event in the tree, and its salted commitment (formats.md).

    commitment = SHA-256(salt[16] || payload)
    entry      = 0x01 || sequence u64 || time u64 (µs since 1970) || writer[16] || commitment[32]

The bulk functions are the hot path of every append: one comprehension, and nothing for an event but its
hash and the bytes that go into it.
"""

import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import count
from typing import NamedTuple

ENTRY_BYTES = 65
ENTRY_VERSION = 1
SALT_BYTES = 16
WRITER_BYTES = 16
COMMITMENT_BYTES = 32

_ENTRY = struct.Struct(">BQQ16s32s")
_SALT = struct.Struct("16s")
# What is hashed for a leaf: 0x00 0x01, sequence, then time and writer (which one batch shares), commitment.
_ONE_WRITER = struct.Struct(">2sQ24s32s")
_MANY_WRITERS = struct.Struct(">2sQ8s16s32s")
_MANY_TIMES = struct.Struct(">2sQQ16s32s")
_LEAF_HEAD = bytes([0, ENTRY_VERSION])
_U64_END = 1 << 64


class Entry(NamedTuple):
    """An entry's fields. `sequence` counts from 1; `time` is µs since 1970, UTC."""

    sequence: int
    time: int
    writer: bytes  # 16
    commitment: bytes  # 32


def encode_entry(entry: Entry) -> bytes:
    """Return the 65 bytes of `entry`.

    Raises:
        ValueError: when a number is out of range or a field has the wrong length.
    """
    _check_numbers(entry.sequence, 1, entry.time)
    _check_lengths((entry.writer,), WRITER_BYTES, "a writer")
    _check_lengths((entry.commitment,), COMMITMENT_BYTES, "a commitment")
    return _ENTRY.pack(ENTRY_VERSION, *entry)


def decode_entry(data: bytes) -> Entry:
    """Return the fields of 65 bytes.

    Raises:
        ValueError: when the length or the version byte is wrong, or the sequence is 0.
    """
    if len(data) != ENTRY_BYTES:
        raise ValueError(f"An entry has {ENTRY_BYTES} bytes, not {len(data)}.")
    version, sequence, time, writer, committed = _ENTRY.unpack(data)
    if version != ENTRY_VERSION:
        raise ValueError(f"An entry begins with version byte {ENTRY_VERSION}, not {version}.")
    if sequence == 0:
        raise ValueError("Sequences count from 1; this entry has 0.")
    return Entry(sequence, time, writer, committed)


def commitment(salt: bytes, payload: bytes) -> bytes:
    """Return SHA-256(salt || payload).

    Raises:
        ValueError: when the salt does not have 16 bytes: with any other length the border between salt
            and payload could be moved.
    """
    _check_lengths((salt,), SALT_BYTES, "a salt")
    return sha256(salt + payload).digest()


def commit_payloads(salts: bytes, payloads: Sequence[bytes]) -> list[bytes]:
    """Commit to each payload under its own salt.

    Args:
        salts: 16 bytes for each payload, joined.
        payloads: the events' exact bytes.

    Raises:
        ValueError: when the salts are not 16 bytes for each payload.
    """
    if len(salts) != SALT_BYTES * len(payloads):
        raise ValueError(f"{len(payloads)} payloads need {SALT_BYTES * len(payloads)} bytes of salt.")
    pairs = zip(_SALT.iter_unpack(salts), payloads, strict=True)
    return [sha256(salt + payload).digest() for (salt,), payload in pairs]


def entry_leaf_hashes(
    first_sequence: int, time: int, writers: bytes | Sequence[bytes], commitments: Sequence[bytes]
) -> list[bytes]:
    """Return the leaf hashes of consecutive entries of one time.

    Args:
        first_sequence: of the first entry, counted from 1.
        time: µs since 1970, the same for all.
        writers: one writer of 16 bytes for all, or a sequence with one for each commitment.
        commitments: 32 bytes each.

    Raises:
        ValueError: when a number is out of range, a length is wrong, or the counts differ.
    """
    _check_numbers(first_sequence, len(commitments), time)
    _check_lengths(commitments, COMMITMENT_BYTES, "a commitment")
    numbered = enumerate(commitments, first_sequence)
    stamp = time.to_bytes(8, "big")
    if isinstance(writers, bytes):
        _check_lengths((writers,), WRITER_BYTES, "a writer")
        pack, shared = _ONE_WRITER.pack, stamp + writers
        return [sha256(pack(_LEAF_HEAD, at, shared, item)).digest() for at, item in numbered]
    _check_lengths(writers, WRITER_BYTES, "a writer")
    pack = _MANY_WRITERS.pack
    triples = zip(numbered, writers, strict=True)
    return [sha256(pack(_LEAF_HEAD, at, stamp, writer, item)).digest() for (at, item), writer in triples]


def event_leaf_hashes(
    first_sequence: int, times: Sequence[int], writers: Sequence[bytes], commitments: Sequence[bytes]
) -> list[bytes]:
    """Return the leaf hashes of consecutive entries, each with its own time and writer.

    Raises:
        ValueError: when a number is out of range, a length is wrong, or the counts differ.
    """
    _check_numbers(first_sequence, len(commitments), min(times, default=0))
    _check_numbers(first_sequence, len(commitments), max(times, default=0))
    _check_lengths(writers, WRITER_BYTES, "a writer")
    _check_lengths(commitments, COMMITMENT_BYTES, "a commitment")
    pack = _MANY_TIMES.pack
    columns = zip(count(first_sequence), times, writers, commitments, strict=False)  # the first has no end
    if not len(times) == len(writers) == len(commitments):
        raise ValueError("Each entry has a time, a writer and a commitment.")
    return [sha256(pack(_LEAF_HEAD, *fields)).digest() for fields in columns]


def _check_numbers(first_sequence: int, count: int, time: int) -> None:
    if first_sequence < 1 or first_sequence + count > _U64_END:
        raise ValueError("Sequences run from 1 to 2^64 - 1.")
    if not 0 <= time < _U64_END:
        raise ValueError("A time is a u64 of microseconds since 1970.")


def _check_lengths(values: Iterable[bytes], length: int, what: str) -> None:
    # struct would pad or cut a wrong length in silence, and so make two entries share a leaf
    if set(map(len, values)) - {length}:
        raise ValueError(f"{what[0].upper()}{what[1:]} has {length} bytes.")
