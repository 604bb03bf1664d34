"""Reading a zip that somebody may have made to be read in two ways: one reading, or a refusal.

Stricter than the format (APPNOTE.TXT 6.3): files follow each other from the first byte to the directory, the
directory and the end record to the last byte; each local header says what its directory entry says; no
encryption, no comments, no extra fields but zip64's, no methods but stored and deflated. Inflation stops at
the size that is declared.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_EXTRA = struct.Struct("<HH")
_ZIP64, _END64_REST = 1, 44
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_DIRECTORY_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20


class ZipError(ValueError):
    """A zip that is cut, or that could be read in two ways; the message says where."""


class Member(NamedTuple):
    """A file inside: its place, what its directory entry says, and nothing that was not compared."""

    name: str
    method: int
    crc: int
    size: int  # inflated
    stored: int
    data_at: int


class _Entry(NamedTuple):
    name: bytes
    flags: int
    method: int
    stamp: tuple[int, int]
    crc: int
    size: int
    stored: int
    at: int


def read_members(file: BinaryIO, most: int) -> tuple[Member, ...]:
    """Return the files inside, in the order in which they stand.

    Args:
        file: seekable; its first byte is the zip's.
        most: how many files there may be.

    Raises:
        ZipError: the zip differs from the format, or has more files.
        OSError: it cannot be read.
    """
    begin, size, count = _find_directory(file)
    if size > _DIRECTORY_BYTES or count > most:
        raise ZipError(f"it has more than {most} files")
    entries = _parse_directory(_read(file, begin, size), count)
    at, members = 0, []
    for entry in entries:
        if entry.at != at:
            raise ZipError(f"there are bytes between the files, before {_shown(entry.name)}")
        member, at = _open_member(file, entry)
        members.append(member)
    if at != begin:
        raise ZipError("there are bytes between the last file and the directory")
    return tuple(members)


def read_pieces(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Give a file inside in pieces of at most 1 MiB, never more than its declared size.

    Raises:
        ZipError: at the end, or as soon as it is found: another size, or another CRC than declared.
    """
    crc = made = 0
    for piece in _inflate(file, member) if member.method == _DEFLATED else _copy(file, member):
        made += len(piece)
        if made > member.size:
            break
        crc = zlib.crc32(piece, crc)
        yield piece
    if made != member.size:
        raise ZipError(f"{member.name} has another size than the zip says")
    if crc != member.crc:
        raise ZipError(f"{member.name} has another CRC than the zip says")


def _copy(file: BinaryIO, member: Member) -> Iterator[bytes]:
    at, end = member.data_at, member.data_at + member.stored
    while at < end:
        piece = _read(file, at, min(_PIECE_BYTES, end - at))
        at += len(piece)
        yield piece


def _inflate(file: BinaryIO, member: Member) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    source = _copy(file, member)
    try:
        while not inflater.eof:
            data = inflater.unconsumed_tail or next(source, b"")
            piece = inflater.decompress(data, _PIECE_BYTES)
            if not (piece or data or inflater.eof):
                raise ZipError(f"{member.name} is cut")
            if piece:
                yield piece
    except zlib.error as error:
        raise ZipError(f"{member.name} cannot be inflated: {error}") from None
    if inflater.unused_data or inflater.unconsumed_tail or next(source, None) is not None:
        raise ZipError(f"there are bytes behind the end of {member.name}")


# ---------------------------------------------------------------------- the directory


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    if at < 0:
        raise ZipError("it is too short")
    file.seek(at)
    data = file.read(size)
    if len(data) != size:
        raise ZipError("it is cut")
    return data


def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """Where the directory begins, its size, and how many entries it has."""
    end_at = file.seek(0, 2) - _END.size
    mark, disk, first_disk, here, count, size, begin, comment = _END.unpack(_read(file, end_at, _END.size))
    if mark != b"PK\x05\x06" or comment or disk or first_disk or here != count:
        raise ZipError("it does not end with the end record of a zip in one part without a comment")
    border = end_at
    if end_at >= _LOCATOR64.size + _END64.size:
        found = _find_directory64(file, end_at - _LOCATOR64.size)
        if found is not None:
            wide_begin, wide_size, wide_count, border = found
            pairs = ((count, wide_count, _MAX16), (size, wide_size, _MAX32), (begin, wide_begin, _MAX32))
            if any(short not in {wide, most} for short, wide, most in pairs):
                raise ZipError("its two end records differ")
            begin, size, count = wide_begin, wide_size, wide_count
    if begin + size != border:
        raise ZipError("there are bytes between the directory and the end")
    return begin, size, count


def _find_directory64(file: BinaryIO, locator_at: int) -> tuple[int, int, int, int] | None:
    mark, disk, at, disks = _LOCATOR64.unpack(_read(file, locator_at, _LOCATOR64.size))
    if mark != b"PK\x06\x07":
        return None
    if disk or disks != 1 or at != locator_at - _END64.size:
        raise ZipError("its end record is not where its locator says")
    record = _END64.unpack(_read(file, at, _END64.size))
    mark, rest, _, _, disk, first_disk, here, count, size, begin = record
    if mark != b"PK\x06\x06" or rest != _END64_REST or disk or first_disk or here != count:
        raise ZipError("its end record is malformed")
    return begin, size, count, at


def _parse_directory(data: bytes, count: int) -> list[_Entry]:
    at, entries = 0, []
    for _ in range(count):
        fields = _ENTRY.unpack(_cut(data, at, _ENTRY.size))
        mark, _, _, flags, method, time, date, crc, stored, size, names, extras, comment, disk, *rest = fields
        at += _ENTRY.size
        name, extra = _cut(data, at, names), _cut(data, at + names, extras)
        at += names + extras
        if mark != b"PK\x01\x02" or comment or disk:
            raise ZipError("its directory is malformed, or has a comment")
        if method not in {_STORED, _DEFLATED} or flags & ~(_DESCRIPTOR | _UTF8):
            raise ZipError(f"{_shown(name)} is encrypted, or packed by another method than deflation")
        size, stored, offset = _widened(extra, (size, stored, rest[2]), name)
        entries.append(_Entry(name, flags, method, (time, date), crc, size, stored, offset))
    if at != len(data):
        raise ZipError("its directory has bytes behind its entries")
    return entries


def _widened(extra: bytes, values: tuple[int, ...], name: bytes) -> list[int]:
    """Numbers that stand in the zip64 field, for those that say so; no other field may be there."""
    wide = [value == _MAX32 for value in values]
    expected = _EXTRA.pack(_ZIP64, 8 * sum(wide)) if any(wide) else b""
    if not extra.startswith(expected) or len(extra) != len(expected) + 8 * sum(wide):
        raise ZipError(f"{_shown(name)} has an extra field")
    numbers = iter(struct.unpack_from(f"<{sum(wide)}Q", extra, len(expected)))
    return [next(numbers) if is_wide else value for value, is_wide in zip(values, wide, strict=True)]


def _cut(data: bytes, at: int, size: int) -> bytes:
    piece = data[at : at + size]
    if len(piece) != size:
        raise ZipError("its directory is cut")
    return piece


# ---------------------------------------------------------------------- one file


def _open_member(file: BinaryIO, entry: _Entry) -> tuple[Member, int]:
    """Compare a local header with its entry; return the file, and where the next one begins."""
    fields = _LOCAL.unpack(_read(file, entry.at, _LOCAL.size))
    mark, _, flags, method, time, date, crc, stored, size, names, extras = fields
    at = entry.at + _LOCAL.size
    name, extra = _read(file, at, names), _read(file, at + names, extras)
    data_at = at + names + extras
    same = (mark, flags, method, (time, date), name)
    if same != (b"PK\x03\x04", entry.flags, entry.method, entry.stamp, entry.name):
        raise ZipError(f"the header of {_shown(entry.name)} is not what the directory says")
    size, stored = _widened(extra, (size, stored), name)
    end = data_at + entry.stored
    if flags & _DESCRIPTOR:
        if crc or size or stored:
            raise ZipError(f"{_shown(name)} has its size in two places")
        end += _check_descriptor(file, end, entry, wide=bool(extra))
    elif (crc, size, stored) != (entry.crc, entry.size, entry.stored):
        raise ZipError(f"the header of {_shown(name)} is not what the directory says")
    if entry.method == _STORED and entry.size != entry.stored:
        raise ZipError(f"{_shown(name)} is stored, and has two sizes")
    shown = _shown(entry.name)
    return Member(shown, entry.method, entry.crc, entry.size, entry.stored, data_at), end


def _check_descriptor(file: BinaryIO, at: int, entry: _Entry, *, wide: bool) -> int:
    form = struct.Struct("<4sIQQ" if wide else "<4sIII")
    if form.unpack(_read(file, at, form.size)) != (b"PK\x07\x08", entry.crc, entry.stored, entry.size):
        raise ZipError(f"the descriptor of {_shown(entry.name)} is not what the directory says")
    return form.size


def _shown(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace")
