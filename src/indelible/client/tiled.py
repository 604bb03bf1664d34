"""A log as C2SP tlog-tiles serve it: checkpoint, tiles and entry bundles under one URL, all of it bounded."""

from collections.abc import Sequence

import msgspec

from indelible.client.errors import UnexpectedAnswer
from indelible.client.transport import Transport
from indelible.merkle.entry import ENTRY_BYTES
from indelible.merkle.hashing import HASH_BYTES
from indelible.merkle.subtrees import HashSource
from indelible.merkle.tiles import (
    TILE_WIDTH,
    decode_bundle,
    entries_path,
    tile_hash_source,
    tile_path,
    tile_width,
)
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.keys import Verifier

_TILE_BYTES = TILE_WIDTH * HASH_BYTES
_BUNDLE_BYTES = TILE_WIDTH * (2 + ENTRY_BYTES)


class TiledLog:
    """Reads one log under `path` of a server. Nothing that it gives is verified, only its shape.

    Every method raises `Problem` for a refusal, `Unreachable` where no answer came in time, and
    `UnexpectedAnswer` for one that is too long, leads elsewhere, or is not of the shape asked for.
    """

    def __init__(self, transport: Transport, path: str = "") -> None:
        self.transport = transport
        self.path = path
        self.url = transport.url + path

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note."""
        return self._fetch("checkpoint", DEFAULT_LIMITS.note_bytes)

    def keys(self) -> list[Verifier]:
        """The keys that the server says sign this log's heads; those of a kind unknown here are left out."""
        body = self._fetch("keys", DEFAULT_LIMITS.checked_answer_bytes)
        try:
            listed = msgspec.json.decode(body, type=_Keys).keys
        except (msgspec.DecodeError, RecursionError) as error:
            raise UnexpectedAnswer(f"{self.url}/keys answered unlike Indelible: {error}") from None
        found = []
        for key in listed:
            try:
                found.append(Verifier.parse(key.verifier_key))
            except ValueError:
                continue
        return found

    def tile(self, level: int, number: int, size: int) -> bytes:
        """The hashes of a tile of the tree of `size`, joined."""
        width = tile_width(level, number, size)
        path = tile_path(level, number, width)
        data = self._fetch(path, _TILE_BYTES)
        if len(data) != width * HASH_BYTES:
            raise UnexpectedAnswer(f"{self.url}/{path} has {len(data)} bytes: it is no such tile")
        return data

    def source(self, size: int) -> HashSource:
        """Hashes of the perfect subtrees of the tree of `size`, out of its tiles, each read once."""
        tiles: dict[tuple[int, int], bytes] = {}

        def read(level: int, start: int, count: int) -> Sequence[bytes]:
            number, first = divmod(start, TILE_WIDTH)
            if (level, number) not in tiles:
                tiles[level, number] = self.tile(level, number, size)
            data = tiles[level, number]
            return [data[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(first, first + count)]

        return tile_hash_source(read)

    def bundle(self, number: int, size: int) -> tuple[bytes, ...]:
        """The entries [256 · number, …) of the tree of `size`, at most 256 of 65 bytes."""
        width = tile_width(0, number, size)
        path = entries_path(number, width)
        data = self._fetch(path, _BUNDLE_BYTES)
        try:
            entries = decode_bundle(data)
        except ValueError as error:
            raise UnexpectedAnswer(f"{self.url}/{path} is no entry bundle: {error}") from None
        if len(entries) != width:
            raise UnexpectedAnswer(f"{self.url}/{path} has {len(entries)} entries: it is no such bundle")
        return entries

    def _fetch(self, path: str, most_bytes: int) -> bytes:
        return self.transport.fetch(f"{self.path}/{path}", most_bytes=most_bytes)


class _Key(msgspec.Struct):
    verifier_key: str


class _Keys(msgspec.Struct):
    keys: list[_Key]
