"""The view "tally" in Python. `../README.md` says what every tally answers, byte for byte."""
# ruff: noqa: D102 - the contract in wit/ documents these methods

import json
import re
from json.decoder import JSONDecoder
from typing import NamedTuple, NoReturn

from componentize_py_types import Err  # type: ignore[import-not-found]  # made by the build
from wit_world import exports  # type: ignore[import-not-found]  # made by the build
from wit_world.exports.view import (  # type: ignore[import-not-found]  # made by the build
    Answer,
    Batch,
    Form,
    Refusal_Failed,
    Refusal_Invalid,
    Request,
)

Pairs = list[tuple[str, str]]

DESCRIPTION = {
    "title": "Tally",
    "description": "Counts events by their type.",
    "parameters": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"type": {"type": "array", "items": {"type": "string"}}},
    },
}
CONFIG = "config takes only fail-at and trap-at, each a whole number"
NO_SNAPSHOT = "not a snapshot of a tally"
KNOWN = "boom, echo, type"
ROWS_A_PART = 100
BIG = 100 << 20


def refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)


# The scanner behind `json.loads`, called without the layers above it: half of the time of a small event.
# Numbers are read as floats, which is quicker, and is not fooled by integers of many digits.
scan = JSONDecoder(parse_constant=refuse_constant, parse_int=float).scan_once  # type: ignore[attr-defined]  # C has it
SPACE = " \t\n\r"


# The C scanner recurses, and its own guard is set for more stack than a guest has: beyond some 1,000 levels
# it traps, which would fail the view. So what is nested deeper than this is not shown to it.
MOST_LEVELS = 500
brackets = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]').finditer


def too_deep(text: str) -> bool:
    """Whether brackets are open beyond `MOST_LEVELS`; brackets inside strings do not count."""
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return False
    depth = 0
    for found in brackets(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > MOST_LEVELS:
            return True
    return False


def dump(value: object) -> str:
    """JSON with sorted names and no white space."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def trap() -> NoReturn:
    """End the instance: an exception that is no `Err` does."""
    raise RuntimeError("told to trap")


def is_text(name: str) -> bool:
    """Whether the name has no unpaired surrogate; other text goes back to the host only as a trap."""
    return name.isascii() or not any("\ud800" <= c <= "\udfff" for c in name)


class Config(NamedTuple):
    """Where to fail, and how; 0 is nowhere."""

    fail_at: int = 0
    trap_at: int = 0

    @classmethod
    def parse(cls, text: str) -> "Config":
        """Empty text, or a JSON object of `fail-at` and `trap-at`."""
        if not text:
            return cls()
        try:
            members = json.loads(text)
            known = {
                name.replace("-", "_"): value
                for name, value in members.items()
                if name in ("fail-at", "trap-at")
            }
        except (ValueError, AttributeError):
            raise Err(CONFIG) from None
        if len(known) != len(members) or any(type(value) is not int or value < 0 for value in known.values()):
            raise Err(CONFIG)
        return cls(**known)

    def check(self, first: int, count: int) -> None:
        """Fail or trap when the batch holds the event that it was told of; the earlier one decides."""
        fails, traps = (first <= at < first + count for at in self)
        if traps and not (fails and self.fail_at <= self.trap_at):
            trap()
        if fails:
            raise Err(f"told to fail at {self.fail_at}")


class State:
    """What was folded."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start from nothing."""
        self.numbers = [0] * 5  # bytes, erased, events, unreadable, untyped
        self.first: tuple[int, int] | None = None  # sequence and time
        self.last: tuple[int, int] | None = None
        self.types: dict[str, int] = {}
        self.writers: dict[str, int] = {}
        self.parts_restored = 0

    def fold(self, batch: Batch) -> None:
        """Count each event."""
        payloads = batch.payloads
        if not payloads:
            return
        count = len(payloads)
        if self.first is None:
            self.first = (batch.first_sequence, batch.times[0])
        self.last = (batch.first_sequence + count - 1, batch.times[-1])
        erased = unreadable = 0
        texts = payloads
        if batch.forms:
            texts = [p for p, form in zip(payloads, batch.forms, strict=True) if form is Form.TEXT]
            erased = batch.forms.count(Form.ERASED)
            unreadable = count - erased - len(texts)
        broken, untyped = fold_texts(texts, self.types)
        more = (len("".join(payloads).encode()), erased, count, unreadable + broken, untyped)
        self.numbers = [have + new for have, new in zip(self.numbers, more, strict=True)]
        self._count_writers(batch.writers, batch.writer_of, count)

    def _count_writers(self, writers: list[str], writer_of: list[int], count: int) -> None:
        if not writer_of:
            self.writers[writers[0]] = self.writers.get(writers[0], 0) + count
            return
        for writer in writer_of:
            name = writers[writer]
            self.writers[name] = self.writers.get(name, 0) + 1

    def report(self, only: list[str]) -> dict[str, object]:
        """The report; with `only`, the counts of those types, 0 included."""
        octets, erased, events, unreadable, untyped = self.numbers
        return {
            "bytes": octets,
            "counts": {name: self.types.get(name, 0) for name in only} if only else self.types,
            "erased": erased,
            "events": events,
            "first": self.first and {"sequence": self.first[0], "time": self.first[1]},
            "last": self.last and {"sequence": self.last[0], "time": self.last[1]},
            "unreadable": unreadable,
            "untyped": untyped,
            "writers": self.writers,
        }

    def part(self, part: int) -> str | None:
        """Part 0 holds the numbers; each later part a hundred rows: types, then writers."""
        if part == 0:
            numbers = (*self.numbers, *(self.first or (0, 0)), *(self.last or (0, 0)))
            return f"tally 1 {' '.join(map(str, numbers))}\n"
        rows = [("t", row) for row in sorted(self.types.items())]
        rows += [("w", row) for row in sorted(self.writers.items())]
        rows = rows[(part - 1) * ROWS_A_PART : part * ROWS_A_PART]
        return "".join(f"{kind} {number} {dump(name)}\n" for kind, (name, number) in rows) or None

    def restore(self, part: int, text: str) -> None:
        """Take one part. Raises: ValueError for what is no snapshot."""
        if part not in (0, self.parts_restored):
            raise ValueError(part)
        if part == 0:
            self.clear()
            head, *numbers = text.removeprefix("tally ").removesuffix("\n").split(" ")
            *self.numbers, s1, t1, s2, t2 = map(int, numbers)
            if head != "1" or len(self.numbers) != 5:
                raise ValueError(head)
            if self.numbers[2]:
                self.first, self.last = (s1, t1), (s2, t2)
        else:
            for line in text.removesuffix("\n").split("\n"):
                kind, number, name = line.split(" ", 2)
                {"t": self.types, "w": self.writers}[kind][json.loads(name)] = int(number)
        self.parts_restored = part + 1


def fold_texts(texts: list[str], types: dict[str, int]) -> tuple[int, int]:
    """Count the payloads by type into `types`; returns how many were unreadable, and how many untyped."""
    unreadable = untyped = 0
    for text in texts:
        if len(text) > MOST_LEVELS and too_deep(text):
            unreadable += 1
            continue
        try:
            event, end = scan(text, 0)
            name = event["type"]
            types[name] += 1
            if end == len(text):
                continue
            types[name] -= 1  # white space or worse follows: start over
        except (KeyError, TypeError, ValueError, StopIteration, RecursionError):
            pass
        kind = slow_type(text)
        if kind is None:
            unreadable += 1
        elif kind:
            types[kind[0]] = types.get(kind[0], 0) + 1
        else:
            untyped += 1
    return unreadable, untyped


def slow_type(text: str) -> list[str] | None:
    """None for what is no JSON object, no element for an object without a type, else its type."""
    try:
        start = len(text) - len(text.lstrip(SPACE))
        event, end = scan(text, start)
    except (ValueError, StopIteration, RecursionError):
        return None
    if type(event) is not dict or text[end:].strip(SPACE):
        return None
    name = event.get("type")
    if type(name) is not str:
        return []
    return [name] if is_text(name) else None


class Life(NamedTuple):
    """What `init` was given, and what was folded since."""

    config: Config
    config_text: str
    facts: Pairs
    state: State


# At the module, not in `View`: componentize-py makes an instance of its class for each exported function.
life = Life(Config(), "", [], State())


class View(exports.View):  # type: ignore[misc]  # the base is made by the build
    """The exported interface."""

    def describe(self) -> str:
        return dump(DESCRIPTION)

    def init(self, config: str, facts: Pairs) -> None:
        global life  # noqa: PLW0603 - see above
        life = Life(Config.parse(config), config, facts, State())

    def append(self, events: Batch) -> None:
        life.config.check(events.first_sequence, len(events.payloads))
        life.state.fold(events)

    def query(self, request: Request) -> Answer:
        only: list[str] = []
        echo = False
        for name, value in request.params:
            if name == "type":
                only.append(value)
            elif name == "echo":
                echo = True
            elif name == "boom":
                return boom(value)
            else:
                raise Err(Refusal_Invalid(f"unknown parameter {name}; known: {KNOWN}"))
        report = life.state.report(only)
        if echo:
            report["~echo"] = {
                "body": request.body,
                "config": life.config_text,
                "facts": request.facts,
                "init": life.facts,
                "params": request.params,
            }
        return Answer("application/json", dump(report))

    def snapshot(self, part: int) -> str | None:
        return life.state.part(part)

    def restore(self, part: int, text: str, last: bool) -> None:
        try:
            life.state.restore(part, text)
        except (ValueError, KeyError):
            raise Err(NO_SNAPSHOT) from None


def boom(how: str) -> Answer:
    """Hurt the host, as told."""
    if how == "trap":
        trap()
    if how == "big":
        return Answer("application/json", "x" * BIG)
    if how == "fail":
        raise Err(Refusal_Failed("told to fail"))
    while how == "loop":
        pass
    raise Err(Refusal_Invalid("boom takes big, fail, loop or trap"))
