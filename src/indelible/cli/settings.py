"""`indelible config`: which settings a server would have, where each was given, and what they lean on."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import click

from indelible.cli.exits import Exit
from indelible.cli.operate import refusals
from indelible.cli.output import print_json, print_table
from indelible.cli.session import json_option
from indelible.config import DEFAULT, Settings, sourced

HIDDEN = "(set)"


@click.group()
def config() -> None:
    """Look at the settings of a server."""


@config.command()
@click.option(
    "--config",
    "file",
    envvar="INDELIBLE_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The TOML file that the server is given.",
)
@click.option("--data", type=click.Path(path_type=Path), help="The data directory, where the file has none.")
@json_option
def check(file: Path | None, data: Path | None, *, as_json: bool) -> int:
    """Print the settings with where each was given, and check what they name.

    Reads the same file and variables as `serve`. Nothing is made or started. Exit code 1: a server would not
    start, or not do what it is asked.
    """
    from indelible.operate.doctor import main_state  # noqa: PLC0415 - brings the store in
    from indelible.operate.preflight import preflight  # noqa: PLC0415 - same

    found = sourced(data, file)
    rows = list(_rows(found.settings, found.sources))
    with refusals():
        checks = list(preflight(found.settings))
    if as_json:
        settings = {name: {"value": value, "from": source} for name, value, source in rows}
        told = {"settings": settings, "checks": [each._asdict() for each in checks]}
        print_json({"state": main_state(checks), **told})
    else:
        print_table(("setting", "value", "from"), rows)
        print()
        print_table(("check", "state", "says"), checks)
    return Exit.REFUSED if main_state(checks) == "bad" else Exit.OK


def _rows(settings: Settings, sources: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    values = {name: getattr(settings, name) for name in Settings.__dataclass_fields__ if name != "limits"}
    for name, value in values.items():
        if value is not None and name not in {"no_auth", "accept_clock"}:
            yield name, _shown(name, value), sources.get(name, DEFAULT)
    for name, value in asdict(settings.limits).items():
        if f"limits.{name}" in sources:
            yield f"limits.{name}", value, sources[f"limits.{name}"]


def _shown(name: str, value: object) -> object:
    if name == "root_key":
        return HIDDEN
    if name == "database":
        before, at, rest = str(value).rpartition("@")
        scheme, _, user = before.partition("://")
        return f"{scheme}://{user.partition(':')[0]}@{rest}" if at else HIDDEN
    return str(value) if isinstance(value, Path) else value
