"""`indelible export`: all events of a log into a file, of any length, in bounded memory."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from indelible.cli.output import Progress, print_json, print_members
from indelible.cli.session import PATIENT, Session, with_session

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client

_REPORT_EVERY = 1_000


@click.command()
@click.argument("log", metavar="LOG")
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="One JSON object a line, or a spreadsheet's rows.",
)
@click.option("--output", "-o", metavar="FILE", default="-", help="Where to; - is standard output.")
@click.option("--after-sequence", type=click.IntRange(0), help="Begin after this event.")
@click.option("--from", "from_", metavar="TIME", help="Received at this time or later (RFC 3339).")
@click.option("--to", metavar="TIME", help="Received before this time (RFC 3339).")
@click.option("--evidence", is_flag=True, help="A zip that proves the events without a server.")
@click.option("--first", type=click.IntRange(1), help="Evidence: from this event on.")
@click.option("--last", type=click.IntRange(1), help="Evidence: up to this event.")
@click.option("--exact", is_flag=True, help="NDJSON: payloads as base64 of their exact bytes.")
@click.option("--raw", is_flag=True, help="CSV: do not guard cells that a spreadsheet would run as formulas.")
@with_session
def export(
    session: Session,
    log: str,
    form: str,
    output: str,
    after_sequence: int | None,
    from_: str | None,
    to: str | None,
    first: int | None,
    last: int | None,
    *,
    evidence: bool,
    exact: bool,
    raw: bool,
) -> None:
    """Write the events of LOG, one a line or one a row, in their order.

    A missing sequence is an error, never a silent gap; a FILE gets its name only when it is whole.
    With --evidence it is a zip of the events and of all that proves them: `indelible verify FILE` checks it.
    """
    if evidence:
        if exact or raw or after_sequence is not None or form != "ndjson":
            raise click.UsageError("--evidence goes with --first and --last, or --from and --to, alone")
        _export_evidence(session, log, output, {"first": first, "last": last, "from_": from_, "to": to})
        return
    if first is not None or last is not None:
        raise click.UsageError("--first and --last go with --evidence")
    if exact and form == "csv":
        raise click.UsageError("--exact goes with --format ndjson")
    tries, seconds = PATIENT
    with session.client(tries=tries, seconds=seconds) as client, destination(output) as file:
        reader = client.read_lines(log, after_sequence=after_sequence, from_=from_, to=to, exact=exact)
        total = _expected(client, log, after_sequence) if from_ is None and to is None else None
        count = _write(iter(reader), file, _writer(file, form, raw=raw), total, log)
    if output != "-":
        _report(session, count, reader.last, output)


def _export_evidence(session: Session, log: str, output: str, wanted: dict[str, Any]) -> None:
    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("evidence is a zip: name a file with --output, or pipe it")
    progress = Progress(f"exporting evidence of {log}", None, "bytes")
    with session.client() as client, destination(output) as file, progress:
        written = client.evidence(log, file, told=progress.update, **wanted)
    if output != "-":
        tell(session, {"bytes": written, "output": output})


def _writer(file: BinaryIO, form: str, *, raw: bool) -> Callable[[bytes], bytes]:
    if form == "ndjson":
        return lambda line: line + b"\n"
    from indelible.cli.csvrows import COLUMNS, csv_row  # noqa: PLC0415 - few need it
    from indelible.model.spreadsheet import safe_cell, write_row  # noqa: PLC0415 - with it

    guard = str if raw else safe_cell
    file.write(write_row(COLUMNS).encode())
    return lambda line: csv_row(line, guard).encode()


def _write(
    lines: Iterator[bytes], file: BinaryIO, write: Callable[[bytes], bytes], total: int | None, log: str
) -> int:
    count = 0
    with Progress(f"exporting {log}", total, "events") as progress:
        for line in lines:
            file.write(write(line))
            count += 1
            if count % _REPORT_EVERY == 0:
                progress.update(count)
    return count


def _expected(client: "Client", log: str, after: int | None) -> int | None:
    head = client.log(log).head
    return max(0, head.size - (after or 0)) if head else None


@contextmanager
def destination(output: str) -> Iterator[BinaryIO]:
    """Give a file that gets its name only when all of it is on stable storage; - is standard output."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{output}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _report(session: Session, count: int, last: int | None, output: str) -> None:
    tell(session, {"events": count, "last_sequence": last, "output": output})


def tell(session: Session, members: dict[str, Any]) -> None:
    """Say what was written, as JSON where that is wanted."""
    if session.as_json:
        print_json(members)
    else:
        print_members({name.replace("_", " "): value for name, value in members.items()})
