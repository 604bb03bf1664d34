"""`indelible trim`: archived events leave the database, and are read from the archive after that."""

import re
from pathlib import Path

import click

from indelible.cli.operate import telling
from indelible.cli.output import print_json, print_table
from indelible.cli.session import json_option
from indelible.config import sourced

_UNITS = {"d": 86_400, "h": 3_600, "s": 1}


class _Age(click.ParamType[int]):
    """A number of days (`90d`), hours (`36h`) or seconds (`3600s`)."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType`."""
        found = re.fullmatch(r"(\d{1,9})([dhs])", str(value))
        if found is None:
            self.fail(f"{value!r} is no age; write days, hours or seconds: 90d, 36h, 3600s", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command()
@click.option(
    "--older-than",
    metavar="AGE",
    type=_Age(),
    required=True,
    help="What leaves is older than this: 90d, 36h, 3600s.",
)
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The data directory.")
@click.option(
    "--database",
    metavar="URL",
    help="Its PostgreSQL, as the role that trims; also the variable DATABASE_URL.",
)
@click.option("--objects", metavar="URL", help="Where its archive is; also the variable OBJECTS.")
@click.option(
    "--config",
    "file",
    envvar="INDELIBLE_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The TOML file that the servers are given.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would leave.")
@json_option
def trim(
    older_than: int,
    data: Path | None,
    database: str | None,
    objects: str | None,
    file: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take old events out of the database that the archive holds; they are read from there after that.

    Each segment is read back and compared with the database before its events leave it. With PostgreSQL
    servers may run meanwhile, with SQLite none may.
    """
    from indelible.operate.trim import trim as take_out  # noqa: PLC0415 - brings the store in

    settings = sourced(data, file, database=database, objects=objects).settings
    with telling() as tell:
        logs = take_out(
            settings.data,
            older_than,
            settings.limits,
            tell,
            objects=settings.objects,
            url=settings.database,
            dry_run=dry_run,
        )
    if as_json:
        print_json({"dry_run": dry_run, "logs": [log._asdict() for log in logs]})
        return
    print_table(
        ("log", "log id", "would leave" if dry_run else "left now", "in the archive alone", "size"),
        [log for log in logs if log.events] or logs,
    )
