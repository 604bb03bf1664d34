"""The test guests as components, for measuring what each guest language costs."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

BUILD = Path(__file__).parent.parent / "tests" / "guests" / "build.py"
GUESTS = (
    ("Rust", "tally-rust", ""),
    ("Python", "tally-python", "40,000 events/s"),
    ("JavaScript", "tally-js", "40,000 events/s"),
)


def components() -> Iterator[tuple[str, bytes | str, str]]:
    """Language, component or the reason why there is none, and what is wanted of it."""
    build = _load()
    for language, name, wanted in GUESTS:
        try:
            yield language, Path(build.build(name)).read_bytes(), wanted
        except build.ToolMissing as missing:
            yield language, str(missing), wanted


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("guests_build", BUILD)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
