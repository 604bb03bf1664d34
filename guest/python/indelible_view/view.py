"""The class that a view's author writes, and the life that the host gives it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from indelible_view import keeping
from indelible_view.events import Event
from indelible_view.parameters import Parameter, describe_all, read_all
from indelible_view.question import Answer, Folded, Question
from indelible_view.refusal import Refusal

Pairs = Sequence[tuple[str, str]]


class Log(NamedTuple):
    """The log that a view is deployed over."""

    id: str
    name: str
    origin: str


class AuditView:
    """A view: a fold over a log's events, and answers to questions about them.

    What `init` and `append` put into attributes is the state. It is snapshotted and restored by itself, if it
    is what JSON has: dicts with texts as keys, lists, texts, numbers, True, False and None. Attributes that
    begin with `_` are not kept: set them in `init`, from the configuration alone, or in `restored`.
    """

    __slots__ = ("__dict__", "log")

    title = ""
    description = ""
    parameters: Sequence[Parameter] = ()
    takes_body = False
    """Whether a question may have a body; one that comes all the same is refused."""

    log: Log

    def init(self, config: dict[str, Any]) -> None:
        """Start from nothing. `config` was given at deployment, `{}` where none was.

        Raise `Refusal` for one that the view cannot work with.
        """
        raise NotImplementedError

    def append(self, event: Event) -> None:
        """Fold an event into the state. It must not matter what was asked, or where batches end."""
        raise NotImplementedError

    def query(self, question: Question) -> Answer:
        """Answer a question. Must not change the state.

        Raise `Refusal` for a question that is wrong.
        """
        raise NotImplementedError

    def restored(self) -> None:
        """Bring attributes that begin with `_` back, after the state was restored."""


class Failed(Exception):
    """The view's own code raised something that it should not have; the text says what and where."""


class Life:
    """One instance of a view, as the host drives it: every method is a function of `wit/view.wit`."""

    def __init__(self, kind: type[AuditView]) -> None:
        self._kind = kind
        self._view: AuditView | None = None
        self._folded = Folded()
        self._parts: Iterator[str] | None = None
        self._next_part = 0
        self._why = ""
        self._restoring = keeping.Restoring()

    def describe(self) -> str:
        """Return title, description and parameters as JSON."""
        kind = self._kind
        about = {
            "description": kind.description,
            "parameters": describe_all(kind.parameters),
            "title": kind.title,
        }
        return json.dumps(about, ensure_ascii=False, separators=(",", ":"))

    def init(self, config: str, facts: Pairs) -> None:
        """Start from nothing.

        Raises:
            Refusal, Failed: the view does not take the configuration.
        """
        known = dict(facts)
        view = self._kind()
        view.log = Log(known.get("log-id", ""), known.get("log-name", ""), known.get("origin", ""))
        try:
            settings = json.loads(config) if config.strip() else {}
        except (ValueError, RecursionError):
            settings = None
        if type(settings) is not dict:
            raise Refusal("the configuration must be a JSON object")
        try:
            view.init(settings)
        except Refusal:
            raise
        except Exception as error:
            raise Failed(_told(error)) from error
        self._view, self._folded = view, Folded()

    def append(self, event: Event) -> None:
        """Fold one event.

        Raises:
            Refusal, Failed: the view fails here.
        """
        view = self._alive()
        try:
            view.append(event)
        except Refusal:
            raise
        except Exception as error:
            raise Failed(f"event {event.sequence}: {_told(error)}") from error
        self._folded = self._folded.add(event)

    def query(self, params: Pairs, body: str, facts: Pairs) -> Answer:
        """Answer.

        Raises:
            Refusal: the question is wrong.
            Failed: the view is.
        """
        view = self._alive()
        values = read_all(view.parameters, params)
        if body and not view.takes_body:
            raise Refusal("this view takes no body: ask with parameters in the URL")
        question = Question(values, body, facts, self._folded, view.title)
        try:
            answer = view.query(question)
            answer.body.encode()
        except Refusal:
            raise
        except Exception as error:
            raise Failed(_told(error)) from error
        return answer

    def snapshot(self, part: int) -> str | None:
        """Return a part of the state; None past the last one, or at once where the state cannot be kept."""
        if part == 0:
            self._parts = keeping.parts(self._kept(), self._folded)
            self._next_part, self._why = 0, ""
        if self._parts is None or part != self._next_part:
            return None
        self._next_part += 1
        try:
            text = next(self._parts, None)
        except keeping.NotKeepable as error:
            self._why = f"the state cannot be kept, only replayed: {error}"
            text = None
        if text is None:
            self._parts = None
        return text

    def restore(self, part: int, text: str, *, last: bool) -> None:
        """Take a part of a state.

        Raises:
            Refusal: it is none; after a snapshot that failed the text says why that did.
            Failed: `restored` did.
        """
        if self._why:
            raise Refusal(self._why)
        if part == 0:
            self._restoring = keeping.Restoring()
        try:
            self._restoring.add(part, text)
        except ValueError as error:
            raise Refusal(str(error)) from None
        if last:
            self._take(self._restoring)

    def _take(self, restored: keeping.Restoring) -> None:
        view = self._alive()
        state = vars(view)
        for name in self._kept():
            del state[name]
        state.update(restored.state)
        self._folded = restored.folded
        self._restoring = keeping.Restoring()
        try:
            view.restored()
        except Exception as error:
            raise Failed(_told(error)) from error

    def _kept(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self._alive()).items() if not name.startswith("_")}

    def _alive(self) -> AuditView:
        if self._view is None:
            raise Failed("the host called before init")
        return self._view


def _told(error: Exception) -> str:
    """Say what was raised, and at which line of the author's code."""
    place, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
        place = f" ({name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{place}"
