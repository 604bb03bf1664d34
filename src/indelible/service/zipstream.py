"""A zip written front to back: nothing is gone back to, and little is held in memory."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

from indelible.model.limits import DEFAULT_LIMITS, MIB

_LEVEL = 1  # salts do not compress, and the next levels cost twice the time for a few per cent
_PIECE_BYTES = 64 << 10


class Digest(NamedTuple):
    """What a file inside holds: SHA-256 in lower-case hex, and its size before deflation."""

    sha256: str
    bytes: int


class _Sink:
    """Where zipfile writes to, as to a pipe."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        pieces, self._pieces, self.size = self._pieces, [], 0
        return b"".join(pieces)


class ZipStream:
    """Gives the zip's bytes as its files are given to it; `files` has the digests of those that are in.

    Deflated, sizes behind the data (data descriptors), no dates, no comments, no extra fields but zip64's.
    """

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(
            cast("Any", self._sink), "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL
        )  # a pipe is enough for it, whatever its type says
        self.files: dict[str, Digest] = {}

    def add(self, name: str, content: bytes, *, stored: bool = False) -> None:
        """Add a file that is in memory; its bytes come with those of the next `stream` or `end`.

        `stored`: as it is, not deflated.
        """
        for _ in self._write(name, (content,), large=False, stored=stored):
            pass

    def stream(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Add a file of any size, and give what there is of the zip as it grows."""
        for _ in self._write(name, pieces, large=True):
            yield self._sink.take() if self._sink.size >= _PIECE_BYTES else b""

    def put(self, name: str, content: bytes) -> Iterator[bytes]:
        """Add a file that is in memory and may be large, and give what there is of the zip.

        It is stored as it is where it would inflate so much that readers refuse it as a trap.
        """
        self.add(name, content, stored=_inflates(content))
        yield self._sink.take()

    def end(self) -> bytes:
        """Give the rest of the zip, with its directory."""
        self._zip.close()
        return self._sink.take()

    def _write(
        self, name: str, pieces: Iterable[bytes], *, large: bool, stored: bool = False
    ) -> Iterator[None]:
        digest, size = hashlib.sha256(), 0
        with self._zip.open(zipfile.ZipInfo(name) if stored else name, "w", force_zip64=large) as file:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
                yield
        self.files[name] = Digest(digest.hexdigest(), size)


def _inflates(content: bytes) -> bool:
    """Whether it would be much larger than it is stored: more than half of what readers take at most."""
    most = DEFAULT_LIMITS.evidence_ratio // 2
    return len(content) > MIB and len(content) > most * len(zlib.compress(content, _LEVEL))
