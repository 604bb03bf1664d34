"""Tiles and entry bundles (C2SP tlog-tiles): their paths, their widths, and reading proofs out of them.

Tile `number` at tile level l holds up to 256 hashes, 32 bytes each, joined; its hash i is that of the leaves
[(number·256+i)·256^l, (number·256+i+1)·256^l). An entry bundle holds up to 256 times u16 length and entry.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from indelible.merkle.frontier import TILE_HEIGHT
from indelible.merkle.hashing import HASH_BYTES, pair_up
from indelible.merkle.subtrees import HashSource
from indelible.model.limits import TREE_SIZE_MAX

TILE_WIDTH = 256
TILE_LEVELS = 64

ReadTile = Callable[[int, int, int], Sequence[bytes]]
"""read(tile_level, start, count): that many stored hashes of a tile level, from position `start` on."""

_PATH = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?\Z", re.ASCII
)
_LENGTH_BYTES = 2
_GROUP = 1_000  # tile numbers are written in groups of three decimal digits


class TilePath(NamedTuple):
    """What a path names: a tile at `level`, or an entry bundle where `level` is None."""

    level: int | None
    number: int
    width: int


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return `tile/<L>/<N>` or, for a width under 256, `tile/<L>/<N>.p/<W>`.

    Raises:
        ValueError: when a number is out of range.
    """
    if not 0 <= level < TILE_LEVELS:
        raise ValueError(f"Tile levels run from 0 to {TILE_LEVELS - 1}, not {level}.")
    return f"tile/{level}/{_numbered(index, width)}"


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return `tile/entries/<N>` or, for a width under 256, `tile/entries/<N>.p/<W>`.

    Raises:
        ValueError: when a number is out of range.
    """
    return f"tile/entries/{_numbered(index, width)}"


def parse_tile_path(path: str) -> TilePath:
    """Return what `path` names; each tile and bundle has exactly one path.

    Raises:
        ValueError: when it is no path of a tile or bundle, or not its canonical one.
    """
    found = _PATH.match(path)
    if not found:
        raise ValueError("That is not the path of a tile.")
    kind, groups, written_width = found.groups()
    number = int(groups.replace("x", "").replace("/", ""))
    width = TILE_WIDTH if written_width is None else int(written_width)
    if kind == "entries":
        parsed, canonical = TilePath(None, number, width), entries_path(number, width)
    else:
        parsed, canonical = TilePath(int(kind), number, width), tile_path(int(kind), number, width)
    if canonical != path:  # leading zeroes, or a full tile written as a partial one
        raise ValueError(f"That tile's path is {canonical}.")
    return parsed


def partial_width(level: int, size: int) -> int:
    """Return how many hashes the partial tile at `level` has in a tree of `size`; 0 means there is none."""
    return (size >> (TILE_HEIGHT * level)) % TILE_WIDTH


def tile_width(level: int, number: int, size: int) -> int:
    """Return how many hashes tile `number` at `level` has in a tree of `size` leaves, 0 to 256."""
    return min(TILE_WIDTH, max(0, (size >> (TILE_HEIGHT * level)) - number * TILE_WIDTH))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle: u16 length and bytes of each entry.

    Raises:
        ValueError: unless there are 1 to 256 entries of at most 65,535 bytes.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise ValueError(f"A bundle holds 1 to {TILE_WIDTH} entries, not {len(entries)}.")
    if max(map(len, entries)) >> (8 * _LENGTH_BYTES):
        raise ValueError("An entry in a bundle has at most 65,535 bytes.")
    return b"".join([len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries])


def decode_bundle(data: bytes) -> tuple[bytes, ...]:
    """Return the entries of a bundle.

    Raises:
        ValueError: when it is cut short or does not hold 1 to 256 entries.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "big")
        if begin > len(data) or at > len(data) or len(entries) == TILE_WIDTH:
            raise ValueError(f"The bundle is cut short or holds more than {TILE_WIDTH} entries.")
        entries.append(data[begin:at])
    if not entries:
        raise ValueError("A bundle is never empty.")
    return tuple(entries)


def tile_hash_source(read: ReadTile) -> HashSource:
    """Return a source of subtree hashes at any level, out of hashes stored at tile levels only.

    Each call of the source reads any one tile at most once: the run from the first to the last hash that
    the call needs there.

    Raises (when the source is called):
        ValueError: when `read` answers with another number of hashes than asked, or one not of 32 bytes.
    """

    def source(nodes: Sequence[tuple[int, int]]) -> list[bytes]:
        runs = [_stored_run(level, position) for level, position in nodes]
        tiles = {
            key: (start, _read_run(read, key[0], start, end)) for key, (start, end) in _by_tile(runs).items()
        }
        hashes = []
        for tile_level, start, end in runs:
            offset, stored = tiles[tile_level, start // TILE_WIDTH]
            hashes.append(_perfect_root(stored[start - offset : end - offset]))
        return hashes

    return source


def _stored_run(level: int, position: int) -> tuple[int, int, int]:
    """Return tile level, start and end of the stored hashes under a perfect subtree: always in one tile."""
    tile_level, height = divmod(level, TILE_HEIGHT)
    return tile_level, position << height, (position + 1) << height


def _by_tile(runs: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
    """Join the runs of each tile, the gaps between them included: one read costs less than two."""
    joined: dict[tuple[int, int], tuple[int, int]] = {}
    for tile_level, start, end in runs:
        key = tile_level, start // TILE_WIDTH
        low, high = joined.get(key, (start, end))
        joined[key] = min(low, start), max(high, end)
    return joined


def _read_run(read: ReadTile, tile_level: int, start: int, end: int) -> Sequence[bytes]:
    hashes = read(tile_level, start, end - start)
    if len(hashes) != end - start or any(len(found) != HASH_BYTES for found in hashes):
        raise ValueError(
            f"Tile level {tile_level} must have {end - start} hashes of {HASH_BYTES} bytes from {start} on."
        )
    return hashes


def _perfect_root(hashes: Sequence[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = pair_up(hashes)
    return hashes[0]


def _numbered(index: int, width: int) -> str:
    if not 0 <= index <= TREE_SIZE_MAX:
        raise ValueError(f"A tile's number is 0 or more, not {index}.")
    if not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"A tile's width is 1 to {TILE_WIDTH}, not {width}.")
    index, last = divmod(index, _GROUP)
    groups = [f"{last:03}"]
    while index:
        index, group = divmod(index, _GROUP)
        groups.append(f"x{group:03}")
    return "/".join(reversed(groups)) + ("" if width == TILE_WIDTH else f".p/{width}")
