"""A state as text in parts, and back. The same parts in every language (`guest/README.md`).

A part is one JSON object: `{"format", "folded"}` first, then each attribute in the order of their names: a
list or a dict in runs of items, any other value whole. Runs keep the cost of a part small, however large the
state is: the host gives each call the fuel of one batch. Inside a value nothing is sorted: a dict comes back
in the order in which it was filled, so that a view which goes through one answers as before.
"""

import json
from collections.abc import Iterator
from typing import Any

from indelible_view.question import Folded

FORMAT = "indelible-view 1"
RUN = 2_000
"""Items of a list or a dict in one part."""
PART_BYTES = 1 << 20
"""A run whose text is longer is cut in two."""
MOST_BYTES = 16 << 20
"""What the host takes in one part."""

_PLAIN = (str, int, float, bool, type(None), list, dict)


class NotKeepable(ValueError):
    """The state has something in it that JSON does not give back as it was."""


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parts(state: dict[str, Any], folded: Folded) -> Iterator[str]:
    """Give the parts of a state, in order.

    Raises:
        NotKeepable: an attribute is none of what JSON has, or too large; its name is in the text.
    """
    yield _dump({"format": FORMAT, "folded": list(folded)})
    for name in sorted(state):
        value = state[name]
        if type(value) not in _PLAIN:
            raise NotKeepable(f"{name} is a {type(value).__name__}")
        if type(value) is list:
            yield _checked(name, "list", [])[0]
            for start in range(0, len(value), RUN):
                yield from _run(name, "list", value[start : start + RUN])
        elif type(value) is dict:
            yield _checked(name, "dict", {})[0]
            items = list(value.items())
            for start in range(0, len(items), RUN):
                yield from _run(name, "dict", dict(items[start : start + RUN]))
        else:
            yield _checked(name, "value", value)[0]


def _run(name: str, kind: str, items: Any) -> Iterator[str]:
    text, size = _checked(name, kind, items)
    if len(items) == 1 or size <= PART_BYTES:
        if size > MOST_BYTES:
            raise NotKeepable(f"one item of {name} takes more than 16 MiB")
        yield text
        return
    half = len(items) // 2
    listed = items if kind == "list" else list(items.items())
    for part in (listed[:half], listed[half:]):
        yield from _run(name, kind, part if kind == "list" else dict(part))


def _checked(name: str, kind: str, value: Any) -> tuple[str, int]:
    """Write a part, with its bytes, and read it again: a tuple, or a number as a key, would not come back."""
    members = value.values() if kind == "dict" else value if kind == "list" else (value,)
    strange = {type(member) for member in members}.difference(_PLAIN)
    if strange:
        raise NotKeepable(f"{name} has a {min(kind.__name__ for kind in strange)} in it")
    try:
        text = _dump({"name": name, kind: value})
        size = len(text) if text.isascii() else len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise NotKeepable(f"{name}: {error}") from None
    if json.loads(text)[kind] != value:
        raise NotKeepable(f"{name} has a tuple in it, or a key that is no text")
    return text, size


class Restoring:
    """Puts parts together again."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.folded = Folded()
        self._next = 0

    def add(self, part: int, text: str) -> None:
        """Take the next part.

        Raises:
            ValueError: it is none that `parts` gave, or not the next one.
        """
        if part != self._next:
            raise ValueError("the parts are not in their order")
        self._next += 1
        try:
            members = json.loads(text)
            if part:
                self._put(members)
            else:
                events, first, last, unreadable = members["folded"]
                self.folded = {FORMAT: Folded(events, first, last, unreadable)}[members["format"]]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError("not a snapshot of this kind") from None

    def _put(self, members: dict[str, Any]) -> None:
        name = members["name"]
        if "list" in members:
            self.state.setdefault(name, []).extend(members["list"])
        elif "dict" in members:
            self.state.setdefault(name, {}).update(members["dict"])
        else:
            self.state[name] = members["value"]
