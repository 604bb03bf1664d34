"""What the exit codes mean, and how a failure becomes one and a sentence. `docs/cli.md` has the table."""

from enum import IntEnum
from typing import NamedTuple

from indelible.model.errors import Problem


class Exit(IntEnum):
    """The exit codes; they are contract."""

    OK = 0
    REFUSED = 1  # the server refused, a proof does not hold, a file cannot be read or written
    USAGE = 2  # the command was typed wrong
    UNREACHABLE = 3  # no answer came, or none of Indelible's
    LATER = 4  # refused for now; the same command may work later
    UNKNOWN = 5  # the call may or may not have had its effect: look before repeating it
    UNPROVED = 6  # nothing is wrong with what was checked, and not all of it could be
    HISTORY_CHANGED = 7  # a log shows another history than the one that was seen before; evidence was written
    INTERRUPTED = 130  # Ctrl-C, as shells have it


class Failure(NamedTuple):
    """An exit code, the sentence for people, and the members for `--json`."""

    exit: Exit
    sentence: str
    members: dict[str, object]


class CommandFailed(Exception):
    """A command found out for itself that it cannot do what was asked. The text says what to do."""


def explain_problem(problem: Problem) -> Failure:
    """Turn a refusal into an exit code and a sentence."""
    code = problem.code
    exit_code = Exit.REFUSED
    if code.effect == "unknown":
        exit_code = Exit.UNKNOWN
    elif code.retryable:
        exit_code = Exit.LATER
    advice = {
        Exit.UNKNOWN: " It is not known whether the call had its effect; look before you repeat it.",
        Exit.LATER: " The same command may work later.",
    }.get(exit_code, "")
    hint = _HINTS.get(code.name, "")
    detail = problem.detail.rstrip(".")
    return Failure(
        exit_code,
        f"{code.title} ({code.name}): {detail}.{hint}{advice}",
        {"code": code.name, "detail": problem.detail, **problem.facts},
    )


_HINTS = {
    "unauthenticated": " Name a key with --key-file FILE or INDELIBLE_KEY; a server's first key is in its"
    " data directory, in the file root-key.",
}
