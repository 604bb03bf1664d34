"""The bytes of an entry, its commitment and its leaf, against bytes put together by hand."""

import hashlib
import struct

import pytest

from indelible.merkle.entry import (
    ENTRY_BYTES,
    Entry,
    commit_payloads,
    commitment,
    decode_entry,
    encode_entry,
    entry_leaf_hashes,
)
from indelible.merkle.hashing import leaf_hash

SALT = bytes(range(16))
WRITER = bytes(range(16, 32))
ENTRY = Entry(sequence=7, time=1_735_689_600_000_001, writer=WRITER, commitment=bytes(range(32, 64)))


def test_the_bytes_are_those_of_the_format() -> None:
    """An entry is version, sequence, time, writer, commitment: big-endian, 65 bytes."""
    by_hand = b"\x01" + struct.pack(">QQ", 7, 1_735_689_600_000_001) + WRITER + bytes(range(32, 64))
    assert encode_entry(ENTRY) == by_hand
    assert len(by_hand) == ENTRY_BYTES
    assert decode_entry(by_hand) == ENTRY


def test_a_fixed_entry_has_a_fixed_leaf() -> None:
    """The leaf of one known event never changes: logs that exist depend on it."""
    committed = commitment(SALT, b'{"type":"record.updated"}')
    entry = Entry(1, 1_735_689_600_000_000, WRITER, committed)
    assert committed.hex() == "dc43ca1379555853ef1336ea385f69e604441c7eb15ac4d73f526eebca13a3b2"
    assert (
        leaf_hash(encode_entry(entry)).hex()
        == "7ca636a4ac3fe830326743af9760f048586bc0d8f751510593293f10db7ab349"
    )


def test_a_commitment_is_salt_then_payload() -> None:
    """The commitment is SHA-256 of the salt followed by the payload, in bulk as alone."""
    payloads = [b"one", b"two two", b"{}"]
    salts = b"".join(bytes([at]) * 16 for at in range(3))
    by_hand = [hashlib.sha256(bytes([at]) * 16 + payload).digest() for at, payload in enumerate(payloads)]
    assert commit_payloads(salts, payloads) == by_hand
    assert commitment(bytes([1]) * 16, b"two two") == by_hand[1]
    assert commit_payloads(b"", []) == []


def test_bulk_leaves_are_the_leaves_of_single_entries() -> None:
    """One writer for all, or one for each: every leaf is that of its own encoded entry."""
    commitments = [bytes([at]) * 32 for at in range(5)]
    writers = [bytes([at, 9]) * 8 for at in range(5)]
    for given, each in ((WRITER, [WRITER] * 5), (writers, writers)):
        entries = [Entry(41 + at, 99, each[at], commitments[at]) for at in range(5)]
        assert entry_leaf_hashes(41, 99, given, commitments) == [
            leaf_hash(encode_entry(item)) for item in entries
        ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode_entry(ENTRY)[:-1],
        encode_entry(ENTRY) + b"\0",
        b"\0" + encode_entry(ENTRY)[1:],
        b"\2" + encode_entry(ENTRY)[1:],
        b"\1" + bytes(8) + encode_entry(ENTRY)[9:],
    ],
)
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    """Wrong length, unknown version and sequence 0 are refused, not guessed at."""
    with pytest.raises(ValueError, match=r"entry|65"):
        decode_entry(data)


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY._replace(sequence=0),
        ENTRY._replace(sequence=1 << 64),
        ENTRY._replace(time=-1),
        ENTRY._replace(time=1 << 64),
        ENTRY._replace(writer=WRITER[:15]),
        ENTRY._replace(commitment=bytes(33)),
    ],
)
def test_a_field_out_of_range_is_never_encoded(entry: Entry) -> None:
    """A number past u64 or a field of another length is refused: nothing is cut or padded in silence."""
    with pytest.raises(ValueError, match=r"Sequences|A time|A writer|A commitment"):
        encode_entry(entry)
    with pytest.raises(ValueError, match=r"Sequences|A time|A writer|A commitment"):
        entry_leaf_hashes(entry.sequence, entry.time, entry.writer, [entry.commitment])


def test_bulk_refuses_counts_and_lengths_that_differ() -> None:
    """Salts, writers and commitments must match the number of events exactly."""
    with pytest.raises(ValueError, match="bytes of salt"):
        commit_payloads(bytes(17), [b"x"])
    with pytest.raises(ValueError, match="A salt"):
        commitment(bytes(15), b"x")
    with pytest.raises(ValueError, match="A commitment"):
        entry_leaf_hashes(1, 1, WRITER, [bytes(32), bytes(31)])
    with pytest.raises(ValueError, match="zip"):
        entry_leaf_hashes(1, 1, [WRITER], [bytes(32), bytes(32)])
    with pytest.raises(ValueError, match="A writer"):
        entry_leaf_hashes(1, 1, [WRITER, b""], [bytes(32), bytes(32)])
