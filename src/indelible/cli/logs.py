"""`indelible log …`."""

from typing import TYPE_CHECKING, Any

import click

from indelible.cli.output import print_json, print_members, print_table
from indelible.cli.session import Session, with_pins, with_session
from indelible.cli.text import clean
from indelible.model.errors import Problem

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client


@click.group()
def log() -> None:
    """Create, list and look at logs, publish their proofs, and rotate their keys."""


@log.command()
@click.argument("name")
@click.option("--public-proofs", is_flag=True, help="Its checkpoint, tiles and keys need no key.")
@with_session
def create(session: Session, name: str, *, public_proofs: bool) -> None:
    """Create a log called NAME."""
    with session.client(tries=1) as client:
        made = client.create_log(name, public_proofs=public_proofs)
    if session.as_json:
        print_json(made)
    else:
        print_members({"log_id": made.log_id, "name": made.name, "origin": made.origin})


@log.command("publish-proofs")
@click.argument("log_name", metavar="LOG")
@click.option("--off", is_flag=True, help="Ask for a key again. What others have kept stays with them.")
@with_session
def publish_proofs(session: Session, log_name: str, *, off: bool) -> None:
    """Let all who know LOG's id see its checkpoint, tiles and keys without a key.

    They learn how many events LOG has, when each was received and by which key it was written, and nothing
    of what the events say.
    """
    with session.client() as client:
        changed = client.publish_proofs(log_name, public=not off)
    if session.as_json:
        print_json(changed)
        return
    path = f"{session.url.rstrip('/')}/logs/{changed.log_id}/checkpoint"
    print_members({"log_id": changed.log_id, "public proofs": changed.public_proofs, "checkpoint": path})


@log.command("rotate-key")
@click.argument("log_name", metavar="LOG")
@with_session
def rotate_key(session: Session, log_name: str) -> None:
    """Let another key follow the one that signs LOG's heads.

    The old key signs beside it for a while (`key_overlap_seconds`), and no head above its end counts by its
    word alone. The statement, which both keys signed, is what whoever trusts the old key needs.
    """
    with session.client(tries=1) as client:
        made = client.rotate_key(log_name)
    if session.as_json:
        print_json(made)
        return
    print_members({"verifier_key": made.verifier_key, "valid_from_size": made.valid_from_size})
    print()
    for line in (made.statement or "").splitlines():
        print(clean(line))


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
            "public proofs": found.public_proofs,
            "events": head.size if head else 0,
            "root": head.root if head else "",
            "last event": head.time if head else None,
            "signed head": _sized(signed),
        }
    )
    for key in keys.get("keys", []) if isinstance(keys, dict) else []:
        print()
        print_members({name: value for name, value in key.items() if name != "statement"})


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
