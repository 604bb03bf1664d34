"""The root of the commands. A command's module is imported when the command is called, and not before."""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from indelible import __version__
from indelible.cli.exits import CommandFailed, Exit, Failure, explain_problem
from indelible.cli.text import clean
from indelible.config import SettingsError
from indelible.model.errors import Problem

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import HistoryChanged


class Place(NamedTuple):
    """Where a command lives, and its line in the list of commands."""

    module: str
    name: str
    summary: str


COMMANDS = {
    "demo": Place("demo", "demo", "Show the four calls against a real server, on real input."),
    "serve": Place("serve", "serve", "Run a server."),
    "config": Place("settings", "config", "Look at a server's settings before it is started."),
    "log": Place("logs", "log", "Create and look at logs, publish their proofs, rotate their keys."),
    "append": Place("append", "append", "Append an event, or a file of events."),
    "events": Place("events", "events", "Read events, or follow them as they come."),
    "export": Place("export", "export", "Write events to a file: NDJSON, CSV, or evidence."),
    "proof": Place("verify", "proof", "Fetch the proof of events as a file."),
    "verify": Place("verify", "verify", "Check evidence, a proof, a range or a receipt, or a whole log."),
    "monitor": Place("monitor", "monitor", "Watch logs: each new head must continue the last one."),
    "query": Place("query", "query", "Ask a view."),
    "view": Place("views", "view", "Write, try, deploy, list, look at and delete views."),
    "key": Place("keys", "key", "Create, list and revoke API keys."),
    "workspace": Place("workspaces", "workspace", "Create and list workspaces."),
    "witness": Place("witness", "witness", "Be a witness: cosign the checkpoints of logs."),
    "backup": Place("operate", "backup", "Write a consistent copy while the server runs."),
    "restore": Place("operate", "restore", "Make a data directory from a backup, verified first."),
    "fsck": Place("fsck", "fsck", "Recompute a store, and name all that was changed underneath."),
    "trim": Place("trim", "trim", "Take archived events out of the database, and read them from there."),
    "migrate": Place("operate", "migrate", "Bring a PostgreSQL database's schema to this version."),
    "doctor": Place("operate", "doctor", "Look for what is wrong with a deployment."),
}


SERVER_LIBRARIES = frozenset(
    {"apsw", "httptools", "obstore", "prometheus_client", "structlog", "tzdata", "uvloop", "wasmtime"}
)
"""What the extra `server` brings; an installation that only calls and checks is without it."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module = importlib.import_module(f"indelible.cli.{place.module}")
        command: click.Command = getattr(module, place.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="indelible %(version)s")
def root() -> None:
    """Indelible: an audit log that is append-only and tamper-evident.

    `indelible demo` shows it on real input; `indelible serve --data DIR` starts a server.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; a failure is one sentence on standard error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        outcome = _run(given)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough (`| head`): nothing to say, and no second failure when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except (Problem, CommandFailed, OSError, ValueError, ModuleNotFoundError) as error:
        return report(explain(error), as_json="--json" in given)
    return outcome if isinstance(outcome, int) else Exit.OK


def _run(given: list[str]) -> Any:
    """Run a command without click's own handling of errors, which would make a closed pipe a failure."""
    if "_INDELIBLE_COMPLETE" in os.environ:  # the shell asks for completions
        root.main(given, prog_name="indelible")
    with root.make_context("indelible", given) as context:
        outcome = root.invoke(context)
    sys.stdout.flush()
    return outcome


def explain(error: Exception) -> Failure:
    """Say what an expected failure means.

    Raises:
        Exception: `error` itself, when it is none of the expected ones but a fault of ours.
    """
    if isinstance(error, Problem):
        return explain_problem(error)
    if isinstance(error, CommandFailed | SettingsError):
        return Failure(Exit.REFUSED, str(error), {"code": "command_failed", "detail": str(error)})
    if isinstance(error, ModuleNotFoundError) and error.name in SERVER_LIBRARIES:
        says = f"this command needs the server's libraries ({error.name}): pip install 'indelible[server]'"
        return Failure(Exit.REFUSED, says, {"code": "not_installed", "detail": says})
    from indelible import client  # noqa: PLC0415 - slow to import

    if isinstance(error, client.HistoryChanged):
        return _changed(error)
    ours: tuple[tuple[type[Exception], Exit, str, str], ...] = (
        (client.Unreachable, Exit.UNREACHABLE, "unreachable", _NO_ANSWER),
        (client.UnexpectedAnswer, Exit.UNREACHABLE, "unexpected_answer", ""),
        (client.PinsUnusable, Exit.REFUSED, "pins_unusable", _NO_PINS),
        (client.NotProved, Exit.REFUSED, "not_proved", ""),
    )
    for kind, code, name, advice in ours:
        if isinstance(error, kind):
            return Failure(code, f"{error}{advice}", {"code": name, "detail": str(error)})
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        sentence = f"{where}{error.strerror or error}"
        return Failure(Exit.REFUSED, sentence, {"code": "os_error", "detail": sentence})
    raise error


_NO_ANSWER = ". Start a server with `indelible serve --data DIR`, or name another with --url."
_NO_PINS = ". Name another folder with --pins, or do without with --no-pins."


def _changed(error: "HistoryChanged") -> Failure:
    members: dict[str, object] = {
        "code": "history_changed",
        "kind": error.kind,
        "detail": str(error),
        "origin": error.origin,
        "evidence": str(error.evidence) if error.evidence else None,
        "pinned": error.pinned.decode(errors="replace"),
        "seen": error.seen.decode(errors="replace"),
    }
    return Failure(Exit.HISTORY_CHANGED, f"HISTORY CHANGED ({error.kind}): {error}", members)


def report(failure: Failure, *, as_json: bool) -> int:
    """Print a failure to standard error and return its exit code."""
    if as_json:
        print(json.dumps(failure.members, default=str), file=sys.stderr)
    else:
        print(f"indelible: {clean(failure.sentence)}", file=sys.stderr)
    return failure.exit
