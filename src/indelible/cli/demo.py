"""`indelible demo`: the four calls against a real server, on real input."""

import json
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import click

from indelible.cli.child import ChildServer
from indelible.cli.history import Event, read_history, read_trail
from indelible.cli.session import json_option
from indelible.cli.story import Call, Story
from indelible.cli.text import clean_json

LOG = "demo-history"
VIEW = "compliance-report"
_BATCH_EVENTS = 1_000
_SHIPPED = Path(__file__).parents[1] / "data" / "trail.ndjson"
_ROWS = "10"
_LINES = 60


class Source(NamedTuple):
    """The events to show, oldest first, and where they come from."""

    events: list[Event]
    says: str


@click.command()
@click.option("--once", is_flag=True, help="Show the calls and end; otherwise the server stays up.")
@click.option("--data", type=click.Path(path_type=Path), help="Keep the data here; default: a temporary one.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0 picks a free one."
)
@json_option
def demo(data: Path | None, port: int, *, once: bool, as_json: bool) -> None:
    """Show the four calls against a real server, each as curl that can be pasted, and its answer.

    The events are the history of the git clone that you stand in, or, where there is none, a small trail that
    comes with the package.
    """
    from indelible.client import Client  # noqa: PLC0415 - slow to import

    source = find_source(Path.cwd())
    signal.signal(signal.SIGTERM, _interrupt)
    with (
        _folder() as scratch,
        ChildServer(data.expanduser().resolve() if data else scratch / "data", port) as server,
        Client(server.url, timeout_seconds=120) as client,
    ):
        story = Story(client, as_json=as_json)
        story.say(f"A real server answers at {server.url}.")
        story.say(f"The input: {source.says}.")
        story.say()
        _four_calls(story, source.events, scratch)
        _reports(story, source.events)
        _where_next(story, server.url, once=once)
        if not once:
            server.wait()


def find_source(folder: Path) -> Source:
    """Return the history of the clone around `folder`, or the trail that is shipped."""
    events = read_history(folder)
    if events:
        commits = len({event["commit"] for event in events})
        says = f"the history of the clone at {folder}: commits {commits}, changes of files {len(events)}"
        return Source(events, says)
    events = read_trail(_SHIPPED)
    return Source(events, "a part of Indelible's own history, shipped with it, as no clone with git is here")


def _four_calls(story: Story, events: Sequence[Event], scratch: Path) -> None:
    story.tell("1. Create a log", Call("POST", "/logs", body=_json({"name": LOG})))
    first, rest = events[0], events[1:]
    story.tell("2. Append an event", Call("POST", f"/logs/{LOG}/append", body=_json(first)))
    if rest:
        _append_rest(story, rest, scratch)
    body = _json({"builtin": VIEW})
    story.tell("3. Deploy a view", Call("POST", f"/logs/{LOG}/views/{VIEW}", body=body))
    call = _question([*_window(events), ("limit", _ROWS)])
    story.tell("4. Ask it: all of the history, by the times that the commits claim", call, lines=_LINES)


def _append_rest(story: Story, events: Sequence[Event], scratch: Path) -> None:
    """Append in batches, oldest first; the first of them is shown."""
    file = scratch / "events.ndjson"
    for start in range(0, len(events), _BATCH_EVENTS):
        lines = [_json(event) + b"\n" for event in events[start : start + _BATCH_EVENTS]]
        body = b"".join(lines)
        call = Call("POST", f"/logs/{LOG}/append_batch", (), body, "application/x-ndjson", f"@{file}")
        if start:
            story.make(call)
            continue
        file.write_bytes(body)
        story.tell(f"   … and the next {len(lines)} as a batch, all or nothing", call)
    if len(events) > _BATCH_EVENTS:
        story.say(f"   … and the last {len(events) - _BATCH_EVENTS} in the same way\n")


def _reports(story: Story, events: Sequence[Event]) -> None:
    files = Counter(event["resource"] for event in events if event["type"] != "commit")
    authors = Counter(event["actor"]["id"] for event in events)
    if files:
        file = files.most_common(1)[0][0]
        call = _question([("basis", "occurred"), ("resource", file), ("limit", _ROWS)])
        story.tell(f"Everything that happened to {file}", call, lines=_LINES)
    author = authors.most_common(1)[0][0]
    call = _question([("basis", "occurred"), ("actor", author), ("limit", _ROWS)])
    story.tell(f"Everything that {author} did", call, lines=_LINES)


def _where_next(story: Story, url: str, *, once: bool) -> None:
    story.say("Where to look next" if not once else "Where to look in a demo that stays up (without --once)")
    for says, what in (
        ("the calls, described", f"{url}/docs"),
        ("the signed head", f"curl {url}/logs/{LOG}/checkpoint"),
        ("the proof that event 1 is under it", f"curl '{url}/logs/{LOG}/proof/inclusion?sequence=1'"),
        ("what this server did, in a log of its own", f"curl '{url}/logs/_audit/events?limit=5'"),
        ("the same from the command line", f"{_command()} events {LOG} --limit 3 --url {url}"),
        ("a server of your own", f"{_command()} serve --data ./data"),
    ):
        story.say(f"  {says:<42} {what}")
    if not once:
        story.say()
        story.say("The server stays up, without keys and on this machine only; Ctrl-C ends it.")


def _question(params: list[tuple[str, str]]) -> Call:
    return Call("POST", f"/logs/{LOG}/views/{VIEW}/query", params)


def _window(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return whole days that hold every claimed time, whatever its offset from UTC."""
    days = sorted(str(event["occurred_at"])[:10] for event in events)
    return [("after", days[0]), ("before", days[-1]), ("basis", "occurred")]


def _json(value: object) -> bytes:
    return clean_json(json.dumps(value, ensure_ascii=False)).encode(errors="replace")


def _command() -> str:
    script = Path(sys.argv[0])
    try:
        return str(script.resolve().relative_to(Path.cwd()))
    except ValueError:
        return "indelible"


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a temporary folder, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="indelible-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
