"""`indelible proof` and `indelible verify`: proofs as files, and checking them, or a log that is served."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from indelible.cli.exits import CommandFailed, Exit
from indelible.cli.output import Progress, print_json
from indelible.cli.session import Session, pins_options, read_key, with_pins, with_session
from indelible.cli.text import clean
from indelible.cli.verify_live import is_url, look
from indelible.config import limits_from
from indelible.model.limits import DEFAULT_LIMITS

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client

_EXITS = {"proved": Exit.OK, "unproved": Exit.UNPROVED, "refuted": Exit.REFUSED}
_MARKS = {"proved": "proved  ", "unproved": "unproved", "refuted": "WRONG   ", "stated": "stated  "}
_ENDS = {
    "proved": "Everything that the {what} claims is proved.",
    "unproved": "Nothing is wrong with what was checked. What is unproved above is not known.",
    "refuted": "The {what} does not prove what it claims.",
}


statements_option = click.option(
    "--statements",
    type=click.Path(dir_okay=False),
    help="A file of key statements: with it a key that is trusted vouches for those that followed it.",
)


@click.command()
@click.argument("log", required=False, metavar="[LOG]")
@click.argument("sequence", type=click.IntRange(1), required=False, metavar="[SEQUENCE]")
@click.option("--first", type=click.IntRange(1), help="A run of events: from this one on.")
@click.option("--last", type=click.IntRange(1), help="A run of events: up to this one.")
@click.option("--from", "from_", metavar="TIME", help="A window: received at this time or later (RFC 3339).")
@click.option("--to", metavar="TIME", help="A window: received before this time (RFC 3339).")
@click.option("--receipt", type=click.Path(dir_okay=False), help="A receipt, as an append answered it.")
@click.option(
    "--deployment", is_flag=True, help="That a head of LOG stands in the deployment's log of heads."
)
@click.option("--min-size", type=click.IntRange(0), help="With --deployment: a head of so many events.")
@click.option("--output", type=click.Path(dir_okay=False), help="Write to this file, not to standard output.")
@with_session
@with_pins
def proof(
    session: Session,
    log: str | None,
    sequence: int | None,
    receipt: str | None,
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
    With --receipt: of the event that a receipt speaks of, as the receipt has it.
    `indelible verify` checks it; tlog-proofs are checked by other programs, too.
    """
    ranged = any(value is not None for value in (first, last, from_, to))
    wanted = (sequence is not None) + (receipt is not None) + ranged + deployment
    if (log is None) == (receipt is None) or wanted != 1 or (min_size is not None and not deployment):
        raise click.UsageError(
            "name LOG and one SEQUENCE, or a run or a window by its options, or --deployment; or --receipt"
        )
    with session.client() as client:
        if receipt is not None:
            text = _proof_for(client, _read(receipt, DEFAULT_LIMITS.proof_file_bytes))
        elif deployment:
            text = client.head_proof(str(log), min_size=min_size)
        elif sequence is not None:
            text = client.proof(str(log), sequence)
        else:
            text = client.range_proof(str(log), first=first, last=last, from_=from_, to=to)
    if output is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        Path(output).write_bytes(text)


def _proof_for(client: "Client", data: bytes) -> bytes:
    """Fetch the proof of the event that a receipt speaks of."""
    from indelible.client.verify import read_receipt  # noqa: PLC0415 - slow to import

    return client.proof_of(read_receipt(data))


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
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="A witness's verifier key that you trust, or a file of some. May be repeated.",
)
@click.option("--quorum", type=click.IntRange(1), help="How many of the witnesses suffice; all unless given.")
@statements_option
@click.option("--payloads", is_flag=True, help="With a URL: read the events too, and check each.")
@click.option("--key-file", metavar="FILE", help="With a URL: a file with the API key.")
@click.option("--certificates", envvar="INDELIBLE_CERTIFICATES", metavar="FILE", help="Trust these for TLS.")
@pins_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(
    file: str,
    payload: str | None,
    keys: tuple[str, ...],
    witnesses: tuple[str, ...],
    quorum: int | None,
    statements: str | None,
    key_file: str | None,
    certificates: str | None,
    pins: Path | None,
    *,
    payloads: bool,
    as_json: bool,
) -> Exit:
    """Check FILE without a server: evidence, a proof of events or of a head, a receipt, a checkpoint.

    With the URL of a log (https://HOST/logs/LOG): read its whole history by tiles, and check that it
    continues the head that was seen before.

    Exit code 0 means that all that it claims is proved; 6 that something could not be checked; 1 that
    something is wrong. The key must come from somewhere else than FILE: `indelible log show LOG` prints it.
    Evidence names its writers by the word of the log _audit: give that log's key as well.
    """
    from indelible.client.examine import examine_file, members  # noqa: PLC0415 - slow to import
    from indelible.client.trust import trust  # noqa: PLC0415 - same

    limits = limits_from(os.environ)
    if quorum is not None and not witnesses:
        raise click.UsageError("--quorum says how many of the keys of --witness suffice")
    told = read_statement_file(statements, limits.proof_file_bytes)
    trusted = [key for given in keys for key in read_keys(given, limits.proof_file_bytes)]
    known = [key for given in witnesses for key in read_keys(given, limits.proof_file_bytes)]
    if is_url(file) and known:
        raise click.UsageError("--witness goes with a file: fetch the checkpoint, and verify that")
    if is_url(file):
        session = Session(file, read_key(key_file), certificates, as_json, pins)
        examined = look(session, trusted, told, payloads=payloads)
    else:
        content = None if payload is None else _read(payload, limits.proof_file_bytes)
        with _open(file) as opened, Progress(f"verifying {file}", None, "bytes") as progress:
            examined = examine_file(
                opened, content, trust(trusted, told, known, quorum), limits, progress.update
            )
    if as_json:
        print_json(members(examined))
    else:
        for claim in examined.claims:
            print(f"{_MARKS[claim.verdict]}  {clean(claim.says)}")
        print(_ENDS[examined.verdict].format(what="log" if examined.kind == "log" else "file"))
    return _EXITS[examined.verdict]


@contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    """Open a file; `-` is standard input, kept in a temporary file, since a zip is read from its end."""
    if path != "-":
        with Path(path).open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.seek(0)
        yield kept


def _read(path: str, most_bytes: int) -> bytes:
    """Read a file of a bounded size; `-` is standard input."""
    with _open(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise CommandFailed(f"{path} has more than {most_bytes} bytes: it is no event and no file of keys")
    return data


def read_statement_file(path: str | None, most_bytes: int = DEFAULT_LIMITS.proof_file_bytes) -> list[bytes]:
    """The key statements in a file; none where none was named."""
    from indelible.client.trust import read_statements  # noqa: PLC0415 - slow to import

    return [] if path is None else read_statements(_read(path, most_bytes))


def read_keys(given: str, most_bytes: int = DEFAULT_LIMITS.proof_file_bytes) -> list[str]:
    """A verifier key, or the keys in a file: lines that are not blank and do not begin with `#`."""
    if "+" in given and not Path(given).exists():
        return [given]
    lines = [line.strip() for line in _read(given, most_bytes).decode(errors="replace").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
