"""Paths, widths and bundles of C2SP tlog-tiles, with the examples that the specification prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.merkle.tiles import (
    TilePath,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_tile_path,
    partial_width,
    tile_path,
    tile_width,
)


def test_the_specification_s_examples() -> None:
    """Index 1234067 is x001/x234/067; 70,000 leaves have partial tiles of width 112, 17 and 1."""
    assert tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tile_path(3, 0, 17) == "tile/3/000.p/17"
    assert entries_path(999, 1) == "tile/entries/999.p/1"
    assert entries_path(1_000) == "tile/entries/x001/000"
    assert [partial_width(level, 70_000) for level in range(4)] == [112, 17, 1, 0]
    assert [partial_width(level, 256) for level in range(3)] == [0, 1, 0]


@given(
    level=st.none() | st.integers(0, 63),
    number=st.integers(0, (1 << 63) - 1) | st.sampled_from([0, 999, 1_000, 999_999, 1_000_000]),
    width=st.integers(1, 256),
)
def test_a_path_names_its_tile(level: int | None, number: int, width: int) -> None:
    """Every tile and bundle has one path, which parses to it."""
    path = entries_path(number, width) if level is None else tile_path(level, number, width)
    assert parse_tile_path(path) == TilePath(level, number, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/000/000",
        "tile/0/x001/x234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/entry/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 40 + "000",
    ],
)
def test_what_is_no_path_of_a_tile_is_refused(path: str) -> None:
    """Other spellings, empty and over-full widths, levels past 63 and endless numbers have no tile."""
    with pytest.raises(ValueError, match=r"[Tt]ile"):
        parse_tile_path(path)


def test_numbers_out_of_range_have_no_path() -> None:
    """Levels are 0 to 63, widths 1 to 256, numbers not negative."""
    for level, number, width in ((-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(ValueError, match="ile"):
            tile_path(level, number, width)


@pytest.mark.parametrize(
    ("level", "number", "size", "width"),
    [
        (0, 0, 0, 0),
        (0, 0, 1, 1),
        (0, 0, 255, 255),
        (0, 0, 257, 256),
        (0, 1, 257, 1),
        (0, 2, 257, 0),
        (1, 0, 255, 0),
        (1, 0, 256, 1),
        (1, 0, 65_535, 255),
        (1, 0, 65_536, 256),
        (2, 0, 65_537, 1),
    ],
)
def test_a_tile_is_as_wide_as_its_tree_allows(level: int, number: int, size: int, width: int) -> None:
    """The width of any tile in a tree of a size, full, partial or absent."""
    assert tile_width(level, number, size) == width


@given(st.lists(st.binary(max_size=90), min_size=1, max_size=256))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    """Entries of any lengths come back from a bundle as they went in."""
    assert decode_bundle(encode_bundle(entries)) == tuple(entries)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\2x", b"\0\1x\0", b"\0\1x\0\1", b"\0\1x" * 257])
def test_a_broken_bundle_is_refused(data: bytes) -> None:
    """Nothing, half a length, a cut entry and 257 entries are no bundles."""
    with pytest.raises(ValueError, match="bundle"):
        decode_bundle(data)


@pytest.mark.parametrize("entries", [[], [b""] * 257, [bytes(65_536)]])
def test_a_bundle_that_could_not_be_read_is_not_written(entries: list[bytes]) -> None:
    """None, more than 256, or an entry whose length does not fit 16 bits."""
    with pytest.raises(ValueError, match="bundle"):
        encode_bundle(entries)
