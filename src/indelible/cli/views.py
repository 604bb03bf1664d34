"""`indelible view …`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from indelible.cli import authoring
from indelible.cli.exits import CommandFailed
from indelible.cli.output import Progress, print_json, print_members, print_table
from indelible.cli.session import Session, with_session

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client, Report, View

_POLL_SECONDS = 0.2
_YAML = (".yaml", ".yml")


@click.group()
def view() -> None:
    """Write, try, deploy, list, look at and delete views."""


for _command in (authoring.new, authoring.build, authoring.test, authoring.bench):
    view.add_command(_command)


@view.command()
@click.argument("log", metavar="LOG")
@click.argument("name")
@click.argument("file", type=click.File("rb"), required=False, metavar="[FILE.wasm]")
@click.option("--builtin", metavar="NAME", help="A view that is shipped, such as compliance-report.")
@click.option("--config", type=click.File("rb"), help="The view's configuration: JSON, or a .yaml file.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the replay has reached the head.")
@with_session
def deploy(
    session: Session,
    log: str,
    name: str,
    file: BinaryIO | None,
    builtin: str | None,
    config: BinaryIO | None,
    *,
    no_wait: bool,
) -> None:
    """Deploy FILE.wasm, or a --builtin view, over LOG as NAME, and wait for its replay."""
    if (file is None) == (builtin is None):
        raise click.UsageError("give either a FILE.wasm or --builtin NAME")
    # A component may take a minute to compile, and the answer comes after that.
    with session.client() as client:
        deployed = client.deploy(
            log,
            name,
            component=file.read() if file else None,
            builtin=builtin,
            config=_read_config(config),
        )
        if not no_wait:
            deployed = _wait(client, log, name, deployed)
    _show(session, deployed)
    if deployed.state == "failed" or (deployed.pending or {}).get("state") == "failed":
        raise CommandFailed(f"the view failed: {_reason(deployed)}")


@view.command()
@click.argument("name", required=False, metavar="[NAME]")
@with_session
def catalogue(session: Session, name: str | None) -> None:
    """List the views that can be deployed by name, or show the parameters and an example of NAME."""
    with session.client() as client:
        reports = client.catalogue()
    if name is None:
        if session.as_json:
            print_json({"reports": reports})
            return
        print_table(
            ("name", "title", "serves"), [(one.name, one.title, ", ".join(one.serves)) for one in reports]
        )
        return
    found = next((one for one in reports if one.name == name), None)
    if found is None:
        raise CommandFailed(f"there is no {name} in the catalogue")
    if session.as_json:
        print_json(found)
        return
    _show_report(found)


@view.command("list")
@click.argument("log", metavar="LOG")
@with_session
def list_views(session: Session, log: str) -> None:
    """List the views of LOG."""
    with session.client() as client:
        views = client.views(log)
    if session.as_json:
        print_json({"views": views})
        return
    print_table(
        ("name", "version", "state", "applied", "head", "world", "sha256"),
        [(v.name, v.version, v.state, v.applied, v.head, v.world, v.sha256[:12]) for v in views],
    )


@view.command()
@click.argument("log", metavar="LOG")
@click.argument("name")
@with_session
def status(session: Session, log: str, name: str) -> None:
    """Show how far a view has folded, and why it failed if it did."""
    with session.client() as client:
        found = client.view(log, name)
    _show(session, found)


@view.command()
@click.argument("log", metavar="LOG")
@click.argument("name")
@with_session
def versions(session: Session, log: str, name: str) -> None:
    """List the versions that a view has had, the newest first."""
    with session.client() as client:
        found = list(client.versions(log, name))
    if session.as_json:
        print_json({"versions": found})
        return
    print_table(
        ("version", "state", "created", "author", "builtin", "sha256", "config"),
        [
            (v.version, v.state, v.created, v.author, v.builtin, v.sha256[:12], v.config_sha256[:12])
            for v in found
        ],
    )


@view.command()
@click.argument("log", metavar="LOG")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@with_session
def rollback(session: Session, log: str, name: str, version: int | None) -> None:
    """Let another VERSION of a view answer at once; without one, the newest below that which answers now."""
    with session.client() as client:
        found = client.roll_back(log, name, version)
    _show(session, found)


@view.command()
@click.argument("log", metavar="LOG")
@click.argument("name")
@with_session
def delete(session: Session, log: str, name: str) -> None:
    """Delete a view. Its log stays as it is, and the view can be deployed again."""
    with session.client() as client:
        client.delete_view(log, name)
    if session.as_json:
        print_json({"deleted": name})


def _show_report(found: "Report") -> None:
    print_members({"title": found.title, "description": found.description, "serves": ", ".join(found.serves)})
    print()
    print_table(
        ("parameter", "type", "default", "description"),
        [
            (name, told.get("type"), told.get("default"), told.get("description"))
            for name, told in found.parameters.get("properties", {}).items()
        ],
    )
    print()
    params = " ".join(f"{name}={value}" for name, value in found.example["params"])
    print_members({"for example": params or "without parameters", "of": found.example["events"]})


def _read_config(config: BinaryIO | None) -> Any:
    if config is None:
        return None
    import msgspec  # noqa: PLC0415 - arrives with the client

    content = config.read()
    if Path(config.name).suffix in _YAML:
        return content.decode()  # the view reads it: it travels as a text
    try:
        return msgspec.json.decode(content, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        raise CommandFailed(f"the configuration is not JSON, and not named .yaml: {error}") from None


def _wait(client: "Client", log: str, name: str, deployed: "View") -> "View":
    """Poll until the newest version is live or has failed."""
    with Progress(f"replaying {log} into {name}", deployed.head or None, "events") as progress:
        while True:
            coming = deployed.pending or {"state": deployed.state, "applied": deployed.applied}
            if coming.get("state") != "replaying":
                return deployed
            progress.update(float(coming.get("applied") or 0), float(deployed.head) or None)
            time.sleep(_POLL_SECONDS)
            deployed = client.view(log, name)


def _show(session: Session, found: "View") -> None:
    if session.as_json:
        print_json(found)
        return
    members: dict[str, Any] = {
        "view": f"{found.name}@{found.version}",
        "view_id": found.view_id,
        "sha256": found.sha256,
        "world": found.world,
        "state": found.state,
        "applied": f"{found.applied} of {found.head}",
        "memory": f"{found.memory_bytes / (1 << 20):.1f} MiB",
    }
    if found.error:
        members["error"] = _reason(found)
    if found.pending:
        members["pending"] = found.pending
    print_members(members)


def _reason(found: "View") -> str:
    error = found.error or (found.pending or {}).get("error") or {}
    where = f" at event {error['sequence']}" if "sequence" in error else ""
    return f"{error.get('reason') or error.get('detail') or 'no reason was given'}{where}"
