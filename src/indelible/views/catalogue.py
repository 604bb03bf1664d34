"""The views that are shipped with the package, as components in the folder `builtin` beside this file."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from indelible.model.errors import Problem

_SUFFIX = ".wasm"


def _folder() -> Traversable:
    return files("indelible.views") / "builtin"


@cache
def names() -> tuple[str, ...]:
    """The names of the built-in views, sorted."""
    folder = _folder()
    if not folder.is_dir():
        return ()
    found = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


@cache
def builtin(name: str) -> bytes:
    """The component of a built-in view.

    Raises:
        Problem: `not_found`, with the names that there are.
    """
    known = names()
    if name not in known:
        listed = ", ".join(known) or "none"
        raise Problem(
            "not_found", f"There is no built-in view of this name. There are: {listed}.", builtins=known
        )
    return (_folder() / f"{name}{_SUFFIX}").read_bytes()
