"""Zips that are written in other ways than the usual one: streamed, or at odds with themselves."""

import io
import zipfile
from collections.abc import Callable, Mapping

Files = Mapping[str, bytes]


class _Pipe(io.RawIOBase):
    """A target that cannot be rewound, as a socket is."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        """It takes bytes, and that is all."""
        return True

    def write(self, data: object) -> int:
        """Take bytes."""
        piece = bytes(data)  # type: ignore[call-overload]  # whatever a zip file writes: buffers
        self.written += piece
        return len(piece)


def streamed(files: Files) -> bytes:
    """A zip as it is written to a socket: sizes follow the data."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(body)
    return bytes(pipe.written)


def _packed(files: Files, method: int = zipfile.ZIP_DEFLATED, in_front: bytes = b"") -> bytes:
    target = io.BytesIO()
    target.write(in_front)
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return target.getvalue()


def _twice(files: Files) -> bytes:
    """A file of another name is renamed, in its header and in the directory, to one that is there."""
    return _packed({**files, "prooX.json": b"{}"}).replace(b"prooX.json", b"proof.json")


def _with_member(files: Files, name: str, body: bytes) -> bytes:
    return _packed({name: body, **files})


def _comment(files: Files) -> bytes:
    data = bytearray(_packed(files))
    data[-2:] = (4).to_bytes(2, "little")
    return bytes(data) + b"note"


def _local_name(files: Files) -> bytes:
    """The first member's own header names another file than the directory does."""
    data = bytearray(_packed(files))
    at = 30
    data[at : at + 10] = b"verify.TXT"
    return bytes(data)


def _wrong_crc(files: Files) -> bytes:
    """The first member's own header has another CRC than the directory."""
    data = bytearray(_packed(files))
    data[14] ^= 1
    return bytes(data)


def _both_crcs(files: Files) -> bytes:
    """Header and directory agree on a CRC that the bytes do not have."""
    data = bytearray(_packed(files))
    data[14] ^= 1
    data[data.index(b"PK\x01\x02") + 16] ^= 1
    return bytes(data)


def _size(files: Files) -> bytes:
    """The directory says that the first member is shorter than it is, and so does its own header."""
    data = bytearray(_packed(files))
    at = data.index(b"PK\x01\x02")
    data[22] -= 1
    data[at + 24] -= 1
    return bytes(data)


def _gap(files: Files) -> bytes:
    """Bytes stand between the last member and the directory."""
    data = _packed(files)
    at = data.index(b"PK\x01\x02")
    end = bytearray(data[-22:])
    end[16:20] = (int.from_bytes(end[16:20], "little") + 4).to_bytes(4, "little")
    return data[:at] + b"junk" + data[at:-22] + bytes(end)


def _prefix(files: Files) -> bytes:
    """Bytes stand in front of the first member, and every offset knows it."""
    return _packed(files, in_front=b"#!/bin/sh\n")


def _reordered(files: Files) -> bytes:
    names = [*files][1:] + [*files][:1]
    return _packed({name: files[name] for name in names})


def _bomb(files: Files) -> bytes:
    return _packed({**files, "VERIFY.txt": bytes(80 << 20)})


def _less(files: Files, name: str) -> bytes:
    return _packed({key: body for key, body in files.items() if key != name})


BROKEN: Mapping[str, Callable[[Files], bytes]] = {
    "empty": lambda _files: b"",
    "no zip": lambda _files: b"PK\x05\x06" * 20,
    "cut by one byte": lambda files: _packed(files)[:-1],
    "cut in the middle": lambda files: _packed(files)[: len(_packed(files)) // 2],
    "a byte more": lambda files: _packed(files) + b"\0",
    "a comment": _comment,
    "something in front": _prefix,
    "something between": _gap,
    "a member twice": _twice,
    "a member more": lambda files: _with_member(files, "run.sh", b""),
    "a path": lambda files: _with_member(files, "../checkpoint", b""),
    "a member less": lambda files: _less(files, "audit-proof.json"),
    "no cover sheet": lambda files: _less(files, "manifest.json"),
    "out of order": _reordered,
    "another name in its own header": _local_name,
    "another CRC in its own header": _wrong_crc,
    "a wrong CRC": _both_crcs,
    "longer than it says": _size,
    "a bomb": _bomb,
    "packed otherwise": lambda files: _packed(files, zipfile.ZIP_BZIP2),
}
"""Ways to break a zip of these files, by what is wrong with it."""

READ_IN_PART = frozenset({"a wrong CRC", "longer than it says"})
"""Those of which a member has to be read before it is found."""
