"""One attack on the host of views: what it does, how the component is made, and what the host must say."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.guests import wat
from tests.guests.drive import Child, Outcome

Make = Callable[[], Path]
"""Makes a component, or gives the one made before."""

MIB = 1 << 20
FUEL = 300_000_000
"""Spent in a fifth of a second: what loops is decided quickly."""

LIMITS: Mapping[str, object] = {
    "fold_fuel_per_batch": FUEL,
    "query_fuel": FUEL,
    "fold_batch_seconds": 120.0,  # on a busy machine it is still fuel that decides
    "query_seconds": 120.0,
    "view_memory_bytes": 64 * MIB,
    "compile_seconds": 40,
}

EVENTS = ["e30=", "eyJ0eXBlIjoiYSJ9", "//8="]
"""Three events in base64: `{}`, `{"type":"a"}`, and bytes that are not UTF-8."""

OPEN: Sequence[Sequence[object]] = (["open"],)
TRIAL: Sequence[Sequence[object]] = (["trial"],)
APPEND: Sequence[Sequence[object]] = (["open"], ["append", 1, EVENTS])
QUERY: Sequence[Sequence[object]] = (
    ["open"],
    ["append", 1, EVENTS],
    ["query", [["a", "b"]], "body", [["c", "d"]]],
)
SNAPSHOT: Sequence[Sequence[object]] = (["open"], ["append", 1, EVENTS], ["snapshot"])
REOPEN: Sequence[Sequence[object]] = (*SNAPSHOT, ["reopen"])
ALL: Sequence[Sequence[object]] = (["trial"], *REOPEN, ["append", 4, EVENTS], ["query"])
"""A whole life; an attack that fails nowhere in it gives the outcome of its last question."""

FINE = "fine"


class Attack(NamedTuple):
    """`says` is a pattern that the text of the refusal must hold; `error` may be `FINE`."""

    what: str
    make: Make
    steps: Sequence[Sequence[object]]
    error: str
    says: str = ""
    kind: str = ""
    limits: Mapping[str, object] = {}


def life(child: Child, component: Path) -> list[Outcome]:
    """Run a whole life of a component."""
    return child.run(component, ALL, limits=LIMITS)


def carry_out(child: Child, attack: Attack) -> list[Outcome]:
    """Run an attack in the child, hold the host to its word, and see that an honest view is still served."""
    outcomes = child.run(attack.make(), attack.steps, limits={**LIMITS, **attack.limits})
    last = outcomes[-1]
    assert last.get("error", FINE) == attack.error, (attack.what, last)
    assert not attack.kind or last["kind"] == attack.kind, (attack.what, last)
    assert re.search(attack.says, last.get("text", "")), (attack.what, last)
    assert re.search("[\x00-\x1f\x7f]", last.get("text", "")) is None, (attack.what, last)
    if last.get("error") in ("GuestTrap", "Aborted", "GuestError", "AnswerTooLarge"):
        assert not last.get("usable", False), (attack.what, last)
    honest = life(child, wat.component(wat.core()))
    assert honest[-1].get("body") == "b2s=", ("an honest view fails after this", attack.what, honest[-1])
    return outcomes
