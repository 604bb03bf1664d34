"""Answers of views that are tables, as CSV (RFC 4180). Pure."""

from typing import Any, NamedTuple

import msgspec

from indelible.model.spreadsheet import safe_cell, write_row

CSV = "text/csv"
CSV_CONTENT_TYPE = "text/csv; charset=utf-8; header=present"

_CURSOR_BYTES = 8 << 10


class Table(NamedTuple):
    """A table as CSV, and the cursor for the rows that did not fit, if there are any."""

    body: bytes
    next: str | None


class _Cover(msgspec.Struct):
    next: str | None = None


class _Answer(msgspec.Struct):
    columns: list[Any]
    rows: list[list[msgspec.Raw]]
    cover: _Cover


_DECODER = msgspec.json.Decoder(_Answer)


def as_csv(body: bytes, *, raw: bool) -> Table | None:
    """Write an answer `{columns, rows, cover}` as CSV; None where it has another form.

    A column is a name, or an object with `name`; a row is a list with a cell for each. A text stands as it
    is, but for a ' before what a spreadsheet would run as a formula, unless `raw`; null is empty; anything
    else is its JSON as the view wrote it, so that no number is rounded.
    """
    try:
        answer = _DECODER.decode(body)
        names = [_name(column) for column in answer.columns]
        if any(len(row) != len(names) for row in answer.rows):
            return None
        lines = [write_row([_cell(name, raw=raw) for name in names])]
        lines += [write_row([_text(bytes(cell), raw=raw) for cell in row]) for row in answer.rows]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return Table("".join(lines).encode(errors="replace"), _sendable(answer.cover.next))


def _sendable(cursor: str | None) -> str | None:
    """A cursor that can stand in a header; a view may say anything."""
    plain = cursor is not None and cursor.isascii() and cursor.isprintable() and len(cursor) <= _CURSOR_BYTES
    return cursor if plain else None


def _name(column: Any) -> str:
    name = column.get("name") if isinstance(column, dict) else column
    if not isinstance(name, str):
        raise msgspec.DecodeError("a column has no name")
    return name


def _text(cell: bytes, *, raw: bool) -> str:
    if cell.startswith(b'"'):
        return _cell(msgspec.json.decode(cell, type=str), raw=raw)
    return "" if cell == b"null" else cell.decode()


def _cell(text: str, *, raw: bool) -> str:
    return text if raw else safe_cell(text)
