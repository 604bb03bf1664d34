"""The built-in view `report` on a host of its own, for tests that ask it directly."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from indelible.fold.compile import Compiler
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Compiled
from indelible.model.limits import DEFAULT_LIMITS

ROOT = Path(__file__).resolve().parents[2]
NO_RUST = 3  # the exit status of scripts/build-views that says which command gets Rust
SHIPPED = Path(str(files("indelible.views"))) / "builtin" / "report.wasm"


class Bench(NamedTuple):
    """A host and a compiled component."""

    host: Host
    compiled: Compiled

    def open(self, spec: Any) -> Fold:
        """A fold of a report; the specification is text or JSON."""
        config = spec if isinstance(spec, str) else json.dumps(spec)
        return self.host.open(self.compiled, config, [("log-id", "l"), ("origin", "o")])


@contextmanager
def open_bench(folder: Path, component: Path = SHIPPED) -> Iterator[Bench]:
    """A bench with compiled code in that folder."""
    compiled = Compiler(folder, DEFAULT_LIMITS).compile(component.read_bytes())
    with Host(folder, DEFAULT_LIMITS) as host:
        yield Bench(host, compiled)


def rebuilt(folder: Path, shipped: Path = SHIPPED) -> Path:
    """A shipped component as these sources and this compiler make it; the test is skipped without Rust."""
    done = subprocess.run(
        [ROOT / "scripts" / "build-views", "--to", folder], capture_output=True, text=True, check=False
    )
    if done.returncode == NO_RUST and os.environ.get("INDELIBLE_TEST_ALL") != "1":
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return folder / shipped.name
