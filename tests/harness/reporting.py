"""The built-in view `report` on a host of its own, for tests that ask it directly."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from indelible.fold.compile import Compiler
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Compiled
from indelible.model.limits import DEFAULT_LIMITS

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
