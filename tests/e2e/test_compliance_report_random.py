"""The built-in view against a second implementation: a few lines of plain Python over our own shape."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indelible.fold.compile import Compiler
from indelible.fold.host import Host
from indelible.fold.types import Batch, Compiled, Question
from indelible.model.instants import format_micros, parse_instant
from indelible.model.limits import DEFAULT_LIMITS

Json = Any

START = parse_instant("2025-01-01T00:00:00Z")


class Appended(NamedTuple):
    """One event as the log has it."""

    sequence: int
    time: int
    event: dict[str, Json]

    @property
    def occurred(self) -> int | None:
        """The time it claims."""
        claimed = self.event.get("occurred_at")
        return None if claimed is None else parse_instant(claimed)


class Asked(NamedTuple):
    """A question."""

    actors: Sequence[str]
    resources: Sequence[str]
    types: Sequence[str]
    window_from: int | None
    window_to: int | None
    basis: str

    def pairs(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return parameters and facts."""
        named = (("actor", self.actors), ("resource", self.resources), ("type", self.types))
        bounds = (("window-from", self.window_from), ("window-to", self.window_to))
        params = [(name, value) for name, values in named for value in values]
        facts = [(name, str(bound)) for name, bound in bounds if bound is not None]
        return params, [*facts, ("basis", self.basis)]


def _fits_type(action: str | None, wanted: str) -> bool:
    if action is None:
        return False
    return action.startswith(wanted[:-1]) if wanted.endswith("*") else action == wanted


def _resources(event: Mapping[str, Json]) -> list[str]:
    named = event.get("resource")
    return list(dict.fromkeys(named if isinstance(named, list) else [named])) if named else []


def _fits(one: Appended, asked: Asked) -> bool:
    event = one.event
    return (
        (not asked.actors or event.get("actor") in asked.actors)
        and (not asked.resources or bool(set(_resources(event)) & set(asked.resources)))
        and (not asked.types or any(_fits_type(event.get("type"), wanted) for wanted in asked.types))
    )


def _matched(log: Sequence[Appended], asked: Asked) -> tuple[list[Appended], int]:
    fitting = [one for one in log if _fits(one, asked)]
    claims = asked.basis == "occurred"
    timed = [(one.occurred if claims else one.time, one) for one in fitting]
    low = START - 10**15 if asked.window_from is None else asked.window_from
    high = START + 10**15 if asked.window_to is None else asked.window_to
    inside = [(time, one) for time, one in timed if time is not None and low <= time < high]
    inside.sort(key=lambda pair: (pair[0], pair[1].sequence))
    return [one for _, one in inside], sum(time is None for time, _ in timed)


def _rows(one: Appended) -> Iterator[dict[str, Json]]:
    row = {
        "sequence": one.sequence,
        "time": format_micros(one.time),
        "actor": one.event.get("actor"),
        "type": one.event.get("type"),
    }
    if one.occurred is not None:
        row["occurred_at"] = format_micros(one.occurred)
    for field, (before, after) in one.event.get("changes", {}).items():
        yield {**row, "field": field, "before": before, "after": after}
    if not one.event.get("changes"):
        yield {**row, "field": None}


def _changes(matched: Sequence[Appended], asked: Asked) -> list[dict[str, Json]]:
    groups: dict[str | None, list[dict[str, Json]]] = {}
    for one in matched:
        named: list[str | None] = [*_resources(one.event)]
        if not named and one.event.get("changes"):
            named = [None]
        for resource in named:
            if not asked.resources or resource in asked.resources:
                groups.setdefault(resource, []).extend(_rows(one))
    return [
        {"resource": resource, "resource_type": None, "name": None, "count": len(rows), "changes": rows}
        for resource, rows in groups.items()
    ]


def _actions(matched: Sequence[Appended]) -> list[dict[str, Json]]:
    actors: dict[str | None, list[Appended]] = {}
    for one in matched:
        actors.setdefault(one.event.get("actor"), []).append(one)
    return [_actor(actor, ones) for actor, ones in sorted(actors.items(), key=lambda pair: -len(pair[1]))]


def _actor(actor: str | None, ones: Sequence[Appended]) -> dict[str, Json]:
    types = Counter(one.event.get("type") for one in ones)
    ordered = sorted(types.items(), key=lambda pair: (-pair[1], (pair[0] or "").encode()))
    first, last = min(ones), max(ones)
    return {
        "actor": actor,
        "actor_type": None,
        "name": None,
        "actions": len(ones),
        "by_type": [{"type": action, "actions": count} for action, count in ordered],
        "types": len(types),
        "resources": len({resource for one in ones for resource in _resources(one.event)}),
        "first_sequence": first.sequence,
        "first_time": format_micros(first.time),
        "last_sequence": last.sequence,
        "last_time": format_micros(last.time),
    }


names = st.sampled_from(["a", "b", "c", "ä:é", "d/e", "invoice_1"])
types = st.sampled_from(["record", "record.updated", "record.deleted", "session.started", "x"])
values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
instants = st.integers(0, 40).map(lambda hours: START + hours * 3_600_000_000)
events = st.fixed_dictionaries(
    {},
    optional={
        "type": types,
        "actor": names,
        "resource": names | st.lists(names, max_size=3),
        "changes": st.dictionaries(st.text(max_size=4), st.tuples(values, values), max_size=3),
        "occurred_at": instants.map(format_micros),
        "ip": st.just("192.0.2.1"),
    },
)
logs = st.lists(st.tuples(st.integers(0, 3), events), max_size=30)
questions = st.builds(
    Asked,
    st.lists(names, max_size=2),
    st.lists(names, max_size=2),
    st.lists(types | st.sampled_from(["record.*", "rec*", "*"]), max_size=2),
    st.none() | instants,
    st.none() | instants,
    st.sampled_from(["received", "occurred"]),
)


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Compiled]]:
    """The shipped component, compiled once."""
    folder = tmp_path_factory.mktemp("compiled")
    shipped = Path(str(files("indelible.views"))) / "builtin" / "compliance-report.wasm"
    compiled = Compiler(folder, DEFAULT_LIMITS).compile(shipped.read_bytes())
    with Host(folder, DEFAULT_LIMITS) as host:
        yield host, compiled


def _appended(log: Sequence[tuple[int, dict[str, Json]]]) -> list[Appended]:
    time, appended = START, []
    for place, (hours, event) in enumerate(log):
        time += hours * 3_600_000_000
        appended.append(Appended(place + 1, time, event))
    return appended


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=logs, asked=st.lists(questions, min_size=1, max_size=4), batch_events=st.integers(1, 30))
def test_answers_are_those_of_a_plain_implementation(
    view: tuple[Host, Compiled],
    log: list[tuple[int, dict[str, Json]]],
    asked: list[Asked],
    batch_events: int,
) -> None:
    """Any log of our shape, any question, any batches: both lists and the counts are the same."""
    host, compiled = view
    appended = _appended(log)
    with host.open(compiled, "", []) as fold:
        for start in range(0, len(appended), batch_events):
            run = appended[start : start + batch_events]
            payloads = [json.dumps(one.event).encode() for one in run]
            fold.append(Batch(run[0].sequence, [one.time for one in run], payloads, ["w"]))
        for one in asked:
            params, facts = one.pairs()
            answer = json.loads(fold.query(Question(params, "", facts)).body)
            matched, without_time = _matched(appended, one)
            assert answer["changes_by_resource"] == json.loads(json.dumps(_changes(matched, one)))
            assert answer["actions_by_actor"] == _actions(matched)
            cover = answer["cover"]
            assert cover["events_matched"] == len(matched)
            assert cover.get("without_time", without_time) == without_time


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=logs, asked=questions, limit=st.integers(1, 7))
def test_pages_join_to_the_whole(
    view: tuple[Host, Compiled], log: list[tuple[int, dict[str, Json]]], asked: Asked, limit: int
) -> None:
    """Following `next` gives every row and every actor of the whole answer once, in its order."""
    host, compiled = view
    appended = _appended(log)
    params, facts = asked.pairs()
    with host.open(compiled, "", []) as fold:
        if appended:
            payloads = [json.dumps(one.event).encode() for one in appended]
            fold.append(Batch(1, [one.time for one in appended], payloads, ["w"]))
        whole = json.loads(fold.query(Question(params, "", facts)).body)
        rows, actors, cursor = [], [], None
        while True:
            more = [("limit", str(limit)), *([("cursor", cursor)] if cursor else [])]
            page = json.loads(fold.query(Question([*params, *more], "", facts)).body)
            rows += [
                (group["resource"], row) for group in page["changes_by_resource"] for row in group["changes"]
            ]
            actors += page["actions_by_actor"]
            assert page["cover"]["rows_given"] <= limit
            cursor = page["cover"]["next"]
            if cursor is None:
                break
    assert rows == [
        (group["resource"], row) for group in whole["changes_by_resource"] for row in group["changes"]
    ]
    assert actors == whole["actions_by_actor"]
