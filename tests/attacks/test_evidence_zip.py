"""Evidence in the hands of whoever wants it to say something else: the container. Each is found offline."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.harness.evidence import Members, examined, members_of, wrong, zipped, zipped_pairs

from indelible.client.strictzip import read_members, read_pieces
from indelible.model.limits import DEFAULT_LIMITS, Limits

WHOLE = members_of()
ZIP = zipped(WHOLE)
NAMES = list(WHOLE)
LIMITS = Limits(evidence_part_bytes=100_000, evidence_events_bytes=100_000_000, evidence_line_bytes=100_000)


def contents(data: bytes) -> dict[str, bytes] | None:
    """What the strict reader finds in a zip, None where it refuses it."""
    try:
        members = read_members(io.BytesIO(data), 20)
        return {one.name: b"".join(read_pieces(io.BytesIO(data), one)) for one in members}
    except ValueError:
        return None


def test_what_is_whole_is_proved() -> None:
    """Deflated, stored, or written by another program with descriptors and zip64: one reading."""
    assert examined(ZIP).verdict == "proved"
    assert examined(zipped(WHOLE, zipfile.ZIP_STORED)).verdict == "proved"
    assert examined(piped(large=False)).verdict == "proved"
    assert examined(piped(large=True)).verdict == "proved"


class Pipe:
    """A file that cannot be sought in."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out = out

    def write(self, data: bytes) -> int:
        """Write on."""
        return self._out.write(data)

    def flush(self) -> None:
        """Nothing is held back."""


@given(st.integers(2, len(ZIP) - 1))
def test_a_cut_is_found(end: int) -> None:
    """Attack: the file is cut, anywhere. Found by whoever reads it: the end record is not at its end."""
    assert examined(ZIP[:end]).verdict == "refuted"


@pytest.mark.parametrize(
    "data",
    [
        ZIP + b"\n",
        b"#!/bin/sh\n" + ZIP,
        ZIP[: len(ZIP) - 2] + b"\x03\x00" + b"hey",
        ZIP + ZIP,
        ZIP[: ZIP.index(b"PK\x01\x02")] + b"hidden" + ZIP[ZIP.index(b"PK\x01\x02") :],
    ],
)
def test_bytes_around_the_files_are_found(data: bytes) -> None:
    """Attack: bytes that one reader shows and another skips. Found by whoever reads it."""
    assert "evidence zip" in wrong(b"PK" + data[2:] if data[:2] != b"PK" else data)


@given(st.integers(0, len(ZIP) * 8 - 1))
@example(len(ZIP) * 8 - 1)
def test_a_flipped_bit_is_found_or_changes_nothing(bit: int) -> None:
    """Attack: any bit is flipped. Found by the zip's reader or by a digest, unless the files stay the same.

    Versions and attributes of the files are looked at by nobody, and mean nothing here.
    """
    data = bytearray(ZIP)
    data[bit // 8] ^= 1 << bit % 8
    if bit < 16:
        return  # it is no zip at all then
    if examined(bytes(data)).verdict == "proved":
        assert contents(bytes(data)) == WHOLE


def renamed(old: str, new: str) -> list[tuple[str, bytes]]:
    """The files, one of them under another name."""
    return [(new if name == old else name, content) for name, content in WHOLE.items()]


def swapped(one: int, other: int) -> list[tuple[str, bytes]]:
    """The files, two of them in each other's place."""
    pairs = list(WHOLE.items())
    pairs[one], pairs[other] = pairs[other], pairs[one]
    return pairs


@pytest.mark.parametrize(
    "pairs",
    [
        [*WHOLE.items(), ("events.ndjson", WHOLE["events.ndjson"])],
        [*WHOLE.items(), ("extra.txt", b"x")],
        [("VERIFY.txt", b"another"), *WHOLE.items()],
        [pair for pair in WHOLE.items() if pair[0] != "proof.json"],
        [pair for pair in WHOLE.items() if pair[0] != "VERIFY.txt"],
        renamed("events.ndjson", "Events.ndjson"),
        renamed("events.ndjson", "../events.ndjson"),
        renamed("events.ndjson", "a/events.ndjson"),
        renamed("checkpoint", "checkpoint\0"),
        swapped(1, 2),
        swapped(7, 8),
        [],
        [(f"{n}", b"") for n in range(100)],
    ],
)
def test_other_names_or_another_order_are_found(pairs: list[tuple[str, bytes]]) -> None:
    """Attack: a file twice, added, left out, renamed, moved. Found by whoever reads it, by its name."""
    assert "evidence zip" in wrong(zipped_pairs(pairs))


def at_local(name: str) -> int:
    """Where the local header of a file begins."""
    return ZIP.index(name.encode()) - 30


def at_entry(name: str) -> int:
    """Where the directory entry of a file begins."""
    return ZIP.index(name.encode(), ZIP.index(b"PK\x01\x02")) - 46


def with_bytes(at: int, new: bytes) -> bytes:
    """The zip with some bytes replaced."""
    return ZIP[:at] + new + ZIP[at + len(new) :]


@pytest.mark.parametrize("header", [at_local, at_entry])
@pytest.mark.parametrize(
    ("local", "entry", "new"),
    [
        (6, 8, struct.pack("<H", 1)),  # encrypted
        (6, 8, struct.pack("<H", 8)),  # a descriptor that is not there
        (8, 10, struct.pack("<H", 12)),  # another method
        (8, 10, struct.pack("<H", 0)),
        (10, 12, struct.pack("<H", 7)),
        (14, 16, struct.pack("<I", 7)),
        (18, 20, struct.pack("<I", 7)),
        (22, 24, struct.pack("<I", 7)),
        (22, 24, struct.pack("<I", 0xFFFFFFFF)),
        (26, 28, struct.pack("<H", 3)),
        (28, 30, struct.pack("<H", 4)),
        (30, 46, b"E"),
    ],
)
def test_a_header_that_differs_from_the_directory_is_found(
    header: Callable[[str], int], local: int, entry: int, new: bytes
) -> None:
    """Attack: local header and directory say different things, so that two readers see two files.

    Found by whoever reads it: each field is compared.
    """
    at = header("events.ndjson") + (local if header is at_local else entry)
    assert "evidence zip" in wrong(with_bytes(at, new))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("disk", [1, 0x8000])
def test_a_file_that_is_said_to_be_on_another_disk_is_found(name: str, disk: int) -> None:
    """Attack: a zip in several parts, of which this is one. Found by whoever reads it."""
    assert "directory is malformed" in wrong(with_bytes(at_entry(name) + 34, struct.pack("<H", disk)))


def test_bytes_before_the_directory_are_found() -> None:
    """Attack: bytes hidden behind the last file, the end record set right. Found by the reader."""
    at = ZIP.index(b"PK\x01\x02")
    moved = struct.pack("<I", at + len(b"hidden"))
    hidden = ZIP[:at] + b"hidden" + ZIP[at:-6] + moved + ZIP[-2:]
    assert "between the last file and the directory" in wrong(hidden)


def piped(*, large: bool) -> bytes:
    """The zip as it is written to a pipe, with its sizes behind the data."""
    out = io.BytesIO()
    with zipfile.ZipFile(Pipe(out), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # a pipe is enough
        for name, content in WHOLE.items():
            with archive.open(name, "w", force_zip64=large) as file:
                file.write(content)
    return out.getvalue()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("place", [14, 18, 22])
def test_a_size_before_and_behind_the_data_is_found(place: int, large: bool) -> None:
    """Attack: a local header with sizes of its own, while the descriptor has others. Found by the reader."""
    data = bytearray(piped(large=large))
    data[data.index(b"events.ndjson") - 30 + place] ^= 1
    assert "evidence zip" in wrong(bytes(data))


@pytest.mark.parametrize("large", [False, True])
def test_a_descriptor_that_differs_from_the_directory_is_found(large: bool) -> None:
    """Attack: the descriptor behind the data says another size or CRC. Found by the reader."""
    whole = piped(large=large)
    for shift in range(4, 24 if large else 16):
        data = bytearray(whole)
        data[whole.index(b"PK\x07\x08") + shift] ^= 1
        assert "descriptor" in wrong(bytes(data))


def test_two_entries_for_one_place_are_found() -> None:
    """Attack: a directory entry that points at another file's bytes. Found: files follow each other."""
    place = struct.pack("<I", at_local("proof.json"))
    assert "between the files" in wrong(with_bytes(at_entry("events.ndjson") + 42, place))


def packed_events(content: bytes, declared: int | None = None) -> bytes:
    """The zip with other events, of another declared size where one is given."""
    data = bytearray(zipped({**WHOLE, "events.ndjson": content}))
    if declared is not None:
        for at in (data.index(b"events.ndjson") - 8, data.rindex(b"events.ndjson") - 22):
            data[at : at + 4] = struct.pack("<I", declared)
    return bytes(data)


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    """Attack: a file that inflates to a thousand times its size. Found by its ratio or size."""
    bomb = packed_events(b"0" * 30_000_000)
    assert len(bomb) < 100_000
    assert "times as large" in wrong(bomb)
    assert "the limit is" in wrong(zipped({**WHOLE, "keys.json": b" " * 100_001}), limits=LIMITS)
    assert "the limit is" in wrong(packed_events(b"", 0xFFFFFFF0), limits=LIMITS)


@pytest.mark.parametrize("declared", [0, 1_000, 99_999, 100_001])
def test_inflation_stops_at_the_declared_size(declared: int) -> None:
    """Attack: a bomb that declares a small size. Found: not a byte more is taken than is declared."""
    member = read_members(io.BytesIO(packed_events(b"0" * 100_000, declared)), 20)[1]
    taken: list[bytes] = []
    pieces = read_pieces(io.BytesIO(packed_events(b"0" * 100_000, declared)), member)
    with pytest.raises(ValueError, match="another size"):
        taken.extend(pieces)
    assert sum(map(len, taken)) <= declared


def test_bytes_behind_a_deflated_stream_are_found() -> None:
    """Attack: bytes hidden between the end of the deflated data and the next file. Found by the reader."""
    name, content = b"events.ndjson", WHOLE["events.ndjson"]
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = packer.compress(content) + packer.flush()
    assert data in ZIP
    longer = ZIP.replace(data, data + b"hidden")
    shift = len(b"hidden")
    fixed = bytearray(longer)
    for at in (fixed.index(name) - 12, fixed.rindex(name) - 26):
        fixed[at : at + 4] = struct.pack("<I", len(data) + shift)
    for other in NAMES[2:]:
        at = fixed.rindex(b"\0\0" + other.encode(), fixed.index(b"PK\x01\x02")) - 2
        (offset,) = struct.unpack_from("<I", fixed, at)
        fixed[at : at + 4] = struct.pack("<I", offset + shift)
    (begin,) = struct.unpack_from("<I", fixed, len(fixed) - 6)
    fixed[-6:-2] = struct.pack("<I", begin + shift)
    assert "behind the end of events.ndjson" in wrong(bytes(fixed))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    """Attack: rubbish that begins as a zip does. A refusal, never an error of another kind."""
    assert examined(b"PK\x03\x04" + data).verdict == "refuted"


@given(st.sampled_from(NAMES), st.binary(max_size=200))
def test_any_file_may_be_rubbish(name: str, content: bytes) -> None:
    """Attack: any of the files inside replaced by any bytes. Refuted, in words."""
    spoilt: Members = {**WHOLE, name: content}
    assert examined(spoilt, limits=DEFAULT_LIMITS).verdict == "refuted"
