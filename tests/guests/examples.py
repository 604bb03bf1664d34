"""The example of the SDKs in each language, scaffolded and built by the commands that authors use.

`need(language)` gives the path of the component, built now or before. `example-js.wasm.xz` is the one in
JavaScript for machines without componentize-js; `python -m tests.guests.examples` renews it, and one of
other sources is never run.
"""

import hashlib
import lzma
import os
import sys
from pathlib import Path

from tests.guests import build

from indelible.author import build as author
from indelible.author.languages import Language
from indelible.author.scaffold import scaffold

GUEST = build.ROOT / "guest"
PACKED = build.GUESTS / "example" / "example-js.wasm.xz"
KEY = PACKED.with_name("example-js.key")
LEFT = {"target", "node_modules", "__pycache__"}


def sources_of(language: Language) -> list[Path]:
    """Return everything that a scaffold is made from."""
    files = (file for file in (GUEST / language.value).rglob("*") if file.is_file())
    return [*sorted(file for file in files if LEFT.isdisjoint(file.parts)), build.VIEW_WIT]


def key_of(language: Language) -> str:
    """Return a digest of the sources."""
    total = hashlib.sha256()
    for path in sources_of(language):
        total.update(
            f"{path.relative_to(build.ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest()
        )
    return total.hexdigest()


def _tools(language: Language) -> str:
    if language is Language.PYTHON:
        return build.wheel_version("componentize-py")
    return build._rust_tools() if language is Language.RUST else build._js_tools()


def make(language: Language, work: Path, made: Path, name: str = "example") -> None:
    """Scaffold and build, with the tools that the tests have."""
    folder = scaffold(name, language, work)
    if language is Language.JS:
        (folder / "node_modules").symlink_to(build._js_folder() / "node_modules")
    if language is Language.RUST:  # what the view depends on is compiled once
        target = build.cache_folder() / "rust-example-target"
        target.mkdir(exist_ok=True)
        (folder / "target").symlink_to(target)
    try:
        built = author.build(author.open_project(folder))
    except author.ToolMissing as missing:
        raise build.ToolMissing(f"needs {missing.tool}: {missing.command}") from None
    except author.BuildFailed as failed:
        raise build.BuildFailed(str(failed)) from None
    made.write_bytes(built.path.read_bytes())


def example(language: Language) -> Path:
    """Return the path of the component.

    Raises:
        ToolMissing: with the command that gets the tool.
        BuildFailed: with what the tool said.
    """
    key, name = key_of(language), f"example-{language.value}"
    try:
        tools = _tools(language)
    except build.ToolMissing:
        if language is not Language.JS or KEY.read_text().split() != [key, build.digest_of(PACKED)]:
            raise
        return build.cached(f"packed {build.digest_of(PACKED)}", name, _unpack)
    return build.cached(f"{name}\n{key}\n{tools}", name, lambda work, made: make(language, work, made))


def _unpack(_work: Path, made: Path) -> None:
    made.write_bytes(lzma.decompress(PACKED.read_bytes()))


def need(language: Language) -> Path:
    """Return the path of the component for a test, which is skipped where a tool is missing."""
    import pytest  # noqa: PLC0415 - packing works without it

    try:
        return example(language)
    except build.ToolMissing as missing:
        if os.environ.get(build.ALL) == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


def pack() -> None:
    """Build the example in JavaScript, and lay it here packed, with the digest of its sources."""
    PACKED.parent.mkdir(exist_ok=True)
    content = example(Language.JS).read_bytes()
    PACKED.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    KEY.write_text(f"{key_of(Language.JS)} {build.digest_of(PACKED)}\n")


if __name__ == "__main__":
    os.environ[build.ALL] = "1"
    pack()
    sys.stdout.write(f"{PACKED}\n")
