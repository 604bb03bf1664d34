"""`indelible log …`."""

from typing import TYPE_CHECKING, Any

import click

from indelible.cli.output import print_json, print_members, print_table
from indelible.cli.session import Session, with_pins, with_session
from indelible.model.errors import Problem

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client


@click.group()
def log() -> None:
    """Create, list and look at logs."""


@log.command()
@click.argument("name")
@with_session
def create(session: Session, name: str) -> None:
    """Create a log called NAME."""
    with session.client(tries=1) as client:
        made = client.create_log(name)
    if session.as_json:
        print_json(made)
    else:
        print_members({"log_id": made.log_id, "name": made.name, "origin": made.origin})


@log.command("list")
@with_session
def list_logs(session: Session) -> None:
    """List the logs that the key may see."""
    with session.client() as client:
        logs = list(client.logs())
    if session.as_json:
        print_json({"logs": logs})
        return
    print_table(("name", "log_id", "events", "last event"), [_row(entry) for entry in logs])


@log.command()
@click.argument("log_name", metavar="LOG")
@with_session
@with_pins
def show(session: Session, log_name: str) -> None:
    """Show a log, by its name or its id: its head, and the keys that sign it.

    Its signed head must continue the one that was seen before.
    """
    with session.client() as client:
        found = client.log(log_name)
        keys = client.log_keys(log_name)
        signed = _signed(client, log_name)
    if session.as_json:
        listed = keys.get("keys", []) if isinstance(keys, dict) else keys
        print_json({"log": found, "keys": listed, "checkpoint": signed})
        return
    head = found.head
    print_members(
        {
            "log_id": found.log_id,
            "name": found.name,
            "origin": found.origin,
            "created": found.created,
            "events": head.size if head else 0,
            "root": head.root if head else "",
            "last event": head.time if head else None,
            "signed head": _sized(signed),
        }
    )
    for key in keys.get("keys", []) if isinstance(keys, dict) else []:
        print()
        print_members(key)


def _signed(client: "Client", log: str) -> str:
    """The newest checkpoint, compared with the last one; or why there is none, which is no failure here."""
    try:
        return client.checkpoint(log).decode(errors="replace")
    except Problem as problem:
        return f"none: {problem}"


def _sized(signed: str) -> str:
    """How many events a checkpoint covers, which is its second line."""
    lines = signed.split("\n")
    return f"{lines[1]} events" if len(lines) > 1 else signed


def _row(entry: Any) -> tuple[Any, ...]:
    head = entry.head
    return entry.name, entry.log_id, head.size if head else 0, head.time if head else None
