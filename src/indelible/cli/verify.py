"""`indelible proof` and `indelible verify`: proofs as files, and checking them, or a log that is served."""

import sys
from pathlib import Path

import click

from indelible.cli.exits import CommandFailed, Exit
from indelible.cli.output import print_json
from indelible.cli.session import Session, pins_options, read_key, with_pins, with_session
from indelible.cli.text import clean
from indelible.cli.verify_live import is_url, look

_MOST_BYTES = 64 << 20
_EXITS = {"proved": Exit.OK, "unproved": Exit.UNPROVED, "refuted": Exit.REFUSED}
_MARKS = {"proved": "proved  ", "unproved": "unproved", "refuted": "WRONG   "}
_ENDS = {
    "proved": "Everything that the {what} claims is proved.",
    "unproved": "Nothing is wrong with what was checked. What is unproved above is not known.",
    "refuted": "The {what} does not prove what it claims.",
}


@click.command()
@click.argument("log", metavar="LOG")
@click.argument("sequence", type=click.IntRange(1), required=False, metavar="[SEQUENCE]")
@click.option("--first", type=click.IntRange(1), help="A run of events: from this one on.")
@click.option("--last", type=click.IntRange(1), help="A run of events: up to this one.")
@click.option("--from", "from_", metavar="TIME", help="A window: received at this time or later (RFC 3339).")
@click.option("--to", metavar="TIME", help="A window: received before this time (RFC 3339).")
@click.option("--output", type=click.Path(dir_okay=False), help="Write to this file, not to standard output.")
@with_session
@with_pins
def proof(
    session: Session,
    log: str,
    sequence: int | None,
    first: int | None,
    last: int | None,
    from_: str | None,
    to: str | None,
    output: str | None,
) -> None:
    """Fetch the proof that event SEQUENCE is in LOG, as a file to keep beside the event (C2SP tlog-proof).

    With --first and --last, or --from and --to: the proof that those are all events there, none left out.
    `indelible verify` checks it; tlog-proofs are checked by other programs, too.
    """
    if (sequence is None) == all(value is None for value in (first, last, from_, to)):
        raise click.UsageError("name one SEQUENCE, or a run or a window by its options")
    with session.client() as client:
        if sequence is None:
            text = client.range_proof(log, first=first, last=last, from_=from_, to=to)
        else:
            text = client.proof(log, sequence)
    if output is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        Path(output).write_bytes(text)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), metavar="FILE|URL")
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
@click.option("--payloads", is_flag=True, help="With a URL: read the events too, and check each.")
@click.option("--key-file", metavar="FILE", help="With a URL: a file with the API key.")
@click.option("--certificates", envvar="INDELIBLE_CERTIFICATES", metavar="FILE", help="Trust these for TLS.")
@pins_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(
    file: str,
    payload: str | None,
    keys: tuple[str, ...],
    key_file: str | None,
    certificates: str | None,
    pins: Path | None,
    *,
    payloads: bool,
    as_json: bool,
) -> Exit:
    """Check FILE, a proof of an event, of a range or window, or a receipt, without a server.

    With the URL of a log (https://HOST/logs/LOG): read its whole history by tiles, and check that it
    continues the head that was seen before.

    Exit code 0 means that all that it claims is proved; 6 that something could not be checked; 1 that
    something is wrong. The key must come from somewhere else than FILE: `indelible log show LOG` prints it.
    """
    from indelible.client.examine import examine, members  # noqa: PLC0415 - slow to import

    trusted = [key for given in keys for key in read_keys(given)]
    if is_url(file):
        session = Session(file, read_key(key_file), certificates, as_json, pins)
        examined = look(session, trusted, payloads=payloads)
    else:
        content = None if payload is None else _read(payload)
        examined = examine(_read(file), content, trusted)
    if as_json:
        print_json(members(examined))
    else:
        for claim in examined.claims:
            print(f"{_MARKS[claim.verdict]}  {clean(claim.says)}")
        print(_ENDS[examined.verdict].format(what="log" if examined.kind == "log" else "file"))
    return _EXITS[examined.verdict]


def _read(path: str) -> bytes:
    """Read a file of a bounded size; `-` is standard input."""
    with sys.stdin.buffer if path == "-" else Path(path).open("rb") as stream:
        data = stream.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise CommandFailed(f"{path} has more than {_MOST_BYTES >> 20} MiB: it is no proof, receipt or event")
    return data


def read_keys(given: str) -> list[str]:
    """A verifier key, or the keys in a file: lines that are not blank and do not begin with `#`."""
    if "+" in given and not Path(given).exists():
        return [given]
    lines = [line.strip() for line in _read(given).decode(errors="replace").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
