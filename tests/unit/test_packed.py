"""Byte strings laid end to end behave as the list of them does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.model.packed import Packed

STRINGS = st.lists(st.binary(max_size=4), max_size=8)
BOUND = st.integers(-10, 10) | st.none()


@given(STRINGS, BOUND, BOUND, BOUND, BOUND)
def test_it_is_cut_as_a_list_is(
    items: list[bytes], start: int | None, stop: int | None, from_: int | None, to: int | None
) -> None:
    """A run, and a run of that run, hold the strings of the list's; joined, sized and in order."""
    cut = Packed.of(items)[start:stop][from_:to]
    wanted = items[start:stop][from_:to]
    assert list(cut) == wanted
    assert [cut[place] for place in range(-len(wanted), len(wanted))] == wanted * 2
    assert (len(cut), cut.joined, list(cut.sizes)) == (len(wanted), b"".join(wanted), list(map(len, wanted)))


def test_what_is_no_run_is_refused() -> None:
    """Past the end there is nothing, and every second string is no run of bytes."""
    packed = Packed.of([b"a", b"b", b"c"])
    with pytest.raises(IndexError):
        packed[3]
    with pytest.raises(ValueError, match="run"):
        packed[::2]


def test_a_run_shares_the_bytes() -> None:
    """All of it joined is the very bytes that it was made of: a large chunk is not copied."""
    data = b"x" * 1_000
    whole = Packed.of([data])
    assert whole.joined is whole[0:1].joined is data
