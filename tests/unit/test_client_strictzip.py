"""The strict zip reader on zips that are larger than its 32 bits, made small by hand."""

import io
import struct
import zlib

import pytest

from indelible.client.strictzip import Member, ZipError, read_members, read_pieces

NAME, CONTENT = b"a.txt", b"hello"
MAX = 0xFFFFFFFF


def zip64(
    *,
    locator_at: int | None = None,
    count: int = 1,
    short: tuple[int, int, int] = (0xFFFF, MAX, MAX),
    rest: int = 44,
    disks: int = 1,
    extra: bytes = struct.pack("<HHQQQ", 1, 24, 5, 5, 0),
) -> bytes:
    """A zip of one stored file whose numbers stand in the fields of zip64 (APPNOTE.TXT 4.3.14, 4.5.3)."""
    local_extra = struct.pack("<HHQQ", 1, 16, 5, 5)
    crc = zlib.crc32(CONTENT)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 45, 0, 0, 0, 0x21, crc, MAX, MAX, 5, len(local_extra))
    body = local + NAME + local_extra + CONTENT
    numbers = (45, 45, 0, 0, 0, 0x21, crc, MAX, MAX, 5, len(extra), 0, 0, 0, 0, MAX)
    directory = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", *numbers) + NAME + extra
    at = len(body) + len(directory)
    wide = (rest, 45, 45, 0, 0, count, count, len(directory), len(body))
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", *wide)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at if locator_at is None else locator_at, disks)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, short[0], short[0], short[1], short[2], 0)
    return body + directory + record + locator + end


def read(data: bytes) -> dict[str, bytes]:
    """All files inside."""
    members = read_members(io.BytesIO(data), 4)
    return {one.name: b"".join(read_pieces(io.BytesIO(data), one)) for one in members}


def test_a_zip_of_more_than_32_bits_is_read() -> None:
    """Numbers in the zip64 fields, and the 32-bit ones at their most or the same."""
    assert read(zip64()) == {"a.txt": CONTENT}
    whole = zip64()
    (size, begin) = struct.unpack("<QQ", whole[-22 - 20 - 16 : -22 - 20])
    assert read(zip64(short=(1, size, begin))) == {"a.txt": CONTENT}


@pytest.mark.parametrize(
    "data",
    [
        zip64(locator_at=0),
        zip64(count=2),
        zip64(count=1 << 40),
        zip64(short=(2, MAX, MAX)),
        zip64(short=(0xFFFF, 7, MAX)),
        zip64(short=(0xFFFF, MAX, 7)),
        zip64(rest=45),
        zip64(disks=2),
        zip64(extra=struct.pack("<HHQQ", 1, 16, 5, 5)),
        zip64(extra=struct.pack("<HHQQQ", 1, 24, 5, 5, 1)),
        zip64(extra=struct.pack("<HHQQQ", 1, 24, 6, 5, 0)),
        zip64(extra=struct.pack("<HHQQQ", 7, 24, 5, 5, 0)),
        zip64(extra=struct.pack("<HHQQQHH", 1, 24, 5, 5, 0, 9, 0)),
        zip64(extra=struct.pack("<HHQQQ", 1, 24, 5, 1 << 63, 0)),
        zip64()[:-22],
        b"",
        b"PK\x05\x06" + bytes(17),
    ],
)
def test_two_readings_of_a_large_zip_are_refused(data: bytes) -> None:
    """The two end records, locator and record, short and long numbers: where they differ it is no zip."""
    with pytest.raises(ZipError):
        read(data)


def test_a_zip_of_nothing_has_no_files() -> None:
    """The end record alone is a zip; whether it is enough is not this reader's to judge."""
    assert read(b"PK\x05\x06" + bytes(18)) == {}


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_deflated_data_that_is_cut_or_damaged_is_found(cut: int) -> None:
    """At the end of what is declared stored, whatever follows in the file."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = packer.compress(bytes(range(256)) * 8) + packer.flush()
    file = io.BytesIO(data + data)
    whole = Member("x", 8, zlib.crc32(bytes(range(256)) * 8), 2_048, len(data), 0)
    assert len(b"".join(read_pieces(file, whole))) == 2_048
    for wrong in (whole._replace(stored=len(data) - cut), whole._replace(stored=len(data) + cut)):
        with pytest.raises(ZipError):
            list(read_pieces(file, wrong))
    with pytest.raises(ZipError, match="CRC"):
        list(read_pieces(file, whole._replace(crc=1)))
