"""The built-in view `report` against a plain model: random events, specifications and questions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.harness.report_events import Appended
from tests.harness.report_model import Asked, Model, shown

from indelible.fold.compile import Compiler
from indelible.fold.fold import Fold
from indelible.fold.host import Host
from indelible.fold.types import Batch, Compiled, Question
from indelible.model.instants import format_micros, parse_instant
from indelible.model.limits import DEFAULT_LIMITS

Json = Any

START = parse_instant("2025-03-28T00:00:00Z")  # two days before clocks change in Europe
HOUR = 3_600_000_000
SHIPPED = Path(str(files("indelible.views"))) / "builtin" / "report.wasm"

# ---------------------------------------------------------------- events

names = st.sampled_from(["a", "b", "ä", "role.admin", "role.user", "1", "true"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([0.5, 2.25, "", "x", "1", "\x00t"])
    | names
)
anything = scalars | st.lists(scalars, max_size=3) | st.dictionaries(names, scalars, max_size=2)
parties = names | st.fixed_dictionaries({"id": names}, optional={"type": names, "name": names})
instants = st.integers(0, 100).map(lambda hours: START + hours * HOUR)
events = st.fixed_dictionaries(
    {},
    optional={
        "type": names,
        "actor": parties,
        "resource": parties | st.lists(parties, max_size=3),
        "changes": st.dictionaries(names | st.just(""), st.tuples(anything, anything), max_size=3),
        "outcome": st.sampled_from(["success", "failure"]),
        "ip": st.sampled_from(["192.0.2.1", "192.0.2.2"]),
        "reason": names,
        "occurred_at": instants.map(format_micros),
        "meta": st.fixed_dictionaries({}, optional={"n": anything, "l": st.lists(anything, max_size=2)}),
        "n": st.integers(-5, 5) | st.sampled_from([0.1, 0.2, "7"]),
    },
)
logs = st.lists(st.tuples(st.integers(0, 20), events, st.sampled_from(["w1", "w2"])), max_size=25)

# ------------------------------------------------------------ specifications

TIMES = ["time", "when", "occurred_at"]
SINGLE = [
    "sequence",
    "delay",
    "writer",
    "type",
    "actor",
    "actor_type",
    "actor_name",
    "outcome",
    "ip",
    "reason",
    "reads",
]
MANY = ["resource", "resource_type", "resource_name", "field", "before", "after"]
PATHS = st.sampled_from(["meta.n", "meta.l[0]", "meta.l[1].a", "n", "actor.id", "nowhere"])
PARAMETERS = {
    "words": {"repeat": True},
    "word": {"default": "a", "description": "One."},
    "least": {"type": "number"},
    "size": {"type": "integer", "default": 3},
    "seed": {"default": "s"},
}


def several(name: str, each: str) -> bool:
    """Whether a row may have a list of this member's values."""
    return (name.startswith("resource") and each == "event") or (
        name in {"field", "before", "after"} and each != "change"
    )


def values(each: str, *, lists: bool, times: bool = True) -> st.SearchStrategy[dict[str, Json]]:
    """What may be read from a row."""
    members = [*SINGLE, *(name for name in MANY if lists or not several(name, each))]
    with_path = [name for name in members if name not in {"sequence", "reads", "delay"}]
    return st.one_of(
        st.sampled_from([*members, *(TIMES if times else [])]).map(lambda name: {"member": name}),
        st.lists(PATHS, min_size=1, max_size=2, unique=True).map(lambda paths: {"path": paths}),
        st.tuples(st.sampled_from(with_path), PATHS).map(lambda two: {"member": two[0], "path": two[1]}),
    )


constants = st.sampled_from(["a", "b", "role.admin", "1", "true", "success", 1, 0.5, -2, True])
texts = st.sampled_from(["a", "role.*", "*", "*d*", "r*.*r", "1"])
tests = st.fixed_dictionaries(
    {},
    optional={
        "is": constants | st.lists(constants, min_size=1, max_size=3) | st.just({"param": "words"}),
        "like": texts | st.lists(texts, min_size=1, max_size=2) | st.just({"param": "word"}),
        "exists": st.booleans(),
        "at_least": st.integers(-3, 5) | st.just({"param": "least"}),
        "less_than": st.sampled_from([0.2, 3, 10]),
    },
).filter(bool)


def leaves(each: str) -> st.SearchStrategy[dict[str, Json]]:
    """Conditions without others inside."""
    bounds = instants.map(format_micros)
    of_values = st.tuples(values(each, lists=True, times=False), tests).map(lambda two: {**two[0], **two[1]})
    of_times = st.tuples(st.sampled_from(TIMES), bounds).map(
        lambda two: {"member": two[0], "at_least": two[1]}
    )
    return of_values | of_times


def combined(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Conditions of conditions."""
    many = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        many.map(lambda all_: {"all": all_}),
        many.map(lambda all_: {"any": all_}),
        inner.map(lambda one: {"not": one}),
    )


def conditions(each: str) -> st.SearchStrategy[Json]:
    """Any condition over rows."""
    one = st.recursive(leaves(each), combined, max_leaves=4)
    return one | st.lists(one, max_size=3)


def named(inner: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """The same, with names that differ."""
    return [{"name": f"c{place}", **one} for place, one in enumerate(inner)]


buckets = st.fixed_dictionaries(
    {"bucket": st.sampled_from(["hour", "day", "week", "month", "quarter", "year"])},
    optional={
        "of": st.sampled_from(TIMES),
        "tz": st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "UTC"]),
    },
)


OPERATIONS = ["distinct", "first", "last", "min", "max", "sum", "latest"]


@st.composite
def aggregates(draw: st.DrawFn, each: str) -> dict[str, Json]:
    """One aggregate."""
    operation = draw(st.sampled_from([*["count"] * 3, *OPERATIONS]))
    told: dict[str, Json] = {}
    if draw(st.integers(0, 3)) == 0:
        told["where"] = draw(conditions(each))
    if operation == "count":
        return {**told, "count": draw(st.sampled_from(["events", "rows"]))}
    if operation == "sum":
        return {**told, "sum": {"path": draw(PATHS)}}
    if operation == "latest":
        told["n"] = draw(st.integers(1, 3))
    return {**told, operation: draw(values(each, lists=False))}


def used(spec: Json) -> set[str]:
    """The parameters that something names."""
    inner = spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else []
    found = {spec["param"]} if isinstance(spec, dict) and "param" in spec else set()
    return found.union(*map(used, inner))


@st.composite
def specifications(draw: st.DrawFn) -> dict[str, Json]:
    """Any specification; its columns have names."""
    each = draw(st.sampled_from(["event", "resource", "change"]))
    spec: dict[str, Json] = {"each": each}
    if draw(st.booleans()):  # most conditions leave few rows
        spec["where"] = draw(conditions(each))
    if draw(st.booleans()):
        spec["columns"] = named(draw(st.lists(values(each, lists=True), min_size=1, max_size=4)))
        sortable = [one["name"] for one in spec["columns"] if not several(one.get("member", ""), each)]
        if draw(st.integers(0, 3)) == 0:
            size = draw(st.sampled_from([2, {"param": "size"}]))
            spec["sample"] = {"size": size, "seed": draw(st.sampled_from(["x", {"param": "seed"}]))}
    else:
        keys = named(draw(st.lists(values(each, lists=False) | buckets, max_size=2)))
        told = named(draw(st.lists(aggregates(each), min_size=1, max_size=3)))
        spec |= {"group_by": keys, "aggregates": [{**one, "name": f"a{one['name']}"} for one in told]}
        sortable = [one["name"] for one in (*keys, *spec["aggregates"]) if "latest" not in one]
        counted = [one["name"] for one in spec["aggregates"] if "count" in one or "distinct" in one]
        if counted:
            tested = st.tuples(st.sampled_from(counted), tests).map(lambda two: {"column": two[0], **two[1]})
            spec["having"] = draw(st.recursive(tested, combined, max_leaves=2))
    orders = st.sampled_from(["asc", "desc"])
    if sortable:
        chosen = draw(st.lists(st.sampled_from(sortable), max_size=2, unique=True))
        spec["sort"] = [{"column": name, "order": draw(orders)} for name in chosen]
    spec["parameters"] = {name: PARAMETERS[name] for name in sorted(used(spec))}
    return spec


questions = st.builds(
    Asked,
    st.fixed_dictionaries(
        {},
        optional={
            "words": st.lists(names, min_size=1, max_size=2),
            "word": st.lists(texts, min_size=1, max_size=1),
            "least": st.sampled_from([["1"], ["-0.5"]]),
            "size": st.sampled_from([["1"], ["5"]]),
            "seed": st.sampled_from([["t"], ["u"]]),
        },
    ),
    st.none() | instants,
    st.none() | instants,
    st.sampled_from(["received", "occurred"]),
    st.sampled_from(["UTC", "America/St_Johns", "Europe/Berlin"]),
)

# ----------------------------------------------------------------- the test


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Compiled]]:
    """The shipped component, compiled once."""
    folder = tmp_path_factory.mktemp("compiled")
    compiled = Compiler(folder, DEFAULT_LIMITS).compile(SHIPPED.read_bytes())
    with Host(folder, DEFAULT_LIMITS) as host:
        yield host, compiled


def _appended(log: Sequence[tuple[int, dict[str, Json], str]]) -> list[Appended]:
    time, appended = START, []
    for place, (hours, event, writer) in enumerate(log):
        time += hours * HOUR
        appended.append(Appended(place + 1, time, event, writer))
    return appended


def _feed(fold: Fold, run: Sequence[Appended], batch_events: int) -> None:
    for start in range(0, len(run), batch_events):
        batch = run[start : start + batch_events]
        writers = sorted({one.writer for one in batch})
        places = [writers.index(one.writer) for one in batch]
        payloads = [json.dumps(one.event).encode() for one in batch]
        fold.append(Batch(batch[0].sequence, [one.time for one in batch], payloads, writers, places))


def _question(spec: Mapping[str, Json], asked: Asked, limit: int, cursor: str | None) -> Question:
    params = [
        (name, value) for name, given in asked.values.items() if name in spec["parameters"] for value in given
    ]
    params += [("limit", str(limit)), *([("cursor", cursor)] if cursor else [])]
    bounds = (("window-from", asked.window_from), ("window-to", asked.window_to))
    facts = [(name, str(bound)) for name, bound in bounds if bound is not None]
    return Question(params, "", [*facts, ("basis", asked.basis), ("tz", asked.tz)])


def _whole(
    fold: Fold, spec: Mapping[str, Json], asked: Asked, limit: int
) -> tuple[list[Json], list[Json], Json]:
    """Columns, the rows of all pages, and the cover of the last."""
    rows: list[Json] = []
    cursor = None
    while True:
        page = json.loads(fold.query(_question(spec, asked, limit, cursor)).body)
        assert page["cover"]["rows_given"] == len(page["rows"]) <= limit
        rows += page["rows"]
        cursor = page["cover"]["next"]
        assert page["cover"]["truncated"] == (cursor is not None)
        if cursor is None:
            assert page["cover"]["rows"] == len(rows)
            return page["columns"], rows, page["cover"]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    log=logs,
    spec=specifications(),
    asked=st.lists(questions, min_size=1, max_size=3),
    batch_events=st.integers(1, 25),
    limit=st.sampled_from([3, 1_000]),
    half=st.booleans(),
)
def test_answers_are_those_of_the_model(
    view: tuple[Host, Compiled],
    log: list[tuple[int, dict[str, Json], str]],
    spec: dict[str, Json],
    asked: list[Asked],
    batch_events: int,
    limit: int,
    half: bool,
) -> None:
    """Any events, specification and question, wherever batches end, through a snapshot or not, by pages."""
    host, compiled = view
    appended = _appended(log)
    config = json.dumps(spec)
    note(f"{config}\n{appended}\n{asked}")
    middle = len(appended) // 2 if half else len(appended)
    fold = host.open(compiled, config, [])
    try:
        _feed(fold, appended[:middle], batch_events)
        if half:
            parts = list(fold.snapshot())
            fold.close()
            fold = host.reopen(compiled, config, [], parts)
            _feed(fold, appended[middle:], batch_events)
        for one in asked:
            columns, rows, cover = _whole(fold, spec, one, limit)
            model = Model(spec, one)
            expected = [[shown(cell) for cell in row] for row in model.answer(appended)]
            assert [column["name"] for column in columns] == model.names()
            assert rows == json.loads(json.dumps(expected))
            matched = model.matched(appended)
            assert cover["rows_matched"] == len(matched)
            assert cover["events_matched"] == len({row["sequence"] for row in matched})
            assert (cover["events_folded"], cover["unreadable"]) == (len(appended), 0)
    finally:
        fold.close()
