"""Events of our own shape as rows, as the documentation of the view `report` says it: for its model."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from indelible.model.instants import parse_instant

Json = Any
Row = dict[str, Json]

OF_RESOURCE = ("resource", "resource_type", "resource_name")
OF_CHANGE = ("field", "before", "after")


class Appended(NamedTuple):
    """One event as the log has it."""

    sequence: int
    time: int
    event: dict[str, Json]
    writer: str = "w"
    payload: dict[str, Json] | None = None  # where paths lead, if that is another shape


class Instant(int):
    """Microseconds since 1970, told apart from other numbers."""


def _said(value: Json) -> Json:
    """None for what says nothing."""
    return None if value in (None, "") and not isinstance(value, bool) else value


def _party(value: Json) -> dict[str, Json]:
    if isinstance(value, dict):
        return {"id": value.get("id"), "type": value.get("type"), "name": value.get("name")}
    return {"id": value, "type": None, "name": None}


def _resources(event: Mapping[str, Json]) -> list[Row]:
    named = event.get("resource")
    listed = named if isinstance(named, list) else [] if named is None else [named]
    parties = [_party(one) for one in listed]
    rows: list[Row] = []
    for party in parties:
        row = {"resource": party["id"], "resource_type": party["type"], "resource_name": party["name"]}
        if all((row["resource"], row["resource_type"]) != (o["resource"], o["resource_type"]) for o in rows):
            rows.append(row)
    return rows


def _changes(event: Mapping[str, Json]) -> list[Row]:
    changes = event.get("changes", {})
    return [{"field": name, "before": pair[0], "after": pair[1]} for name, pair in changes.items()]


def path(event: Json, text: str) -> Json:
    """Follow a path such as `meta.a[0]`."""
    for step in re.findall(r"[^.\[\]]+|\[\d+\]", text):
        if step.startswith("["):
            place = int(step[1:-1])
            event = event[place] if isinstance(event, list) and place < len(event) else None
        else:
            event = event.get(step) if isinstance(event, dict) else None
    return _said(event)


def _plain(one: Appended) -> Row:
    actor = _party(one.event.get("actor"))
    claimed = one.event.get("occurred_at")
    delay = None if claimed is None else Decimal(one.time - parse_instant(claimed)) / 1_000_000
    return {
        "delay": delay,
        "sequence": one.sequence,
        "time": Instant(one.time),
        "occurred_at": None if claimed is None else Instant(parse_instant(claimed)),
        "writer": one.writer,
        "type": one.event.get("type"),
        "actor": actor["id"],
        "actor_type": actor["type"],
        "actor_name": actor["name"],
        "outcome": one.event.get("outcome"),
        "ip": one.event.get("ip"),
        "reason": one.event.get("reason"),
        "reads": one.event.get("reads", False),
        "payload": one.event if one.payload is None else one.payload,
    }


def rows_of(one: Appended, each: str) -> Iterator[Row]:
    """The rows of an event; what a row has several of is under `resources` and `changes`."""
    row = _plain(one)
    resources: list[Row] = _resources(one.event) or [dict.fromkeys(OF_RESOURCE)]
    changes: list[Row] = _changes(one.event) or [dict.fromkeys(OF_CHANGE)]
    if each == "event":
        yield {**row, "resources": resources, "changes": changes, "place": 0}
        return
    place = 0
    for resource in resources:
        if each == "resource":
            yield {**row, "resources": [resource], "changes": changes, "place": place}
            place += 1
            continue
        for change in changes:
            yield {**row, "resources": [resource], "changes": [change], "place": place}
            place += 1


def values(row: Row, wanted: Json) -> list[Json]:
    """All values of a row that a member, or `{member, path}`, names: at least one, which may be None."""
    if isinstance(wanted, str):
        wanted = {"member": wanted}
    member = wanted.get("member")
    paths = wanted.get("path", [])
    paths = paths if isinstance(paths, list) else [paths]
    found = [path(row["payload"], one) for one in paths]
    fallback = next((one for one in found if one is not None), None)
    if member is None:
        return [fallback]
    if member in OF_RESOURCE:
        told = [resource[member] for resource in row["resources"]]
    elif member in OF_CHANGE:
        told = [change[member] for change in row["changes"]]
    else:
        told = [row[member]]
    return [fallback if one is None else one for one in told]


def one(row: Row, wanted: Json) -> Json:
    """The only value."""
    (only,) = values(row, wanted)
    return only
