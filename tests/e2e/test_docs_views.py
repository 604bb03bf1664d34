"""The walk of docs/views.md, typed as it stands: what a stranger copies works, and answers as it says."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from indelible.cli.child import ChildServer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "views.md").read_text()
WALK = PAGE.partition("## From nothing to an answer")[2].partition("\n## What a view says")[0]
INSTALLS = "pip install 'indelible[server]' componentize-py"
SERVES = "indelible serve --data ./data --no-auth"
BUILD_SECONDS = 300


class Block(NamedTuple):
    """A fenced block: its language and what stands in it."""

    kind: str
    text: str


class Typed(NamedTuple):
    """A command, and the lines that it is said to print."""

    command: str
    says: Sequence[str]


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a text, in order."""
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]


def typed_in(block: Block) -> Iterator[Typed]:
    """Give the commands of a console block."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, says = part.partition("\n")
        yield Typed(command, says.splitlines())


def pattern_of(lines: Sequence[str]) -> re.Pattern[str]:
    """Return what printed lines look like: a line of `…` is any number of lines, one inside is any text."""
    parts = [r"(?:.*\n)*?" if line == "…" else _line(line) for line in lines]
    return re.compile("".join(parts))


def _line(line: str) -> str:
    pieces = (r"[ \t]+".join(map(re.escape, re.split(r"[ \t]+", piece))) for piece in line.split("…"))
    return ".*".join(pieces) + r"\n"


class Walker:
    """Does what the page says, one block after the other, as somebody who copies it would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.typed: list[str] = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("INDELIBLE_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def do(self, block: Block, serve: Callable[[Path], str]) -> None:
        """Do what one block says."""
        if block.kind == "python":
            (self._folder / "app.py").write_text(block.text)
        elif block.kind == "yaml":
            (self._folder / "by-type.yaml").write_text(block.text)
        elif block.kind == "console":
            for typed in typed_in(block):
                self._type(typed)
        elif block.text.strip() == SERVES:
            self._environment["INDELIBLE_URL"] = serve(self._folder / "data")
        else:
            assert block.text.strip() == INSTALLS  # this environment has them

    def _type(self, typed: Typed) -> None:
        self.typed.append(typed.command)
        if typed.command.startswith("cd "):
            self._folder /= typed.command.removeprefix("cd ")
            return
        done = subprocess.run(
            ["bash", "-c", typed.command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
        assert done.returncode == 0, f"{typed.command}\n{done.stdout}"
        printed = done.stdout if done.stdout.endswith("\n") else done.stdout + "\n"
        assert pattern_of(typed.says).fullmatch(printed), f"{typed.command}\n{printed}\nis not\n" + "\n".join(
            typed.says
        )


def test_the_walk_works_as_it_is_written(tmp_path: Path) -> None:
    """From `view new` to answers of a deployed view and a deployed spec, each command and what it prints."""
    pytest.importorskip("componentize_py", reason="needs componentize-py: pip install componentize-py")
    walker = Walker(tmp_path)
    with ExitStack() as servers:
        for block in blocks_of(WALK):
            walker.do(block, lambda data: servers.enter_context(ChildServer(data)).url)
    words = " ".join(walker.typed)
    for step in ("view new", "view build", "view test", "unittest", "view deploy", "query", "curl"):
        assert step in words
