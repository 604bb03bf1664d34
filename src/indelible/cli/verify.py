"""`indelible proof` and `indelible verify`: proofs as files, and checking them without a server."""

import sys
from pathlib import Path

import click

from indelible.cli.exits import CommandFailed, Exit
from indelible.cli.output import print_json
from indelible.cli.session import Session, with_session
from indelible.cli.text import clean

_MOST_BYTES = 64 << 20
_EXITS = {"proved": Exit.OK, "unproved": Exit.UNPROVED, "refuted": Exit.REFUSED}
_MARKS = {"proved": "proved  ", "unproved": "unproved", "refuted": "WRONG   "}
_ENDS = {
    "proved": "Everything that the file claims is proved.",
    "unproved": "Nothing is wrong with what was checked. What is unproved above is not known.",
    "refuted": "The file does not prove what it claims.",
}


@click.command()
@click.argument("log", metavar="LOG")
@click.argument("sequence", type=click.IntRange(1), required=False, metavar="[SEQUENCE]")
@click.option("--first", type=click.IntRange(1), help="A run of events: from this one on.")
@click.option("--last", type=click.IntRange(1), help="A run of events: up to this one.")
@click.option("--from", "from_", metavar="TIME", help="A window: received at this time or later (RFC 3339).")
@click.option("--to", metavar="TIME", help="A window: received before this time (RFC 3339).")
@click.option(
    "--deployment", is_flag=True, help="That a head of LOG stands in the deployment's log of heads."
)
@click.option("--min-size", type=click.IntRange(0), help="With --deployment: a head of so many events.")
@click.option("--output", type=click.Path(dir_okay=False), help="Write to this file, not to standard output.")
@with_session
def proof(
    session: Session,
    log: str,
    sequence: int | None,
    first: int | None,
    last: int | None,
    from_: str | None,
    to: str | None,
    min_size: int | None,
    output: str | None,
    *,
    deployment: bool,
) -> None:
    """Fetch the proof that event SEQUENCE is in LOG, as a file to keep beside the event (C2SP tlog-proof).

    With --first and --last, or --from and --to: the proof that those are all events there, none left out.
    `indelible verify` checks it; tlog-proofs are checked by other programs, too.
    """
    run = any(value is not None for value in (first, last, from_, to))
    if (sequence is not None) + run + deployment != 1 or (min_size is not None and not deployment):
        raise click.UsageError("name one SEQUENCE, or a run or a window by its options, or --deployment")
    with session.client() as client:
        if deployment:
            text = client.head_proof(log, min_size=min_size)
        elif sequence is None:
            text = client.range_proof(log, first=first, last=last, from_=from_, to=to)
        else:
            text = client.proof(log, sequence)
    if output is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        Path(output).write_bytes(text)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), metavar="FILE")
@click.option(
    "--payload",
    type=click.Path(dir_okay=False),
    help="The event's bytes, as they were appended; for a range its events, as `export --exact` writes them.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="A verifier key that you trust, or a file that holds some, one a line. May be repeated.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="A witness's verifier key that you trust, or a file of some. May be repeated.",
)
@click.option("--quorum", type=click.IntRange(1), help="How many of the witnesses suffice; all unless given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(
    file: str,
    payload: str | None,
    keys: tuple[str, ...],
    witnesses: tuple[str, ...],
    quorum: int | None,
    *,
    as_json: bool,
) -> Exit:
    """Check FILE without a server: a proof of an event, a range, a window or a head, a receipt, a checkpoint.

    Exit code 0 means that all that it claims is proved; 6 that something could not be checked; 1 that
    something is wrong. The key must come from somewhere else than FILE: `indelible log show LOG` prints it.
    """
    from indelible.client.examine import examine, members, with_cosignatures  # noqa: PLC0415 - slow to import

    content = None if payload is None else _read(payload)
    if quorum is not None and not witnesses:
        raise click.UsageError("--quorum says how many of the keys of --witness suffice")
    data = _read(file)
    examined = examine(data, content, [key for given in keys for key in _keys(given)])
    if witnesses:
        known = [key for given in witnesses for key in _keys(given)]
        examined = with_cosignatures(examined, data, known, quorum)
    if as_json:
        print_json(members(examined))
    else:
        for claim in examined.claims:
            print(f"{_MARKS[claim.verdict]}  {clean(claim.says)}")
        print(_ENDS[examined.verdict])
    return _EXITS[examined.verdict]


def _read(path: str) -> bytes:
    """Read a file of a bounded size; `-` is standard input."""
    with sys.stdin.buffer if path == "-" else Path(path).open("rb") as stream:
        data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise CommandFailed(f"{path} has more than {_MOST_BYTES >> 20} MiB: it is no proof, receipt or event")
    return data


def _keys(given: str) -> list[str]:
    """A verifier key, or the keys in a file: lines that are not blank and do not begin with `#`."""
    if "+" in given and not Path(given).exists():
        return [given]
    lines = [line.strip() for line in _read(given).decode(errors="replace").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
