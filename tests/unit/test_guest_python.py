"""The Python SDK without a host: what a state may hold, and what an author is told."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "guest" / "python"))

from indelible_view import AuditView, Choice, Event, Flag, Question, Refusal, Text, Whole, export
from indelible_view.view import Failed, Life


class Keeps(AuditView):
    """Holds whatever it is told to."""

    held: Any = None

    def init(self, config: dict[str, Any]) -> None:
        """Take what the configuration says, or what the class was given."""
        self.value = self.held
        self._hidden = {1, 2}
        if "no" in config:
            raise Refusal("not so")

    def append(self, event: Event) -> None:
        """Fail where the event says so."""
        if event.get("fail"):
            raise KeyError(event.get("fail"))

    def query(self, question: Question) -> Any:
        """Show it."""
        return question.table(["value"], [[self.value]])


def alive(held: Any) -> Life:
    """Return a life whose view holds a value."""
    life = Life(type("Held", (Keeps,), {"held": held}))
    life.init("", [])
    return life


def parts_of(life: Life) -> list[str]:
    """Take a snapshot."""
    parts: list[str] = []
    while (part := life.snapshot(len(parts))) is not None:
        parts.append(part)
    return parts


@pytest.mark.parametrize(
    "held",
    [
        None,
        True,
        5,
        -1.5,
        "ü\u2028",
        [],
        {},
        [1, [2, {"a": None}]],
        {"b": 1, "a": {"z": 1, "y": 2}},
        list(range(5_000)),
    ],
)
def test_what_json_has_comes_back_as_it_was(held: Any) -> None:
    """Order of members included, in parts that say nothing of attributes with an underscore."""
    parts = parts_of(alive(held))
    assert "_hidden" not in "".join(parts)
    life = alive("another")
    for number, part in enumerate(parts):
        life.restore(number, part, last=number == len(parts) - 1)
    answer = life.query([], "", []).body
    assert answer == alive(held).query([], "", []).body
    assert parts_of(life) == parts


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({1, 2}, "value is a set"),
        ((1, 2), "value is a tuple"),
        ([(1, 2)], "value has a tuple in it"),
        ([[(1, 2)]], "value has a tuple in it, or a key that is no text"),
        ({1: 2}, "value has a tuple in it, or a key that is no text"),
        (float("nan"), "value: "),
        ("\ud800", "value: "),
    ],
)
def test_what_would_not_come_back_is_not_kept(held: Any, says: str) -> None:
    """There is no snapshot, so the host replays; and whoever hands a part over is told why."""
    life = alive(held)
    parts: list[str] = []
    while (part := life.snapshot(len(parts))) is not None:
        parts.append(part)
    with pytest.raises(Refusal, match="the state cannot be kept, only replayed: ") as refused:
        life.restore(0, "", last=True)
    assert says in str(refused.value)


def test_a_failure_says_where_it_happened() -> None:
    """The event, the exception and the line of the author's code."""
    with pytest.raises(Failed, match=r"event 7: KeyError: 'why' \(test_guest_python\.py, line \d+\)"):
        alive(1).append(Event(7, 0, "", '{"fail": "why"}'))
    with pytest.raises(Refusal, match="not so"):
        Life(Keeps).init('{"no": 1}', [])


class Asked(Keeps):
    """Takes one parameter of each kind."""

    parameters = (
        Text("text", default="none"),
        Whole("whole", least=-5, most=5),
        Choice("choice", values=("a", "b")),
        Flag("flag", default=False),
    )

    def query(self, question: Question) -> Any:
        """Show them."""
        names = ["text", "whole", "choice", "flag"]
        return question.table(names, [[question[name] for name in names]])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], '[["none",null,null,false]]'),
        ([("text", "x"), ("whole", "-5"), ("choice", "b"), ("flag", "true")], '[["x",-5,"b",true]]'),
        ([("whole", "6")], "whole is a whole number from -5 to 5"),
        ([("choice", "c")], "choice is one of: a, b"),
        ([("flag", "yes")], "flag is true or false"),
        ([("text", "a"), ("text", "b")], "give text once"),
        ([("other", "a")], "other is no parameter of this view, which takes: text, whole, choice, flag"),
    ],
)
def test_parameters_are_typed(given: list[tuple[str, str]], says: str) -> None:
    """Each kind gives its type, or a refusal that names the parameter."""
    life = Life(Asked)
    life.init("", [])
    try:
        said = life.query(given, "", []).body
    except Refusal as refused:
        said = str(refused)
    assert says in said


def test_outside_of_a_build_a_view_is_what_it_is() -> None:
    """A module that ends with `View = export(…)` can be imported by a test."""
    assert export(Keeps) is Keeps
