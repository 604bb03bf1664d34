"""A view's own parameters: declared once, described as JSON Schema, read with refusals that name them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indelible_view.refusal import Refusal

_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What every parameter may say of itself."""

    description: str = ""
    default: Any = None
    repeated: bool = False


@dataclass(frozen=True)
class Parameter(_Settings):
    """A parameter of the URL. A subclass says what its text means.

    `repeated` ones may be given several times and are read to a list, empty when none is given; the others to
    a value, or `default`.
    """

    name: str

    def read(self, text: str) -> Any:
        """Return what a text means.

        Raises:
            Refusal: nothing that this parameter takes.
        """
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of one value."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Return the JSON Schema of the parameter."""
        about: dict[str, Any] = {"description": self.description} if self.description else {}
        if self.repeated:
            return {**about, "items": self.schema(), "type": "array"}
        default = {} if self.default is None else {"default": self.default}
        return {**about, **default, **self.schema()}


@dataclass(frozen=True)
class Text(Parameter):
    """Any text but the empty one."""

    def read(self, text: str) -> str:
        """Return the text."""
        return text

    def schema(self) -> dict[str, Any]:
        """Say that it is a string."""
        return {"type": "string"}


@dataclass(frozen=True)
class Whole(Parameter):
    """A whole number from `least` to `most`."""

    least: int
    most: int

    def read(self, text: str) -> int:
        """Return the number."""
        if not _WHOLE.fullmatch(text) or not self.least <= int(text) <= self.most:
            raise Refusal(f"{self.name} is a whole number from {self.least} to {self.most}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """Say that it is an integer with bounds."""
        return {"maximum": self.most, "minimum": self.least, "type": "integer"}


@dataclass(frozen=True)
class Choice(Parameter):
    """One of `values`."""

    values: Sequence[str]

    def read(self, text: str) -> str:
        """Return the value."""
        if text not in self.values:
            raise Refusal(f"{self.name} is one of: {', '.join(self.values)}")
        return text

    def schema(self) -> dict[str, Any]:
        """Say which values there are."""
        return {"enum": list(self.values), "type": "string"}


@dataclass(frozen=True)
class Flag(Parameter):
    """`true` or `false`."""

    def read(self, text: str) -> bool:
        """Return what was said."""
        if text not in {"true", "false"}:
            raise Refusal(f"{self.name} is true or false")
        return text == "true"

    def schema(self) -> dict[str, Any]:
        """Say that it is a boolean."""
        return {"type": "boolean"}


def describe_all(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the JSON Schema of all parameters as one object."""
    return {
        "additionalProperties": False,
        "properties": {each.name: each.describe() for each in parameters},
        "type": "object",
    }


def read_all(parameters: Sequence[Parameter], given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Read what was given. No parameter is ignored: a filter that is dropped silently makes a wrong report.

    Raises:
        Refusal: an unknown name, a value that its parameter does not take, or one given twice.
    """
    known = {each.name: each for each in parameters}
    values: dict[str, Any] = {each.name: [] for each in parameters}
    for name, text in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise Refusal(f"{name} is no parameter of this view, which takes: {names}")
        if not text:
            raise Refusal(f"{name} is empty: leave it out, or give it a value")
        if values[name] and not known[name].repeated:
            raise Refusal(f"give {name} once")
        values[name].append(known[name].read(text))
    return {
        name: found if known[name].repeated else found[0] if found else known[name].default
        for name, found in values.items()
    }
