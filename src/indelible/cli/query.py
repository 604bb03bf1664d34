"""`indelible query`: ask a view."""

import json
import sys
from typing import Any, BinaryIO

import click

from indelible.cli.output import cell, print_members, print_table
from indelible.cli.session import Session, with_session
from indelible.cli.text import clean


@click.command()
@click.argument("log", metavar="LOG")
@click.argument("view", metavar="VIEW")
@click.argument("parameters", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--body", type=click.File("rb"), help="Send this file (- is standard input) as the body.")
@with_session
def query(session: Session, log: str, view: str, parameters: tuple[str, ...], body: BinaryIO | None) -> None:
    """Ask VIEW of LOG, for example: after=2025-01-01 before=2025-03-31 actor=user_8f3a.

    A key may be repeated. On a terminal the answer is drawn as tables; --json prints it as it came.
    """
    params = [_pair(text) for text in parameters]
    with session.client(tries=8, seconds=120) as client:
        answer = client.query(log, view, params, body=body.read() if body else b"")
    if session.as_json:
        sys.stdout.buffer.write(answer.body.rstrip(b"\n") + b"\n")
        return
    print_answer(answer.body)
    print(f"{answer.view}, up to event {answer.sequence}", file=sys.stderr)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text!r} is no parameter: write KEY=VALUE")
    return name, value


def print_answer(body: bytes) -> None:
    """Draw what a view answered: lists of objects, and columns with rows, as tables; the rest below."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        print(clean(body.decode(errors="backslashreplace")))
        return
    if not isinstance(value, dict):
        print(clean(json.dumps(value, ensure_ascii=False, indent=2)) if value is None else cell(value))
        return
    if _has_rows(value):
        print_table([str(name) for name in value["columns"]], value["rows"])
        print()
        value = {name: rest for name, rest in value.items() if name not in {"columns", "rows"}}
    tables = {name: rows for name, rows in value.items() if _is_table(rows)}
    for name, rows in tables.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        print_table(columns, [[row.get(key) for key in columns] for row in rows], title=clean(name))
        print()
    for name, rest in value.items():
        if name not in tables:
            print(clean(name))
            print_members(
                {f"  {clean(key)}": part for key, part in rest.items()}
                if isinstance(rest, dict)
                else {"  ": rest}
            )


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _has_rows(value: dict[str, Any]) -> bool:
    """Whether an answer is one table: columns, and rows with as many cells."""
    columns, rows = value.get("columns"), value.get("rows")
    return (
        isinstance(columns, list)
        and isinstance(rows, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    )
