"""The views that are shipped with the package.

Components stand in the folder `builtin` beside this file, and reports that are only a specification for the
component `report` in `specs`. `specs/catalogue.json` says what there is: `scripts/build-catalogue` makes it.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from indelible.model.errors import Problem

_COMPONENT = ".wasm"
_SPEC = ".yaml"
_REPORT = "report"


class Shipped(NamedTuple):
    """A built-in view: its component, and its configuration where it is one specification of `report`."""

    component: bytes
    config: str | None


def _folder(name: str) -> Traversable:
    return files("indelible.views") / name


def _stems(folder: str, suffix: str) -> frozenset[str]:
    found = _folder(folder)
    if not found.is_dir():
        return frozenset()
    return frozenset(
        entry.name.removesuffix(suffix) for entry in found.iterdir() if entry.name.endswith(suffix)
    )


@cache
def names() -> tuple[str, ...]:
    """The names of the built-in views, sorted."""
    return tuple(sorted(_stems("builtin", _COMPONENT) | _stems("specs", _SPEC)))


@cache
def builtin(name: str) -> Shipped:
    """A built-in view.

    Raises:
        Problem: `not_found`, with the names that there are.
    """
    known = names()
    if name not in known:
        listed = ", ".join(known) or "none"
        raise Problem(
            "not_found", f"There is no built-in view of this name. There are: {listed}.", builtins=known
        )
    if name in _stems("specs", _SPEC):
        return Shipped(_component(_REPORT), (_folder("specs") / f"{name}{_SPEC}").read_text())
    return Shipped(_component(name), None)


@cache
def _component(name: str) -> bytes:
    return (_folder("builtin") / f"{name}{_COMPONENT}").read_bytes()


@cache
def document() -> bytes:
    """What there is, as JSON: `{"reports": [...]}`, each with its parameters and an example."""
    return (_folder("specs") / "catalogue.json").read_bytes()
