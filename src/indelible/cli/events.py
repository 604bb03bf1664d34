"""`indelible events`: read a log, or follow it."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from indelible.cli.session import Session, with_session
from indelible.cli.text import clean

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client, Event

DEFAULT_LIMIT = 100


@click.command()
@click.argument("log", metavar="LOG")
@click.option("--after-sequence", type=click.IntRange(0), help="Begin after this event.")
@click.option("--from", "from_", metavar="TIME", help="Received at this time or later (RFC 3339).")
@click.option("--to", metavar="TIME", help="Received before this time (RFC 3339).")
@click.option(
    "--order",
    type=click.Choice(["asc", "desc"]),
    default="asc",
    show_default=True,
    help="Oldest or newest first.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=DEFAULT_LIMIT, show_default=True, help="At most so many."
)
@click.option("--follow", is_flag=True, help="Wait for what comes next, until Ctrl-C.")
@click.option("--exact", is_flag=True, help="With --json: payloads as base64 of their exact bytes.")
@with_session
def events(
    session: Session,
    log: str,
    after_sequence: int | None,
    from_: str | None,
    to: str | None,
    order: str,
    limit: int,
    *,
    follow: bool,
    exact: bool,
) -> None:
    """Read events of LOG: sequence, time and payload, one a line; with --json one object a line.

    --follow begins at the head unless --after-sequence says otherwise.
    """
    if follow and (from_ or to or order == "desc"):
        raise click.UsageError("--follow goes forward from a sequence: leave out --from, --to and --order")
    with session.client() as client:
        if follow:
            _print(session, _follow(client, log, after_sequence, exact=exact))
            return
        found = client.stream_events(
            log,
            after_sequence=after_sequence,
            from_=from_,
            to=to,
            order="desc" if order == "desc" else "asc",
            exact=exact,
        )
        _print(session, islice(found, limit))


def _follow(client: "Client", log: str, after: int | None, *, exact: bool) -> "Iterator[Event]":
    if after is None:
        head = client.log(log).head
        after = head.size if head else 0
    return client.follow_events(log, after_sequence=after, exact=exact)


def _print(session: Session, found: "Iterable[Event]") -> None:
    import msgspec  # noqa: PLC0415 - arrives with the client

    for event in found:
        if session.as_json:
            sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        else:
            payload = event.payload_bytes.decode(errors="backslashreplace")
            sys.stdout.write(f"{event.sequence}\t{event.time}\t{clean(payload)}\n")
        sys.stdout.flush()
