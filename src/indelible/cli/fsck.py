"""`indelible fsck`: recompute a store, and name all that was changed underneath."""

import os
import time
from pathlib import Path

import click

from indelible.cli.exits import Exit
from indelible.cli.operate import DATA, DATABASE, OBJECTS, telling
from indelible.cli.output import cell, print_json
from indelible.cli.session import json_option
from indelible.config import limits_from


@click.command()
@DATA
@click.option("--log", "logs", multiple=True, help="Only this log (name or id); may be given again.")
@DATABASE
@OBJECTS
@json_option
def fsck(
    data: Path, logs: tuple[str, ...], database: str | None, objects: str | None, *, as_json: bool
) -> int:
    """Recompute every event of a deployment, and name each difference by log and sequence.

    Nothing is changed, and a server may be running on it. Exit code 1: something differs.
    """
    from indelible.operate.fsck import Fsck  # noqa: PLC0415 - brings the store in
    from indelible.operate.sites import Site  # noqa: PLC0415 - same

    limits = limits_from(os.environ)
    started = time.monotonic()
    with telling() as tell, Site(data, objects=objects, url=database) as site:
        examination = Fsck(site, limits, tell, logs)
        for difference in examination.differences():
            if as_json:
                print_json(difference._asdict())
            else:
                print(_line(**difference._asdict()))
        count = examination.count
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        state = "bad" if count.differences else "ok"
        print_json({"state": state, **count.members(), "seconds": seconds})
    else:
        print(_summary(count.logs, count.events, count.differences, count.listed))
    return Exit.REFUSED if count.differences else Exit.OK


def _line(
    *,
    kind: str,
    workspace: str | None,
    log: str | None,
    log_id: str | None,
    sequence: int | None,
    found: str,
) -> str:
    places = {"workspace": workspace, "log": log and f"{log} ({log_id})", "event": sequence}
    if log is None and sequence is not None:
        places = {"workspace": workspace, "_audit event": sequence}
    where = ", ".join(f"{name} {value}" for name, value in places.items() if value is not None)
    return cell(f"{kind}: {where}: {found}" if where else f"{kind}: {found}")


def _summary(logs: int, events: int, differences: int, listed: int) -> str:
    said = f"{events:,} events in {logs:,} logs recomputed, from payload to root"
    if not differences:
        return f"{said}: nothing differs"
    more = f", of which {listed:,} are listed" if listed < differences else ""
    return f"{said}: {differences:,} differences{more}"
