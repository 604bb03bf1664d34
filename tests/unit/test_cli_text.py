"""What a log holds cannot steer a terminal or a spreadsheet."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.cli.csvrows import COLUMNS, csv_row
from indelible.cli.output import cell
from indelible.cli.text import clean, clean_json, shorten
from indelible.model.spreadsheet import safe_cell


@given(st.text())
def test_cleaned_text_has_no_control_characters(text: str) -> None:
    """No escape sequence, no C1 control, no bidirectional override survives."""
    cleaned = clean(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
    assert len(shorten(cleaned, 10)) <= 10


def test_an_escape_sequence_is_shown() -> None:
    """It is visible that something was there."""
    assert clean("\x1b[2Jgone") == "\\x1b[2Jgone"
    assert cell({"a": "\x9b31m"}) == '{"a": "\\x9b31m"}'


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_cleaned_json_is_the_same_value(value: object) -> None:
    """What is shown as curl's body is what was sent."""
    assert json.loads(clean_json(json.dumps(value, ensure_ascii=False))) == value


def line(payload: str | None = None, **members: object) -> bytes:
    """Write an event as the server streams it."""
    head = {"sequence": 7, "time": "2026-01-01T00:00:00.000000Z", "writer": "w", "salt": "ab", **members}
    text = json.dumps(head)
    return (text[:-1] + f', "payload": {payload}}}' if payload is not None else text).encode()


def row(data: bytes, *, guard: bool = True) -> dict[str, str]:
    """Read the row back as a spreadsheet would."""
    text = csv_row(data, safe_cell if guard else str)
    cells = next(csv.reader(io.StringIO(text, newline="")))
    return dict(zip(COLUMNS, cells, strict=True))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_formula_is_not_run(start: str) -> None:
    """A cell that a spreadsheet would run begins with an apostrophe; --raw leaves it as it is."""
    text = start + "cmd|'/c calc'!A0"
    data = line(json.dumps({"actor": text}))
    assert row(data)["actor"] == "'" + text
    assert row(data, guard=False)["actor"] == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_round_trip(text: str) -> None:
    """Quotes, commas and line breaks come back as they were."""
    assert row(line(json.dumps({"actor": {"id": text}})), guard=False)["actor"] == text


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"type":"a","actor":"u","resource":{"type":"t","id":"r"},"ip":"::1"}',
         {"type": "a", "actor": "u", "resource": "r", "ip": "::1"}),
        ('{"action":"a","actor":{"name":"n"},"target":"r","source_ip":"1"}',
         {"type": "a", "actor": "n", "resource": "r", "ip": "1"}),
        ('{"eventName":"a","eventTime":"t"}', {"type": "a", "occurred_at": "t"}),
        ("[1]", {"type": "", "payload": "[1]"}),
        ('"text"', {"payload": '"text"'}),
    ],
)  # fmt: skip
def test_common_shapes_fill_the_columns(payload: str, expected: dict[str, str]) -> None:
    """Members are read where they stand, and the payload is always there whole."""
    found = row(line(payload))
    assert {name: found[name] for name in expected} == expected
    assert found["payload"] == payload


def test_a_payload_that_is_no_json_has_its_own_column() -> None:
    """Base64 is never mistaken for the payload."""
    found = row(line(None, payload_base64="AAE="))
    assert (found["payload"], found["payload_base64"]) == ("", "AAE=")
