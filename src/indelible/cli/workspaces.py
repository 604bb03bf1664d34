"""`indelible workspace …`."""

import click

from indelible.cli.keys import print_new_key
from indelible.cli.output import print_json, print_members, print_table
from indelible.cli.session import Session, with_session


@click.group()
def workspace() -> None:
    """Create and list workspaces: isolated accounts with their own logs and keys."""


@workspace.command()
@click.argument("name")
@with_session
def create(session: Session, name: str) -> None:
    """Make a workspace. The secret of its first key is printed once, and can never be shown again."""
    with session.client(tries=1) as client:
        made = client.create_workspace(name)
    if session.as_json:
        print_json(made)
        return
    print_members({"workspace_id": made.workspace_id, "name": made.name, "audit log": made.audit_log_id})
    if made.key is not None:
        print()
        print_new_key(session, made.key, None, None)


@workspace.command("list")
@with_session
def list_workspaces(session: Session) -> None:
    """List the workspaces of the deployment."""
    with session.client() as client:
        workspaces = client.workspaces()
    if session.as_json:
        print_json({"workspaces": workspaces})
        return
    print_table(
        ("name", "workspace_id", "created"), [(w.name, w.workspace_id, w.created) for w in workspaces]
    )
