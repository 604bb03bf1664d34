"""`indelible append`: one event, or a file of them, resumable."""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import click

from indelible.cli.batches import DEFAULT_BATCH_EVENTS, Batch, cut_batches
from indelible.cli.exits import CommandFailed
from indelible.cli.output import Progress, print_json, print_members
from indelible.cli.session import PATIENT, Session, with_pins, with_session
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client, Receipt


@dataclass(slots=True)
class Tally:
    """What an import has done so far."""

    events: int = 0
    batches: int = 0
    replayed: int = 0  # events that were there already, from an earlier run
    first_sequence: int | None = None
    last_sequence: int | None = None


@click.command()
@click.argument("log", metavar="LOG")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--event", metavar="JSON", help="Append this one event.")
@click.option(
    "--batch",
    type=click.IntRange(1, DEFAULT_LIMITS.batch_events),
    default=DEFAULT_BATCH_EVENTS,
    show_default=True,
    help="Events in one batch; each batch is appended whole or not at all.",
)
@click.option(
    "--run",
    default="",
    metavar="TEXT",
    help="Append the same file again on purpose: name this run otherwise.",
)
@click.option("--idempotency-key", metavar="KEY", help="With --event: append it once under this key.")
@click.option("--expected-sequence", type=click.IntRange(0), help="With --event: only at this head.")
@click.option("--proof", is_flag=True, help="With --event: ask for a proof against a signed head.")
@with_session
@with_pins
def append(
    session: Session,
    log: str,
    file: BinaryIO | None,
    event: str | None,
    batch: int,
    run: str,
    idempotency_key: str | None,
    expected_sequence: int | None,
    *,
    proof: bool,
) -> None:
    """Append to LOG: one --event, or each line of FILE (- is standard input) as an event.

    A run that was broken off is taken up by typing the same command again within 24 hours, with the same
    --batch: what was appended before is not appended twice.
    """
    if (event is None) == (file is None):
        raise click.UsageError("give either --event JSON or a FILE of NDJSON (- for standard input)")
    if event is not None:
        _check_json(event)
        with session.client() as client:
            receipt = client.append(
                log,
                event.encode(),
                idempotency_key=idempotency_key,
                expected_sequence=expected_sequence,
                proof=proof,
            )
            print_json(receipt)  # before its head is compared: whatever comes of that, it was appended
            _compare(client, log, receipt)
        return
    if idempotency_key is not None or expected_sequence is not None or proof:
        raise click.UsageError("--idempotency-key, --expected-sequence and --proof go with --event")
    assert file is not None  # noqa: S101 - one of the two is given, see above
    tally = _append_file(session, log, file, batch, run)
    _report(session, tally)


def _compare(client: "Client", log: str, receipt: "Receipt") -> None:
    """Compare the head under a receipt's proof with the last one seen, as far as the key may read it."""
    try:
        client.check_receipt(log, receipt)
    except Problem as problem:
        print(f"indelible: the head was not compared with the last one: {problem}", file=sys.stderr)


def _check_json(event: str) -> None:
    import msgspec  # noqa: PLC0415 - arrives with the client

    try:
        msgspec.json.decode(event, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--event is not JSON: {error}") from None


def _append_file(session: Session, log: str, file: BinaryIO, events: int, run: str) -> Tally:
    tally = Tally()
    tries, seconds = PATIENT
    try:
        with (
            session.client(tries=tries, seconds=seconds) as client,
            Progress(f"appending to {log}", _size(file), "bytes") as progress,
        ):
            for cut in cut_batches(file, events=events, run=run):
                _append_one(client, log, cut, tally)
                progress.update(cut.end)
    except BaseException:
        if tally.events and not session.as_json:
            print(
                f"{tally.events} events were appended before this; type the same command again to go on.",
                file=sys.stderr,
            )
        raise
    return tally


def _append_one(client: "Client", log: str, cut: Batch, tally: Tally) -> None:
    try:
        receipt = client.append_ndjson(log, cut.body, idempotency_key=cut.key)
    except Problem as problem:
        raise _at_line(problem, cut) from None
    tally.events += receipt.count
    tally.batches += 1
    tally.replayed += receipt.count if receipt.replayed else 0
    tally.last_sequence = receipt.last_sequence
    if tally.first_sequence is None:
        tally.first_sequence = receipt.first_sequence


def _at_line(problem: Problem, cut: Batch) -> Problem:
    """Count the line that a refusal names from the start of the input, not of the batch."""
    line = problem.facts.get("line")
    where = cut.first_line + line - 1 if isinstance(line, int) else cut.first_line
    word = "line" if isinstance(line, int) else "the batch that begins at line"
    facts = {**problem.facts, "line": where}
    return Problem(problem.code.name, f"{word} {where} of the input: {problem.detail}", **facts)


def _size(file: BinaryIO) -> int | None:
    try:
        size = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    return size or None


def _report(session: Session, tally: Tally) -> None:
    if not tally.events:
        raise CommandFailed("the input holds no event: it must be one JSON value a line")
    members = {
        "events": tally.events,
        "already_there": tally.replayed,
        "batches": tally.batches,
        "first_sequence": tally.first_sequence,
        "last_sequence": tally.last_sequence,
    }
    if session.as_json:
        print_json(members)
    else:
        print_members({name.replace("_", " "): value for name, value in members.items()})
