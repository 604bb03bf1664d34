"""The two contracts as types, and the check that a compiled component keeps one of them.

Expected types are written out from `wit/view.wit` and `wit/machine.wit`. They are compared as text, which
is also what the refusal shows.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from wasmtime import Engine
from wasmtime.component import Component
from wasmtime.component import _types as wt

from indelible.fold.errors import NotAView
from indelible.fold.text import clean
from indelible.fold.types import World

_PAIRS = "list<tuple<string, string>>"
_FORM = "enum{text, base64, erased}"
_BATCH = (
    "record{first-sequence: u64, times: list<u64>, payloads: list<string>, "
    f"forms: list<{_FORM}>, writers: list<string>, writer-of: list<u32>}}"
)
_REQUEST = f"record{{params: {_PAIRS}, body: string, facts: {_PAIRS}}}"
_ANSWER = "record{content-type: string, body: string}"
_REFUSAL = "variant{invalid(string), failed(string)}"

FUNCTIONS: Final[Mapping[World, Mapping[str, str]]] = {
    World.VIEW: {
        "describe": "func() -> string",
        "init": f"func(config: string, facts: {_PAIRS}) -> result<_, string>",
        "append": f"func(events: {_BATCH}) -> result<_, string>",
        "query": f"func(request: {_REQUEST}) -> result<{_ANSWER}, {_REFUSAL}>",
        "snapshot": "func(part: u32) -> option<string>",
        "restore": "func(part: u32, text: string, last: bool) -> result<_, string>",
    },
    World.MACHINE: {
        "init": "func()",
        "append": "func(event: list<u8>)",
        "query": "func(input: list<u8>) -> list<u8>",
        "snapshot": "func() -> list<u8>",
        "restore": "func(snapshot: list<u8>)",
    },
}

_INTERFACES: Final[Mapping[World, re.Pattern[str]]] = {
    World.VIEW: re.compile(r"indelible:view/view@1\.[0-9]+\.[0-9]+"),
    World.MACHINE: re.compile(r"primatomic:machine/machine@0\.0\.1"),
}
_WASI = re.compile(r"wasi:(?:cli|clocks|filesystem|io|random|sockets)/[a-z0-9-]+@0\.2\.[0-9]+")
_TYPE_NODES = 200  # the largest type of the contracts has 20
_NAME_BYTES = 200
_SHOWN_BYTES = 600


class Checked(NamedTuple):
    """What a component was found to be; names are in full, with their version."""

    world: World
    interface: str
    imports: tuple[str, ...]


class _Budget:
    """Counts the parts of a type that are looked at: types can be made that unfold without end."""

    def __init__(self) -> None:
        self.left = _TYPE_NODES

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise NotAView("A function of the view has a type too large to read.")


def _optional(ty: Any, budget: _Budget) -> str:
    return "_" if ty is None else render(ty, budget)


def _result(ty: Any, budget: _Budget) -> str:
    return f"result<{_optional(ty.ok, budget)}, {_optional(ty.err, budget)}>"


def _record(ty: Any, budget: _Budget) -> str:
    return "record{" + ", ".join(f"{name}: {render(field, budget)}" for name, field in ty.fields) + "}"


def _variant(ty: Any, budget: _Budget) -> str:
    cases = (name if of is None else f"{name}({render(of, budget)})" for name, of in ty.cases)
    return "variant{" + ", ".join(cases) + "}"


def _tuple(ty: Any, budget: _Budget) -> str:
    return "tuple<" + ", ".join(render(element, budget) for element in ty.elements) + ">"


_COMPOUND: Final[Mapping[str, Callable[[Any, _Budget], str]]] = {
    "ListType": lambda ty, budget: f"list<{render(ty.element, budget)}>",
    "OptionType": lambda ty, budget: f"option<{render(ty.payload, budget)}>",
    "EnumType": lambda ty, _: "enum{" + ", ".join(ty.names) + "}",
    "ResultType": _result,
    "RecordType": _record,
    "VariantType": _variant,
    "TupleType": _tuple,
}


def render(ty: Any, budget: _Budget) -> str:
    """Write a component type as WIT would, without its names.

    Raises:
        NotAView: the type is larger than any of the contracts.
    """
    budget.take()
    name = type(ty).__name__
    compound = _COMPOUND.get(name)
    return compound(ty, budget) if compound else name.lower()


def _render_function(ty: Any) -> str:
    budget = _Budget()
    params = ", ".join(f"{name}: {render(param, budget)}" for name, param in ty.params)
    result = ty.result
    return f"func({params})" + (f" -> {render(result, budget)}" if result is not None else "")


def _shown(name: str) -> str:
    return clean(name, _NAME_BYTES)


def find_interface(names: Sequence[str]) -> tuple[World, str]:
    """Return which of the two worlds the exported `names` give, and the full name of its interface.

    Raises:
        NotAView: none, or more than one.
    """
    found = [(world, name) for world, form in _INTERFACES.items() for name in names if form.fullmatch(name)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(_shown(name) for _, name in found)
        raise NotAView(f"The component exports more than one view interface: {listed}. Export one.")
    listed = ", ".join(_shown(name) for name in names[:8]) or "nothing"
    raise NotAView(
        "The component exports neither indelible:view/view@1.0.0 nor primatomic:machine/machine@0.0.1; "
        f"it exports {listed}."
    )


def refused_imports(world: World, names: Sequence[str]) -> Sequence[str]:
    """Return the imports that a component of this world must not have."""
    if world is World.VIEW:
        return names
    return [name for name in names if not _WASI.fullmatch(name)]


def _check_imports(world: World, names: Sequence[str]) -> None:
    refused = refused_imports(world, names)
    if not refused:
        return
    listed = ", ".join(_shown(name) for name in refused[:8]) + (", …" if len(refused) > 8 else "")  # noqa: PLR2004 - a readable sentence
    hint = (
        "a view has no imports; build it without WASI (componentize-py: --stub-wasi)."
        if world is World.VIEW
        else "only WASI 0.2 without http is given to a machine."
    )
    raise NotAView(f"The component imports {listed}: {hint}")


def _check_functions(world: World, exports: Mapping[str, Any]) -> None:
    for name, expected in FUNCTIONS[world].items():
        item = exports.get(name)
        if item is None:
            raise NotAView(f"The interface lacks the function {name}: {expected}.")
        if not isinstance(item.ty, wt.FuncType):
            raise NotAView(f"{name} is not a function.")
        actual = _render_function(item.ty)
        if actual != expected:
            raise NotAView(f"{name} has the type {clean(actual, _SHOWN_BYTES)}; it must be {expected}.")


def check(component: Component, engine: Engine) -> Checked:
    """Check exports, imports and the type of every function.

    Raises:
        NotAView: what is missing or wrong, by name.
    """
    ty = component.type
    exports = ty.exports(engine)
    world, interface = find_interface(list(exports))
    imports = tuple(ty.imports(engine))
    _check_imports(world, imports)
    instance = exports[interface].ty
    if not isinstance(instance, wt.ComponentInstanceType):
        raise NotAView(f"{interface} is not an interface.")
    _check_functions(world, instance.exports(engine))
    return Checked(world, interface, imports)
