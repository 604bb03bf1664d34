"""Rows that a spreadsheet opens (RFC 4180), with cells that it does not run as formulas."""

import csv
import io
from collections.abc import Iterable

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(text: str) -> str:
    """Put a ' before what a spreadsheet would run: a cell that begins with = + - @, a tab or a CR."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def write_row(cells: Iterable[str]) -> str:
    """Write cells as one row with CRLF (RFC 4180)."""
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
