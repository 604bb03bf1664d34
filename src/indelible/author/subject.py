"""A view under test: its component in the server's host, its events, the questions."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from indelible.author.trail import Trail
from indelible.fold.compile import Compiler
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Compiled, Question, World
from indelible.http.params import decode_pairs
from indelible.model.instants import format_micros
from indelible.model.limits import Limits
from indelible.views import window

LOG_FACTS = (
    ("log-id", "00000000-0000-4000-8000-000000000000"),
    ("log-name", "test-log"),
    ("origin", "test/logs/00000000-0000-4000-8000-000000000000"),
)
"""What a view is told of its log when there is none."""

ASKED_AT = format_micros(1_767_225_600_000_000)  # fixed, so that answers can be compared


class Ask(NamedTuple):
    """A question as it was typed, and as the view gets it."""

    text: str
    question: Question

    def at(self, sequence: int) -> Question:
        """Return the question with the event up to which the answer covers."""
        facts = (*self.question.facts, ("at-sequence", str(sequence)))
        return self.question._replace(facts=facts)


class Subject(NamedTuple):
    """Everything that a run needs."""

    host: Host
    compiled: Compiled
    config: str
    trail: Trail
    asks: Sequence[Ask]
    limits: Limits

    def open(self) -> Fold:
        """Return a new instance with `init` called."""
        return self.host.open(self.compiled, self.config, LOG_FACTS)

    def reopen(self, parts: Sequence[str | bytes]) -> Fold:
        """Return a new instance restored from parts."""
        return self.host.reopen(self.compiled, self.config, LOG_FACTS, parts)


def parse_ask(text: str, world: World, limits: Limits) -> Ask:
    """Read the part of a URL after `?`, as the server does.

    Raises:
        Problem: what the server refuses before the view sees it.
    """
    asked = window.parse(decode_pairs(text.removeprefix("?")), world=world, limits=limits)
    facts = (*asked.facts, ("asked-at", ASKED_AT), *LOG_FACTS)
    return Ask(text, Question(asked.params, "", facts))


def compile_component(component: bytes, folder: Path, limits: Limits) -> Compiled:
    """Compile as the server does, or find what was compiled before.

    Raises:
        NotAView: the server would refuse it, for this reason.
        Aborted: the machine is too busy; try again.
    """
    return Compiler(folder, limits).compile(component)
