"""`indelible key …`."""

import os
from typing import TYPE_CHECKING

import click

from indelible.cli.output import print_json, print_members, print_table
from indelible.cli.session import Session, with_session

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Key

SCOPES = ("append", "read", "query", "deploy", "admin")


@click.group()
def key() -> None:
    """Create, list and revoke API keys."""


@key.command()
@click.option("--label", default="", help="What the key is for; it stands in the log _audit.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Repeat for more.")
@click.option("--preset", metavar="NAME", help="Scopes by name: auditor, writer.")
@click.option("--log", "logs", multiple=True, help="Restrict the key to this log; repeat for more.")
@click.option("--view", "views", multiple=True, help="Restrict the key to this view; repeat for more.")
@click.option("--not-before", metavar="TIME", help="Not valid before this time (RFC 3339).")
@click.option("--expires", metavar="TIME", help="Not valid from this time on (RFC 3339).")
@click.option("--workspace", metavar="NAME", help="In this workspace (root only).")
@click.option("--output", metavar="FILE", help="Write the secret to a new file that only you can read.")
@with_session
def create(
    session: Session,
    label: str,
    scopes: tuple[str, ...],
    preset: str | None,
    logs: tuple[str, ...],
    views: tuple[str, ...],
    not_before: str | None,
    expires: str | None,
    workspace: str | None,
    output: str | None,
) -> None:
    """Make a key. Its secret is printed once, and can never be shown again."""
    if not scopes and preset is None:
        raise click.UsageError("say what the key may do: --scope (repeatable) or --preset auditor")
    secret_file = _new_file(output) if output else None
    with session.client(tries=1) as client:
        made = client.create_key(
            label=label,
            scopes=scopes,
            preset=preset,
            logs=logs or None,
            views=views or None,
            not_before=not_before,
            expires=expires,
            workspace=workspace,
        )
    print_new_key(session, made, output, secret_file)


@key.command("list")
@with_session
def list_keys(session: Session) -> None:
    """List the keys of the workspace."""
    with session.client() as client:
        keys = client.keys()
    if session.as_json:
        print_json({"keys": keys})
        return
    print_table(
        ("key_id", "label", "scopes", "logs", "expires", "revoked"),
        [
            (
                k.key_id,
                k.label,
                " ".join(k.scopes),
                "all" if k.logs is None else " ".join(k.logs),
                k.expires,
                k.revoked,
            )
            for k in keys
        ],
    )


@key.command()
@click.argument("key_id", metavar="KEY_ID")
@with_session
def revoke(session: Session, key_id: str) -> None:
    """Revoke a key; from the next request on it is refused."""
    with session.client() as client:
        client.revoke_key(key_id)
    if session.as_json:
        print_json({"revoked": key_id})


def print_new_key(session: Session, made: "Key", output: str | None, secret_file: int | None) -> None:
    """Show a key that was just made; its secret goes to the file where one was named."""
    import msgspec  # noqa: PLC0415 - arrives with the client

    if secret_file is not None:
        with os.fdopen(secret_file, "w") as file:
            file.write(f"{made.secret}\n")
        made = msgspec.structs.replace(made, secret=None)
    if session.as_json:
        print_json(made)
        return
    members: dict[str, str | None] = {
        "key_id": made.key_id,
        "writer": made.writer,
        "scopes": " ".join(made.scopes),
    }
    members["secret"] = made.secret if secret_file is None else f"in {output}"
    print_members(members)


def _new_file(path: str) -> int:
    """Open a new file for its owner alone, before the key is made, so that no secret is lost."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
