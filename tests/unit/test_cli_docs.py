"""docs/cli.md says what the command line does."""

import re
from pathlib import Path

import click
import pytest

from indelible.cli.csvrows import COLUMNS
from indelible.cli.exits import Exit
from indelible.cli.root import COMMANDS, root

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
SHARED = {"--url", "--key-file", "--certificates", "--json", "--help"}


def every_command() -> list[tuple[str, click.Command]]:
    """Give the full name of every command, and the command."""
    found: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        inner = command.commands if isinstance(command, click.Group) else None
        found += (
            [(name, command)] if inner is None else [(f"{name} {sub}", each) for sub, each in inner.items()]
        )
    return found


@pytest.mark.parametrize(("name", "command"), every_command())
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    """Each command stands in the table with each of its own options."""
    rows = [row for row in DOCS.splitlines() if row.startswith("| `indelible ")]
    line = " ".join(row for row in rows if re.search(rf"`(indelible )?{name}\b", row))
    assert line, f"{name} is missing"
    options = {option.opts[0] for option in command.params if isinstance(option, click.Option)} - SHARED
    assert {option for option in options if option not in line} == set()


def test_every_exit_code_is_documented() -> None:
    """The table of exit codes is the one of the code, and 70 of the server."""
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCS, re.MULTILINE)}
    assert rows == {int(code) for code in Exit} | {70}


def test_the_columns_are_documented() -> None:
    """The CSV's columns stand there in their order."""
    assert f"`{' '.join(COLUMNS)}`" in DOCS
