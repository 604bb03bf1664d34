"""The direction of imports, as DESIGN.md has it: a layer imports only what stands below it.

Imports are read from the source with `ast`, the lazy ones inside functions included, so that a test fails
for an import that no other test happens to run.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from indelible.cli.root import SERVER_LIBRARIES

SOURCE = Path(__file__).resolve().parents[2] / "src" / "indelible"

LAYERS = ("http", "service", "views", "fold", "log", "store", "merkle", "notes", "model")
"""From the top to the bottom; each may import those after it."""

EVERYWHERE = frozenset({"telemetry"})
"""Imports nothing of ours; what runs in the server may import it."""

BESIDE = {
    "client": frozenset({"model", "merkle", "notes"}),
    "cli": frozenset({"author", "client", "fold", "config", "model", "data", "operate"}),
    "author": frozenset({"http", "service", "views", "fold", "model"}),
    "telemetry": frozenset[str](),
    "config": frozenset({"model"}),
    "operate": frozenset({"client", "config", "telemetry", *LAYERS[1:]}),
    "witness": frozenset({"http", "store", "merkle", "notes", "model", "telemetry"}),
    "app": frozenset({"config", "operate", "telemetry", *LAYERS}),
    "data": frozenset[str](),
    "bootstrap": frozenset({"config", "telemetry", *LAYERS}),
}
"""What stands beside the layers, and what each may import."""

EXCEPTIONS = {
    "cli/serve.py": frozenset({"app", "telemetry", "store"}),  # the server, and how it refuses to start
    "cli/operate.py": frozenset({"store"}),  # how a data directory refuses
    "cli/witness.py": frozenset({"witness", "telemetry", "store"}),  # a server of its own over a directory
    "client/recompute.py": frozenset({"fold"}),  # folds a report again, where the engine is installed
}
"""The commands that work on a data directory instead of a server's URL, and what needs an extra."""

ONLY_IN = {
    "wasmtime": "fold",
    "apsw": "store",
    "psycopg": "store",
    "obstore": "store",
    "httptools": "http",
}
"""Libraries that belong to one layer, so that replacing one touches one folder."""


class Import(NamedTuple):
    """One import statement: where it stands and the full name that it imports."""

    file: Path
    line: int
    module: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(SOURCE)}:{self.line} imports {self.module}"


def part_of(file: Path) -> str:
    """Name the layer that a file belongs to: its folder, or its own name at the top."""
    relative = file.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(file: Path) -> Iterator[Import]:
    """Give every import of a file; `from indelible.x import y` as `indelible.x.y`."""
    tree = ast.parse(file.read_bytes())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        lazy = id(node) not in top
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute here"
            for alias in node.names:
                yield Import(file, node.lineno, f"{node.module}.{alias.name}", lazy)


FILES = sorted(SOURCE.rglob("*.py"))
IMPORTS = [found for file in FILES for found in imports_of(file)]


def target_of(found: Import) -> str | None:
    """Name the part of ours that is imported, or None for a library."""
    names = found.module.split(".")
    if names[0] != "indelible":
        return None
    return names[1] if len(names) > 1 and names[1] != "__version__" else "__init__"


def allowed(part: str) -> frozenset[str]:
    """Return what a part may import beside itself."""
    if part in LAYERS:
        below = frozenset(LAYERS[LAYERS.index(part) + 1 :])
        return below if part == "model" else below | EVERYWHERE
    return BESIDE[part]


def test_every_part_is_known() -> None:
    """A new folder or module at the top is placed in the order, or this fails."""
    parts = {part_of(file) for file in FILES} - {"__init__"}
    assert parts <= {*LAYERS, *BESIDE}


@pytest.mark.parametrize("part", [*LAYERS, *BESIDE])
def test_a_part_imports_only_what_stands_below(part: str) -> None:
    """Nothing imports upwards or sideways; `cli/serve` alone imports app."""
    wrong = []
    for found in IMPORTS:
        target = target_of(found)
        if part_of(found.file) != part or target in {None, part, "__init__"}:
            continue
        excepted = EXCEPTIONS.get(found.file.relative_to(SOURCE).as_posix(), frozenset())
        if target in allowed(part) | excepted:
            continue
        wrong.append(str(found))
    assert wrong == []


@pytest.mark.parametrize(("library", "part"), ONLY_IN.items())
def test_a_library_has_one_home(library: str, part: str) -> None:
    """Only fold imports wasmtime, only store imports apsw and psycopg, only http imports httptools."""
    wrong = [
        str(found)
        for found in IMPORTS
        if found.module.split(".")[0] == library and part_of(found.file) != part
    ]
    assert wrong == []


def test_model_needs_the_standard_library_only() -> None:
    """Types, limits and errors can be used wherever Python runs."""
    wrong = [
        str(found)
        for found in IMPORTS
        if part_of(found.file) == "model"
        and found.module.split(".")[0] not in sys.stdlib_module_names | {"indelible"}
    ]
    assert wrong == []


def test_the_command_line_is_quick_to_start() -> None:
    """What is slow to import is imported inside the commands that use it."""
    slow = {"httpx", "rich", "wasmtime", "cryptography", "httptools"}
    wrong = [
        str(found)
        for found in IMPORTS
        if part_of(found.file) == "cli"
        and not found.lazy
        and (
            found.module.split(".")[0] in slow
            or target_of(found) in {"author", "client", "fold", "app", "operate", "witness"}
        )
    ]
    assert wrong == []


def module_name(file: Path) -> str:
    """Return the dotted name under which a file is imported."""
    parts = ("indelible", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_graph() -> dict[str, set[str]]:
    """Return which module imports which at import time, by their full names."""
    modules = {module_name(file) for file in FILES}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for found in IMPORTS:
        if found.lazy:
            continue
        parent = found.module.rsplit(".", 1)[0]
        target = found.module if found.module in modules else parent
        if target in modules and target != module_name(found.file):
            graph[module_name(found.file)].add(target)
    return graph


RECOMPUTES = "indelible.client.recompute"


def needed_by(starts: set[str], but: frozenset[str] = frozenset()) -> set[str]:
    """Return the libraries and modules of ours that some modules import, by any detour, lazily or not.

    What is needed only by those of `but` is not among them.
    """
    modules = {module_name(file) for file in FILES}
    by_module: dict[str, list[Import]] = {}
    for found in IMPORTS:
        by_module.setdefault(module_name(found.file), []).append(found)
    seen: set[str] = set()
    waiting = set(starts)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for found in by_module.get(name, ()) if name not in but else ():
            parent = found.module.rpartition(".")[0]
            target = found.module if found.module in modules else parent if parent in modules else None
            waiting |= {target or found.module.split(".")[0]} - seen
    return seen


def test_who_checks_needs_no_server() -> None:
    """The SDK and `indelible verify` import no layer of the server, and nothing that an extra brings."""
    starts = {name for name in map(module_name, FILES) if name.startswith("indelible.client")}
    starts |= {"indelible.cli.root", "indelible.cli.verify", "indelible.cli.export"}
    needed = needed_by(starts, frozenset({RECOMPUTES}))
    layers = {f"indelible.{layer}" for layer in ("http", "service", "views", "fold", "log", "store", "app")}
    assert not {name for name in needed if ".".join(name.split(".")[:2]) in layers}
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    base = {re.split(r"[^\w-]", wanted)[0].replace("-", "_") for wanted in project["dependencies"]}
    libraries = {name for name in needed if not name.startswith("indelible")} - sys.stdlib_module_names
    assert libraries <= base
    assert {"indelible.client.examine_evidence", RECOMPUTES} <= needed


def test_recomputing_a_report_needs_the_host_of_views_alone() -> None:
    """What folds a report again imports no other layer of the server, only when asked, and one extra."""
    needed = needed_by({RECOMPUTES})
    layers = {f"indelible.{layer}" for layer in ("http", "service", "views", "log", "store", "app")}
    assert not {name for name in needed if ".".join(name.split(".")[:2]) in layers}
    folds = [
        found for found in IMPORTS if module_name(found.file) == RECOMPUTES and target_of(found) == "fold"
    ]
    assert folds
    assert all(found.lazy for found in folds)
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["reports"]]
    brought = {re.split(r"[^\w-]", one)[0].replace("-", "_") for one in wanted}
    libraries = {name for name in needed if not name.startswith("indelible")} - sys.stdlib_module_names
    assert "wasmtime" in libraries <= brought


def test_the_extra_server_is_told_as_it_is() -> None:
    """The sentence about what is missing comes for each library of the extra, and for no other."""
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["server"]
    assert {re.split(r"[^\w-]", wanted)[0].replace("-", "_") for wanted in extra} == SERVER_LIBRARIES


def test_no_module_imports_itself_by_a_detour() -> None:
    """There is an order in which all modules can be read."""
    graph = module_graph()
    while ready := {name for name, needs in graph.items() if not needs}:
        graph = {name: needs - ready for name, needs in graph.items() if name not in ready}
    assert graph == {}
