"""Tables of views as CSV: which answers are tables, and cells."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.http.tables import as_csv

cells = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2)


@given(width=st.integers(1, 4), data=st.data(), raw=st.booleans())
def test_cells_read_back(width: int, data: st.DataObject, raw: bool) -> None:
    """Any reader of CSV gets the texts back, with a ' before those that a spreadsheet would run."""
    rows = data.draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=5))
    names = [f"c{place}" for place in range(width)]
    answer = {"columns": [{"name": name} for name in names], "rows": rows, "cover": {}}
    table = as_csv(json.dumps(answer).encode(), raw=raw)
    assert table is not None

    def expected(cell: Any) -> str:
        if isinstance(cell, str):
            return f"'{cell}" if not raw and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
        return "" if cell is None else json.dumps(cell)

    read = list(csv.reader(io.StringIO(table.body.decode(), newline=""), strict=True))
    assert read == [names, *([expected(cell) for cell in row] for row in rows)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"columns": [], "rows": []}',
        b'{"columns": ["a"], "rows": [["x", "y"]], "cover": {}}',
        b'{"columns": ["a"], "rows": [{"a": 1}], "cover": {}}',
        b'{"columns": [1], "rows": [[1]], "cover": {}}',
        b'{"columns": [{"title": "a"}], "rows": [[1]], "cover": {}}',
        b'{"columns": ["a"], "rows": [["\\ud800"]], "cover": {}}',
        b'{"columns": ["a"], "rows": [["\xff"]], "cover": {}}',
        b'{"columns": ["a"], "rows": ' + b"[" * 100_000,
    ],
)
def test_other_answers_are_no_tables(body: bytes) -> None:
    """What is not wholly a table is none, and nothing that a view can write breaks the server."""
    assert as_csv(body, raw=False) is None


def test_names_are_guarded_and_the_cursor_is_told() -> None:
    """A column's name is a cell too; `cover.next` comes along."""
    table = as_csv(
        b'{"columns": ["=a"], "rows": [[1e400], [0.10]], "cover": {"next": "c"}, "x": 1}', raw=False
    )
    assert table is not None
    assert (table.body, table.next) == (b"'=a\r\n1e400\r\n0.10\r\n", "c")


@pytest.mark.parametrize("cursor", ["a\r\nset-cookie: x", "ü", "\x7f", "x" * 8_193])
def test_a_cursor_that_no_header_can_have_is_left_out(cursor: str) -> None:
    """A view may say anything; what it says ends no answer."""
    body = json.dumps({"columns": ["a"], "rows": [], "cover": {"next": cursor}}).encode()
    assert as_csv(body, raw=False) == (b"a\r\n", None)
