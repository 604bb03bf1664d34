"""Requests to witnesses: what is written is read back, and nothing else is a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.notes.addcheckpoint import AddCheckpoint, format_add, parse_add
from indelible.notes.strict import NoteError

REQUESTS = st.builds(
    AddCheckpoint,
    st.integers(0, (1 << 63) - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    st.binary(max_size=200),
)


@given(REQUESTS)
def test_requests_come_back(request: AddCheckpoint) -> None:
    """`parse_add` undoes `format_add`; the checkpoint is taken as it stands."""
    assert parse_add(format_add(request)) == request


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing but a refusal comes of bytes that are no request, and a request has one spelling."""
    try:
        request = parse_add(data)
    except NoteError:
        return
    assert format_add(request) == data


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"old",
        b"old ",
        b"old 01",
        b"old -1",
        b"old 1 ",
        b" old 1",
        b"old 9223372036854775808",
        b"Old 1",
        b"old 1\r",
        b"old 1\nAA==",
        b"old 1\n" + b"A" * 43,
        b"old 1\n\xc2\xa0",
        b"\n".join([b"old 1", *[b"A" * 43 + b"="] * 64]),
    ],
)
def test_one_spelling_only(head: bytes) -> None:
    """Leading zeroes, other line ends, short hashes and a 64th hash are refused."""
    with pytest.raises(NoteError):
        parse_add(head + b"\n\nnote")
