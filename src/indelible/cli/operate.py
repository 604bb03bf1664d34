"""`indelible backup`, `restore` and `doctor`: work on a data directory, beside a server or without one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from indelible.cli.exits import CommandFailed, Exit
from indelible.cli.output import Progress, print_json, print_members, print_table
from indelible.cli.session import json_option

_DIRECTORY = click.Path(path_type=Path, file_okay=False)
OBJECTS = click.option(
    "--objects",
    metavar="URL",
    envvar="OBJECTS",
    help="Where its objects are: s3://BUCKET/PREFIX, or a folder; also the variable OBJECTS.",
)
DATABASE = click.option(
    "--database",
    metavar="URL",
    envvar="DATABASE_URL",
    help="Its PostgreSQL, where the store is not in --data; also the variable DATABASE_URL.",
)
DATA = click.option("--data", required=True, type=_DIRECTORY, help="The data directory.")


@click.command()
@DATA
@click.option("--to", "target", required=True, type=_DIRECTORY, help="A new directory for the copy.")
@click.option(
    "--include-secrets",
    is_flag=True,
    help="Copy the master secret and the root key too: whoever has the copy can then sign heads.",
)
@OBJECTS
@json_option
def backup(data: Path, target: Path, objects: str | None, *, include_secrets: bool, as_json: bool) -> None:
    """Copy a data directory, consistently, while a server may be writing to it."""
    from indelible.operate.backup import back_up  # noqa: PLC0415 - brings the store in

    with telling() as tell:
        manifest = back_up(data, target, include_secrets=include_secrets, progress=tell, objects=objects)
    if as_json:
        print_json(manifest)
        return
    files = manifest["files"]
    print_members(
        {
            "backup": str(target),
            "deployment": manifest["deployment"],
            "taken": manifest["taken"],
            "files": len(files) if isinstance(files, dict) else 0,
            "secrets": include_secrets,
        }
    )


@click.command()
@click.argument("backup_directory", metavar="[BACKUP]", type=_DIRECTORY, required=False)
@click.option(
    "--from",
    "archive",
    metavar="URL",
    help="Rebuild from an archive instead: s3://BUCKET/PREFIX, or a folder objects.",
)
@click.option("--data", required=True, type=_DIRECTORY, help="A new data directory.")
@click.option(
    "--master-secret",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file with the master secret, where the backup has none.",
)
@click.option(
    "--published",
    metavar="URL",
    help="The original's objects (a folder, or s3://BUCKET/PREFIX): giving it declares the original dead, and"
    " lets the copy go on where it is no older than what was published.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="With --from: a checkpoint that somebody kept, which the rebuilt log must continue.",
)
@click.option(
    "--database",
    metavar="URL",
    help="With --from: put the store into this empty PostgreSQL database instead of --data.",
)
@json_option
def restore(
    backup_directory: Path | None,
    archive: str | None,
    data: Path,
    master_secret: Path | None,
    published: str | None,
    checkpoint: Path | None,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    """Make the data directory --data from BACKUP or an archive, recomputed in whole before it can be served.

    Without --published the copy is read-only: a log that goes on from an older state would have two heads
    of one size.
    """
    if (backup_directory is None) == (archive is None):
        raise click.UsageError("give a BACKUP, or an archive with --from")
    if backup_directory is not None:
        if checkpoint is not None or database is not None:
            raise click.UsageError("--checkpoint and --database go with --from")
        done = _from_backup(backup_directory, data, master_secret, published)
    else:
        done = _from_archive(str(archive), data, master_secret, published, checkpoint, database)
    members = {**done, "data": str(data)}
    if as_json:
        print_json(members)
    else:
        print_members({name.replace("_", " "): value for name, value in members.items()})


def _from_backup(
    backup_directory: Path, data: Path, master_secret: Path | None, published: str | None
) -> dict[str, object]:
    from indelible.operate.restore import restore as bring_back  # noqa: PLC0415 - brings the store in

    with telling() as tell:
        done = bring_back(
            backup_directory, data, master_secret=master_secret, published=published, progress=tell
        )
    return done._asdict()


def _from_archive(
    archive: str,
    data: Path,
    master_secret: Path | None,
    published: str | None,
    checkpoint: Path | None,
    database: str | None,
) -> dict[str, object]:
    from indelible.operate.rebuild import rebuild  # noqa: PLC0415 - brings the store in

    with telling() as tell:
        done = rebuild(
            archive,
            data,
            master_secret=master_secret,
            published=published,
            checkpoint=checkpoint,
            progress=tell,
            database=database,
        )
    return done._asdict()


@click.command()
@DATA
@DATABASE
@OBJECTS
@json_option
def doctor(data: Path, database: str | None, objects: str | None, *, as_json: bool) -> int:
    """Examine a deployment, beside a running server or without one. Exit code 1: something is bad."""
    from indelible.operate.doctor import examine, main_state  # noqa: PLC0415 - brings the store in

    with refusals():
        checks = list(examine(data, objects, database))
    if as_json:
        print_json({"state": main_state(checks), "checks": [check._asdict() for check in checks]})
    else:
        print_table(("check", "state", "says"), checks)
    return Exit.REFUSED if main_state(checks) == "bad" else Exit.OK


@click.command()
@click.option(
    "--database", metavar="URL", envvar="DATABASE_URL", required=True, help="Its URL, as its owner."
)
@json_option
def migrate(database: str, *, as_json: bool) -> None:
    """Bring the schema of a PostgreSQL database to this version, so that nodes need not be allowed to."""
    from indelible.store.databases import open_shared_store  # noqa: PLC0415 - brings the store in

    with refusals():
        store = open_shared_store(database)
    version = store.schema_version
    store.close()
    if as_json:
        print_json({"schema_version": version})
    else:
        print(f"schema version {version}")


@contextmanager
def telling() -> Iterator[Callable[[str, int, int], None]]:
    """Give what turns the steps of a long work into progress."""
    current: tuple[str, Progress] | None = None

    def tell(what: str, done: int, total: int) -> None:
        nonlocal current
        if current is None or current[0] != what:
            if current is not None:
                current[1].close()
            current = (what, Progress(what, total, "done"))
        current[1].update(done, total)

    try:
        with refusals():
            yield tell
    finally:
        if current is not None:
            current[1].close()


@contextmanager
def refusals() -> Iterator[None]:
    """Tell a store that refuses as a failed command, and what is logged meanwhile on standard error."""
    import structlog  # noqa: PLC0415 - a server's library

    from indelible.store.base import StoreRefused  # noqa: PLC0415 - brings the store in

    structlog.configure(logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr))
    try:
        yield
    except StoreRefused as error:
        raise CommandFailed(str(error)) from None
