"""The words of evidence: the statement that is signed, and the one spelling of a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.notes.evidence import (
    Line,
    Statement,
    content_of,
    decode_lines,
    encode_lines,
    format_statement,
    parse_statement,
    payload_of,
)
from indelible.notes.strict import NoteError

GOOD = Statement("audit.example.com/logs/x", 21, b"\x07" * 32, 4, 9, "ab" * 32)
TEXT = (
    "indelible/evidence/v1\naudit.example.com/logs/x\n21\n"
    "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n4 9\n" + "ab" * 32 + "\n"
)


def test_the_statement_is_the_one_of_the_formats() -> None:
    """Written out by hand, and read back."""
    assert format_statement(GOOD) == TEXT
    assert parse_statement(TEXT) == GOOD


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("evidence/v1", "evidence/v2"),
        ("\n21\n", "\n021\n"),
        ("\n21\n", "\n-21\n"),
        ("4 9", "4  9"),
        ("4 9", "4,9"),
        ("4 9", "4 9 "),
        ("4 9", "4 +9"),
        ("abab", "ABab"),
        ("abab", "zzab"),
        ("ab\n", "ab\n\n"),
        ("ab\n", "ab\nmore\n"),
        ("ab\n", "ab"),
        ("audit.example.com/logs/x", ""),
        ("BwcH", "bwc="),
        ("=\n", "\n"),
    ],
)
def test_another_spelling_is_no_statement(old: str, new: str) -> None:
    """Each value has one spelling, each line its place."""
    with pytest.raises(NoteError):
        parse_statement(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    "change", [{"origin": "a\nb"}, {"origin": ""}, {"size": -1}, {"manifest_sha256": "x"}, {"root": b"x"}]
)
def test_what_could_not_be_read_back_is_not_written(change: dict[str, object]) -> None:
    """A value that would move a line's border is refused before it is signed."""
    with pytest.raises(NoteError):
        format_statement(GOOD._replace(**change))  # type: ignore[arg-type]  # wrong on purpose


@given(st.binary(max_size=60), st.integers(1, 1 << 40))
def test_every_payload_stands_on_one_line_and_comes_back(payload: bytes, sequence: int) -> None:
    """Text as text, all else as base64; the line is JSON for any reader, without a line feed inside."""
    line = Line(sequence, "t", "w", "s", *content_of(payload))
    block = encode_lines([line])
    assert block.count(b"\n") == 1
    (read,) = decode_lines(block)
    assert payload_of(read) == payload
    members = json.loads(block)
    if "payload" in members:
        assert members["payload"].encode() == payload


@given(st.text(max_size=60).filter(lambda text: "\x7f" not in text))
def test_the_one_spelling_is_that_of_other_programs(text: str) -> None:
    """JSON as Python's own library writes it without spaces, and ECMAScript's JSON.stringify."""
    line = Line(1, "t", "w", "s", text)
    members = {"sequence": 1, "time": "t", "writer": "w", "salt": "s", "payload": text}
    expected = json.dumps(members, separators=(",", ":"), ensure_ascii=False) + "\n"
    assert encode_lines([line]).decode() == expected
