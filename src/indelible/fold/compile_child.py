"""The process that compiles: `python -m indelible.fold.compile_child COMPONENT CODE LIMITS`.

Compiling is the one step that takes unbounded time and memory for a hostile input, so it runs here, under
limits of the kernel, and may die. It writes the serialized code to CODE and one line of JSON to standard
output: what the component is, or why it is refused. LIMITS is a JSON object of fields of `Limits`.
"""

import hashlib
import json
import os
import resource
import sys
from pathlib import Path

from wasmtime import WasmtimeError
from wasmtime.component import Component

from indelible.fold import signature
from indelible.fold.cache import NO_ROOM
from indelible.fold.engine import new_engine
from indelible.fold.errors import NotAView
from indelible.fold.text import clean
from indelible.model.limits import Limits

_REASON_BYTES = 1_000
_NICE = 10  # whoever is served goes first


def _bound(limits: Limits) -> None:
    """Bound this process; what it has already mapped counts."""
    seconds, size = limits.compile_seconds, limits.compile_memory_bytes
    for kind, value in (
        (resource.RLIMIT_CORE, (0, 0)),
        (resource.RLIMIT_CPU, (seconds, seconds + 1)),  # SIGXCPU, which says why, then SIGKILL
        (resource.RLIMIT_AS, (size, size)),
        (resource.RLIMIT_FSIZE, (size, size)),
    ):
        resource.setrlimit(kind, value)
    os.nice(_NICE)


def compile_component(component: bytes, code: Path, limits: Limits) -> dict[str, object]:
    """Compile, check against the contracts, and write the code; return what the parent wants to know.

    Raises:
        NotAView: the component is invalid or keeps none of the contracts.
    """
    engine = new_engine(limits)
    try:
        compiled = Component(engine, component)
    except WasmtimeError as error:
        raise NotAView(f"The component is not valid: {clean(str(error), _REASON_BYTES)}") from error
    found = signature.check(compiled, engine)
    data = compiled.serialize()
    code.write_bytes(data)
    return {
        "world": found.world.value,
        "interface": found.interface,
        "imports": list(found.imports),
        "code_sha256": hashlib.sha256(data).hexdigest(),
    }


def main(arguments: list[str]) -> None:
    """Run once, for the files named on the command line."""
    component, code, facts = arguments
    limits = Limits(**json.loads(facts))
    data = Path(component).read_bytes()
    _bound(limits)
    try:
        answer = compile_component(data, Path(code), limits)
    except NotAView as refusal:
        answer = {"refused": refusal.reason}
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        answer = {"errno": error.errno}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
