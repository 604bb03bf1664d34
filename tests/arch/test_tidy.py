"""Style as a failing test: sizes, docstrings, and what must not be left lying about."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".sh",
    ".sql",
    ".wit",
    ".rs",
    ".js",
    ".c",
    ".json",
    ".html",
    ".go",
    "",
}
SKIPPED_FOLDERS = {
    ".git", ".venv", "target", "node_modules", "__pycache__", "dist", "build",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
}  # fmt: skip

# Each with a class of one letter, so that this file does not find itself.
UNFINISHED = re.compile(r"\bT[O]DO\b|\bF[I]XME\b|\bX[X]X\b")
MACHINE_PATHS = re.compile(r"/w[o]rk/(main|shared|\.)|/h[o]me/[a-z]|/r[o]ot/|C:\\[U]sers")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(file: Path) -> Iterator[Function]:
    """Give every function of a file, methods and inner ones included."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, Function):
            yield node


def is_stub(function: Function) -> bool:
    """Say whether the body is `...`: a member of a protocol whose class says what it is."""
    return len(function.body) == 1 and ast.unparse(function.body[0]) == "..."


def public_functions_of(body: list[ast.stmt]) -> Iterator[Function]:
    """Give the functions and methods that a user of the module can reach by name."""
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_") and not is_stub(node):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions_of(node.body)


def text_files() -> Iterator[Path]:
    """Give every file of the project that people write."""
    for path in sorted(ROOT.rglob("*")):
        relative = path.relative_to(ROOT)
        if SKIPPED_FOLDERS.isdisjoint(relative.parts) and path.suffix in TEXT_SUFFIXES and path.is_file():
            yield path


def test_files_have_a_readable_length() -> None:
    """Past 400 lines there is a seam to be found, in a test as well."""
    long = {
        str(file.relative_to(ROOT)): lines
        for file in (*SOURCES, *TESTS)
        if (lines := len(file.read_text().splitlines())) > MAX_FILE_LINES
    }
    assert long == {}


def test_functions_have_a_readable_length() -> None:
    """Past 60 lines a function does more than one thing."""
    long = {
        f"{file.relative_to(ROOT)}:{function.name}": length
        for file in SOURCES
        for function in functions_of(file)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_public_functions_say_what_they_promise() -> None:
    """Every public function and method of the package has a docstring."""
    silent = [
        f"{file.relative_to(ROOT)}:{function.name}"
        for file in SOURCES
        for function in public_functions_of(ast.parse(file.read_bytes()).body)
        if ast.get_docstring(function) is None
    ]
    assert silent == []


def test_tests_say_what_they_claim() -> None:
    """Every test function has a docstring."""
    silent = [
        f"{file.relative_to(ROOT)}:{function.name}"
        for file in TESTS
        for function in functions_of(file)
        if function.name.startswith("test_") and ast.get_docstring(function) is None
    ]
    assert silent == []


def test_test_files_have_names_of_their_own() -> None:
    """A name names one test file, so that a failure says where."""
    names = [file.name for file in TESTS if file.name.startswith("test_")]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("pattern", "what"), [(UNFINISHED, "unfinished work"), (MACHINE_PATHS, "a path of one machine")]
)
def test_nothing_is_left_lying_about(pattern: re.Pattern[str], what: str) -> None:
    """Open work is tracked as issues, and no file knows the machine that it was written on."""
    found = []
    for file in text_files():
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        found += [
            f"{file.relative_to(ROOT)}:{number}: {what}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    assert found == []
