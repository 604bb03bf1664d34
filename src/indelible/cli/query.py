"""`indelible query`: ask a view."""

import json
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from indelible.cli.export import destination, tell
from indelible.cli.output import Progress, cell, print_members, print_table
from indelible.cli.session import Session, with_session
from indelible.cli.text import clean

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Answer, Client


@click.command()
@click.argument("log", metavar="LOG")
@click.argument("view", metavar="VIEW")
@click.argument("parameters", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--at", metavar="WHEN", help="As the view stood at this sequence, instant, or end of a day.")
@click.option("--version", type=click.IntRange(min=1), help="Ask this version, which may be a retired one.")
@click.option("--body", type=click.File("rb"), help="Send this file (- is standard input) as the body.")
@click.option("--csv", is_flag=True, help="A table as a spreadsheet's rows, all pages of it.")
@click.option("--raw", is_flag=True, help="CSV: do not guard cells that a spreadsheet would run as formulas.")
@click.option("--evidence", metavar="FILE", help="Write the answer with all that proves it, as a zip.")
@with_session
def query(
    session: Session,
    log: str,
    view: str,
    parameters: tuple[str, ...],
    body: BinaryIO | None,
    evidence: str | None,
    *,
    at: str | None,
    version: int | None,
    csv: bool,
    raw: bool,
) -> None:
    """Ask VIEW of LOG, for example: after=2025-01-01 before=2025-03-31 actor=user_8f3a.

    A key may be repeated. On a terminal the answer is drawn as tables; --json prints it as it came.
    With --evidence the view is asked afresh and the answer goes to a file that `indelible verify` recomputes.
    """
    if raw and not csv:
        raise click.UsageError("--raw goes with --csv")
    if csv and evidence is not None:
        raise click.UsageError("--evidence has the answer as the view gives it: leave --csv out")
    given = {"at": at, "version": version}
    params = [_pair(text) for text in parameters]
    params += [(name, str(value)) for name, value in given.items() if value is not None]
    content = body.read() if body else b""
    if evidence is not None:
        _write_evidence(session, log, view, params, content, evidence)
        return
    with session.client(tries=8, seconds=120) as client:
        if csv:
            answer = _write_csv(client, log, view, [*params, *([("raw", "1")] if raw else [])], content)
        else:
            answer = client.query(log, view, params, body=content)
    if session.as_json and not csv:
        sys.stdout.buffer.write(answer.body.rstrip(b"\n") + b"\n")
        return
    if not csv:
        print_answer(answer.body)
    print(f"{answer.view}, up to event {answer.sequence}", file=sys.stderr)


def _write_csv(client: "Client", log: str, view: str, params: list[tuple[str, str]], body: bytes) -> "Answer":
    """Write all pages of a table; the names of the columns come once. Returns the last page."""
    answer = client.query(log, view, params, body=body, accept="text/csv")
    sys.stdout.buffer.write(answer.body)
    params = [pair for pair in params if pair[0] != "cursor"]
    while answer.next is not None:
        answer = client.query(log, view, [*params, ("cursor", answer.next)], body=body, accept="text/csv")
        sys.stdout.buffer.write(_without_names(answer.body))
    sys.stdout.buffer.flush()
    return answer


def _write_evidence(
    session: Session, log: str, view: str, params: list[tuple[str, str]], body: bytes, output: str
) -> None:
    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("evidence is a zip: name a file, or pipe it")
    progress = Progress(f"asking {view} of {log}", None, "bytes")
    with session.client() as client, destination(output) as file, progress:
        written = client.query_evidence(log, view, file, params, body=body, told=progress.update)
    if output != "-":
        tell(session, {"bytes": written, "output": output})


def _without_names(page: bytes) -> bytes:
    """Leave out the first row: columns of views of others may have line ends in their names."""
    import csv  # noqa: PLC0415 - few need it
    import io  # noqa: PLC0415 - few need it

    text = io.StringIO(page.decode(), newline="")
    next(csv.reader(text), None)
    return text.read().encode()


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
    if isinstance(value.get("columns"), list) and _are_rows(value.get("rows"), len(value["columns"])):
        print_table([_column(column) for column in value["columns"]], value["rows"])
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


def _are_rows(value: Any, width: int) -> bool:
    return isinstance(value, list) and all(isinstance(row, list) and len(row) == width for row in value)


def _column(column: Any) -> str:
    return clean(str(column.get("name") if isinstance(column, dict) else column))


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
