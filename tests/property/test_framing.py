"""Batches, by property: whatever is framed comes out again, and whatever comes in comes out or is refused."""

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS
from indelible.service.framing import Framing, check_json, split

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A lone surrogate can be written as an escape and is no text: such events are refused.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
space = st.text(" \t", max_size=3).map(str.encode)


@st.composite
def sources(draw: st.DrawFn) -> bytes:
    """The source of a JSON value, in one of the ways it may be written; on one line."""
    value = draw(values)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")]))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), separators=separators)
    return text.encode()


@given(st.lists(sources(), min_size=1), st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \r\n"]), st.booleans())
def test_lines_come_out_as_they_went_in(events: list[bytes], end: bytes, last: bool) -> None:
    """However lines end and whether the last one does."""
    body = end.join(events) + (end if last else b"")
    assert split(body, Framing("ndjson"), DEFAULT_LIMITS) == events


@given(st.lists(st.tuples(space, sources(), space), min_size=1), space)
def test_elements_come_out_without_outer_space(
    parts: list[tuple[bytes, bytes, bytes]], around: bytes
) -> None:
    """White space around an element is not the event's; what stands inside it is."""
    body = around + b"[" + b",".join(before + event + after for before, event, after in parts) + b"]" + around
    assert split(body, Framing("array"), DEFAULT_LIMITS) == [event for _, event, _ in parts]


@given(st.lists(st.binary(min_size=1), min_size=1), st.binary(min_size=1, max_size=3), st.booleans())
def test_records_come_out_or_the_border_was_in_them(
    records: list[bytes], delimiter: bytes, last: bool
) -> None:
    """With a delimiter that no record (nor the seam of two) contains, records are exact bytes of any kind."""
    body = delimiter.join(records) + (delimiter if last else b"")
    clean = body.split(delimiter) == [*records, *([b""] if last else [])]
    with suppress(Problem):
        found = split(body, Framing("delimiter", delimiter), DEFAULT_LIMITS)
        assert all(found)
        assert delimiter.join(found) in {body, body[: -len(delimiter)]}
        if clean:
            assert found == records
        return
    assert not clean


@given(st.binary(max_size=60) | st.text('[]{}",: \\n\\t1e-.0tfa\u00e9', max_size=40).map(str.encode))
def test_no_body_is_cut_into_what_is_not_json(body: bytes) -> None:
    """Whatever arrives is refused with a problem, or every event of it is JSON that stands in the body."""
    for framing in (Framing("ndjson"), Framing("array")):
        with suppress(Problem):
            for event in split(body, framing, DEFAULT_LIMITS):
                assert event in body
                json.loads(event)


@given(sources() | st.binary(max_size=30) | st.text('[]{}",: \\n1e-.0u', max_size=20).map(str.encode))
def test_our_idea_of_json_is_the_standard_librarys(body: bytes) -> None:
    """But for what RFC 8259 leaves to the reader and we refuse: a mark at the front, half surrogates, NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    def is_text(value: object) -> bool:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return False
        return True

    try:
        text = body.decode()
        theirs = not text.startswith("\ufeff") and is_text(json.loads(text, parse_constant=refuse))
    except ValueError:
        theirs = False
    try:
        check_json(body)
        ours = True
    except ValueError:
        ours = False
    assert ours == theirs
