"""What commands print: JSON, tables, and progress that shows only where somebody looks."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from indelible.cli.text import clean, shorten

QUIET_SECONDS = 1.0
"""How long a command runs before it shows progress."""

_CELL_WIDTH = 80


def print_json(value: Any) -> None:
    """Print a value, a frozen result of the client included, as one line of JSON."""
    import msgspec  # noqa: PLC0415 - not needed by every command

    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def print_members(members: Mapping[str, Any]) -> None:
    """Print names and values below each other."""
    width = max(map(len, members), default=0)
    for name, value in members.items():
        print(f"{name:<{width}}  {cell(value)}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print a table: drawn on a terminal, tab-separated with a heading elsewhere."""
    texts = [[cell(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        if title:
            print(title)
        for line in [list(columns), *texts]:
            print("\t".join(line))
        return
    from rich import box  # noqa: PLC0415 - slow to import
    from rich.console import Console  # noqa: PLC0415 - same
    from rich.table import Table  # noqa: PLC0415 - same
    from rich.text import Text  # noqa: PLC0415 - same

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for line in texts:
        table.add_row(*(Text(shorten(text, _CELL_WIDTH)) for text in line))
    Console().print(table)


def cell(value: Any) -> str:
    """Write a value for people; anything that could steer a terminal is escaped."""
    if value is None:
        return ""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    return clean(json.dumps(value, ensure_ascii=False, default=str))


class Progress:
    """A bar on standard error, shown only on a terminal and only when the work takes longer than a second.

    Args:
        label: what is being done.
        total: how much there is, or None where nobody knows.
        unit: "bytes", or what is counted.
    """

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        self._label = label
        self._total = total
        self._unit = unit
        self._begin = time.monotonic()
        self._wanted = sys.stderr.isatty()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: float, total: float | None = None) -> None:
        """Say how much is done, and how much there is where that has changed."""
        if not self._wanted:
            return
        self._total = total if total is not None else self._total
        if self._bar is None:
            if time.monotonic() - self._begin < QUIET_SECONDS:
                return
            self._start()
        self._bar.update(self._task, completed=done, total=self._total)

    def _start(self) -> None:
        from rich import progress  # noqa: PLC0415 - slow to import
        from rich.console import Console  # noqa: PLC0415 - same

        counted = (
            (progress.DownloadColumn(), progress.TransferSpeedColumn())
            if self._unit == "bytes"
            else (progress.MofNCompleteColumn(), progress.TextColumn(self._unit))
        )
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            *counted,
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._label, total=self._total)
        self._bar.start()
