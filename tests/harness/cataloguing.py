"""Makes the catalogue of built-in views: each described by itself, with an answer over shipped events.

`scripts/build-catalogue` writes what `made` returns to where it is shipped from; a test holds it there.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from indelible.fold.compile import Compiler
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Batch, Question
from indelible.model.instants import parse_instant
from indelible.model.limits import DEFAULT_LIMITS
from indelible.views import catalogue

Json = Any

SPECS = Path(str(files("indelible.views"))) / "specs"
SHIPPED = SPECS / "catalogue.json"
DATA = Path(str(files("indelible"))) / "data"
IMPORTED = parse_instant("2026-11-26T00:00:00Z")
IMPORTER = "00000000-0000-0000-0000-000000000001"


class Log(NamedTuple):
    """Events as a view gets them, and what they are."""

    told: str
    name: str
    times: Sequence[int]
    payloads: Sequence[bytes]
    writers: Sequence[str]


def trail() -> Log:
    """The shipped history of this project, as if it was imported at one time."""
    lines = (DATA / "trail.ndjson").read_bytes().splitlines()
    told = "trail.ndjson of the package: a history of git, one event for each file that a commit changed"
    return Log(told, "trail", [IMPORTED] * len(lines), lines, [IMPORTER] * len(lines))


def audit() -> Log:
    """The shipped `_audit` of a server, with the times and writers that it had."""
    lines = [json.loads(line) for line in (DATA / "audit.ndjson").read_text().splitlines()]
    return Log(
        "audit.ndjson of the package: the log _audit of a server",
        "_audit",
        [parse_instant(line["time"]) for line in lines],
        [json.dumps(line["payload"], separators=(",", ":")).encode() for line in lines],
        [line["writer"] for line in lines],
    )


LOGS: Mapping[str, Log] = {"trail": trail(), "audit": audit()}


def feed(fold: Fold, log: Log) -> None:
    """Fold all events of a log."""
    writers = sorted(set(log.writers))
    places = [writers.index(writer) for writer in log.writers]
    fold.append(Batch(1, log.times, log.payloads, writers, places))


def question(log: Log, params: Sequence[Sequence[str]], basis: str) -> Question:
    """A question as the host asks it, but for when that was."""
    facts = (("tz", "UTC"), ("basis", basis), ("at-sequence", str(len(log.payloads))))
    return Question([(name, value) for name, value in params], "", facts)


def made(folder: Path) -> bytes:
    """The catalogue, as it is shipped. Compiled code is kept in `folder`."""
    index: Mapping[str, Json] = json.loads((SPECS / "index.json").read_text())
    assert sorted(index) == list(catalogue.names()), "specs/index.json names all views that there are"
    compiler = Compiler(folder, DEFAULT_LIMITS)
    with Host(folder, DEFAULT_LIMITS) as host:
        reports = [_entry(compiler, host, name, index[name]) for name in sorted(index)]
    lines = [json.dumps(report, ensure_ascii=False, separators=(",", ":")) for report in reports]
    return ('{"reports":[\n' + ",\n".join(lines) + "\n]}\n").encode()


def _entry(compiler: Compiler, host: Host, name: str, told: Mapping[str, Json]) -> dict[str, Json]:
    shipped, example = catalogue.builtin(name), told["example"]
    config = shipped.config or json.dumps(example.get("config", {}))
    log, basis = LOGS[example["events"]], example.get("basis", "received")
    with host.open(compiler.compile(shipped.component), config, [("log-name", log.name)]) as fold:
        described = json.loads(fold.describe())
        feed(fold, log)
        answer = json.loads(fold.query(question(log, example["params"], basis)).body)
    if name == "report":  # it describes itself only once it has a specification
        described = json.loads(host.trial(compiler.compile(shipped.component), config, []))
    return {
        "name": name,
        "title": described["title"],
        "description": described["description"],
        "serves": told["serves"],
        "takes_config": name == "report",
        "columns": described.get("columns"),
        "parameters": described["parameters"],
        "example": {
            "events": log.told,
            "config": example.get("config"),
            "params": example["params"],
            "basis": basis,
            "answer": answer,
        },
    }
