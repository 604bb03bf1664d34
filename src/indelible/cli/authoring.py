"""`indelible view new|build|test|bench`: what authors of views type, before there is a server."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from indelible.cli.exits import CommandFailed, Exit
from indelible.cli.output import print_json, print_members
from indelible.cli.session import json_option
from indelible.cli.text import clean
from indelible.config import limits_from
from indelible.model.instants import parse_instant

if TYPE_CHECKING:  # the host is slow to import
    from indelible.author.bench import Figures
    from indelible.author.report import Report
    from indelible.author.subject import Subject

START = "2026-01-01T00:00:00Z"
_EVENTS = click.File("rb")
_MIB = 1 << 20


@click.command()
@click.argument("name")
@click.option(
    "--lang",
    type=click.Choice(["python", "rust", "js"]),
    default="python",
    show_default=True,
    help="The language to write it in.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    help="The folder to make it in; default: the one that you are in.",
)
@json_option
def new(name: str, lang: str, into: Path, *, as_json: bool) -> None:
    """Make a folder NAME with a view that works: source, SDK, contract, events, tests."""
    from indelible.author.languages import Language  # noqa: PLC0415 - not needed by other commands
    from indelible.author.scaffold import ScaffoldRefused, scaffold  # noqa: PLC0415 - same

    try:
        folder = scaffold(name, Language(lang), into)
    except ScaffoldRefused as refused:
        raise CommandFailed(str(refused)) from None
    if as_json:
        print_json({"folder": str(folder), "name": name, "language": lang})
        return
    print(f"{folder} is there. Next:\n\n    cd {folder}\n    indelible view build")
    print(f"    indelible view test {name}.wasm --events events.ndjson --query 'actor=user_8f3a'")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".", required=False, metavar="[FOLDER]")
@json_option
def build(folder: Path, *, as_json: bool) -> None:
    """Make the component of the view in FOLDER (default: where you are).

    Installs nothing: where a tool is missing it says so, and the one command that gets it.
    """
    from indelible.author import build as builder  # noqa: PLC0415 - not needed by other commands

    try:
        project = builder.open_project(folder)
        print(f"building {project.component} …", file=sys.stderr)
        built = builder.build(project)
    except builder.BuildFailed as failed:
        raise CommandFailed(str(failed)) from None
    if as_json:
        print_json({"component": str(built.path), "bytes": built.size, "sha256": built.sha256})
        return
    print_members({"component": str(built.path), "size": f"{built.size:,} bytes", "sha256": built.sha256})


def _with_view(command: Any) -> Any:
    """Add what `test` and `bench` share."""
    for option in (
        click.argument("file", type=click.File("rb"), metavar="FILE.wasm"),
        click.option(
            "--query",
            "queries",
            multiple=True,
            metavar="QUERY",
            help="As in a URL after the ?; may be repeated.",
        ),
        click.option("--config", type=click.File("rb"), help="A JSON file with the view's configuration."),
        click.option(
            "--start",
            default=START,
            show_default=True,
            metavar="T",
            help="When the first event was received; each next one a second later.",
        ),
        json_option,
    ):
        command = option(command)
    return command


@click.command()
@click.option("--events", type=_EVENTS, required=True, help="NDJSON: a JSON value a line.")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Where batches end, and when is asked and restored.",
)
@_with_view
def test(
    file: BinaryIO,
    events: BinaryIO,
    queries: tuple[str, ...],
    config: BinaryIO | None,
    start: str,
    seed: int,
    *,
    as_json: bool,
) -> int:
    """Fold events in the server's own host, ask, and check that the answer depends on the events alone.

    The same limits as a server's hold, from the same variables. Without --query the view is asked once,
    without parameters. Ends with 1 where the view fails, or two runs differ; the first difference is shown.
    """
    from indelible.author.report import make_report  # noqa: PLC0415 - not needed by other commands

    with opened(file, events, queries, config, start) as subject:
        report = make_report(subject, seed)
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)
    return Exit.OK if report.passed else Exit.REFUSED


@click.command()
@click.option("--events", type=_EVENTS, help="NDJSON to fold; without it events are generated.")
@click.option(
    "--generate",
    type=click.IntRange(1),
    default=20_000,
    show_default=True,
    help="How many, without --events.",
)
@_with_view
def bench(
    file: BinaryIO,
    events: BinaryIO | None,
    generate: int,
    queries: tuple[str, ...],
    config: BinaryIO | None,
    start: str,
    *,
    as_json: bool,
) -> None:
    """Say how fast a view folds and answers on this machine, and what memory a million events would take.

    One instance, on one thread, in the server's own host. Memory is extrapolated from fewer events, and
    marked so.
    """
    from indelible.author.bench import measure  # noqa: PLC0415 - not needed by other commands

    with opened(file, generate if events is None else events, queries, config, start) as subject:
        found = measure(subject)
    if as_json:
        print_json(found.as_json())
        return
    print_members(_measured(found))
    for asked in found.questions:
        what = f"refused ({clean(asked.refused)})" if asked.refused else f"{asked.bytes:,} bytes"
        print(f"?{clean(asked.query)}   {asked.milliseconds:.1f} ms, fuel {asked.fuel:,}, {what}")


def _measured(found: "Figures") -> dict[str, str]:
    kept = found.snapshot
    taken = (
        f"none: {clean(kept['none'])}"
        if "none" in kept
        else f"{kept['bytes']:,} bytes, taken in {kept['milliseconds']:.0f} ms, "
        f"restored in {kept['restore_milliseconds']:.0f} ms"
    )
    return {
        "events": f"{found.events:,}",
        "events a second": f"{found.events_per_second:,.0f}",
        "fuel an event": f"{found.fuel_per_event:,.0f}",
        "memory": f"{found.memory_bytes / _MIB:.1f} MiB",
        "a million events": _million(found),
        "snapshot": taken,
    }


def _million(found: "Figures") -> str:
    if found.million_bytes is None:
        return "not to be said from so few: memory did not grow; fold more with --generate"
    return f"{found.million_bytes / _MIB:.0f} MiB{' (extrapolated)' * found.extrapolated}"


@contextmanager
def opened(
    file: BinaryIO, events: BinaryIO | int, queries: Sequence[str], config: BinaryIO | None, start: str
) -> Iterator["Subject"]:
    """Compile, read the events, and say in one sentence what the host has against a view."""
    from indelible.author.bench import generate  # noqa: PLC0415 - see above
    from indelible.author.subject import Subject, compile_component, parse_ask  # noqa: PLC0415 - see above
    from indelible.author.trail import read_trail  # noqa: PLC0415 - same
    from indelible.fold.errors import Aborted, GuestError, GuestTrap, NotAView  # noqa: PLC0415 - same
    from indelible.fold.host import Host  # noqa: PLC0415 - same

    limits = limits_from(os.environ)
    first = _start(start)
    trail = generate(events, first) if isinstance(events, int) else read_trail(events, first, limits)
    folder = cache_folder()
    try:
        compiled = compile_component(file.read(), folder, limits)
        asks = [parse_ask(query, compiled.world, limits) for query in queries or ("",)]
        settings = config.read().decode() if config else ""
        with Host(folder, limits) as host:
            host.trial(compiled, settings, ())
            yield Subject(host, compiled, settings, trail, asks, limits)
    except (NotAView, GuestError, GuestTrap) as refused:
        raise CommandFailed(str(refused)) from None
    except Aborted as aborted:
        raise CommandFailed(f"aborted, which says nothing about the view: {aborted}. Try again.") from None


def cache_folder() -> Path:
    """Where compiled views are kept, by the XDG rules: a Python view takes seconds to compile, once."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "indelible" / "compiled"


def _start(text: str) -> int:
    try:
        return parse_instant(text)
    except ValueError:
        raise click.UsageError(f"--start takes an RFC 3339 instant such as {START}") from None


def _show(report: "Report") -> None:
    from indelible.cli.query import print_answer  # noqa: PLC0415 - not needed by other commands

    print_members(_figures(report))
    for asked in report.questions:
        took = f"fuel {asked.fuel:,}, {asked.seconds * 1000:.1f} ms here"
        print(f"\n?{clean(asked.query)}   {len(asked.body):,} bytes, {took}\n")
        if asked.refused:
            print(f"refused ({clean(asked.refused)})")
        else:
            print_answer(asked.body)
    print()
    if report.failure is not None:
        event, reason = report.failure
        print(f"failed{f' at event {event}' if event else ''}: {clean(reason)}")
    for check in report.checks:
        state = "skipped" if check.skipped else "ok" if check.passed else "DIFFERS"
        print(f"{state:<8} {check.says}{f': {clean(check.skipped)}' if check.skipped else ''}")
        if check.difference is not None:
            _show_difference(check.difference)


def _figures(report: "Report") -> dict[str, str]:
    cost = report.cost
    snapshot = f"{cost.snapshot_bytes:,} bytes in {cost.snapshot_parts} parts"
    return {
        "events": f"{cost.events:,} in {cost.batches} batches",
        "fuel an event": f"{report.fuel_per_event:,.0f}",
        "time an event": f"{report.micros_per_event:,.1f} µs here",
        "memory": f"{cost.memory_bytes / _MIB:.1f} MiB",
        "snapshot": f"none: {clean(report.no_snapshot)}" if report.no_snapshot else snapshot,
    }


def _show_difference(found: Any) -> None:
    print(f"         after event {found.event}, {found.what}, at byte {found.offset}:")
    print(f"           straight   {clean(found.expected.decode(errors='backslashreplace')) or '(nothing)'}")
    print(f"           otherwise  {clean(found.found.decode(errors='backslashreplace')) or '(nothing)'}")
