"""Mistakes in a specification of the built-in view `report`: each is told with the place where it stands."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.harness.reporting import SHIPPED, Bench, open_bench

from indelible.fold.errors import NotAView

Json = Any


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, and the shipped component."""
    with open_bench(tmp_path_factory.mktemp("compiled"), SHIPPED) as bench:
        yield bench


WRONG = {
    "nothing": ("", ["the specification: an object belongs here, not nothing"]),
    "empty": ("{}", ["the specification: columns (a list of rows), or group_by or aggregates"]),
    "not YAML": ("columns: [time\nsort: x", ["not YAML", "(line "]),
    "unknown": (
        {"columns": ["time"], "colour": 1},
        ["colour: there is no such member here; there are title,"],
    ),
    "path": (
        "columns:\n  - time\n  - actor\n  - {name: x, path: a..b}\n",
        ["columns[2].path: a name is missing: a path is such as", "(line 4)"],
    ),
    "member": (
        {"columns": ["when", "who"]},
        ['columns[1]: there is no "who" here; there are sequence, time'],
    ),
    "both": ({"columns": ["time"], "group_by": ["actor"]}, ["columns: columns list rows"]),
    "twice": (
        {"columns": ["time", {"name": "time", "path": "x"}]},
        ["columns[1]: there are two columns time"],
    ),
    "several": ({"group_by": ["resource"]}, ["group_by[0]: an event may have several of these: write each:"]),
    "sum": ({"aggregates": [{"sum": "time"}]}, ["aggregates[0]: only values of events can be added up"]),
    "n": ({"aggregates": [{"latest": "type"}]}, ["aggregates[0]: n is missing"]),
    "zone": (
        {"group_by": [{"bucket": "day", "tz": "Mars/Olympus"}]},
        ['group_by[0].tz: there is no zone "Mars'],
    ),
    "test": (
        {"columns": ["time"], "where": [{"member": "type"}]},
        ["where[0]: one of is, like, exists, at_least"],
    ),
    "time": (
        {"columns": ["time"], "where": {"member": "time", "at_least": "yesterday"}},
        ["where.at_least: an RFC 3339 instant"],
    ),
    "number": (
        {"columns": ["time"], "where": {"path": "n", "more_than": "5"}},
        ["where.more_than: a number of at most 28 digits belongs here, not a text"],
    ),
    "parameter": (
        {"columns": ["time"], "where": {"member": "type", "is": {"param": "kind"}}},
        ['where.is.param: there is no parameter "kind"; declare it under parameters'],
    ),
    "unused": (
        "columns: [time]\nparameters:\n  kind: {type: text}\n",
        ["parameters.kind: nothing uses this parameter", "(line 3)"],
    ),
    "kept": (
        {
            "columns": ["time"],
            "where": {"member": "type", "is": {"param": "after"}},
            "parameters": {"after": {"type": "text"}},
        },
        ["parameters.after: this name has a meaning of its own in every query"],
    ),
    "default": (
        {
            "columns": ["time"],
            "where": {"member": "type", "is": {"param": "t"}},
            "parameters": {"t": {"one_of": ["a"], "default": "b"}},
        },
        ["parameters.t.default: the default is none of one_of"],
    ),
    "repeat": (
        {
            "columns": ["time"],
            "where": {"path": "n", "at_least": {"param": "n"}},
            "parameters": {"n": {"type": "number", "repeat": True}},
        },
        ["where.at_least: the parameter n repeats, and only one value fits here"],
    ),
    "having": (
        {"group_by": ["actor"], "having": {"column": "events", "at_least": 2}},
        ['having.column: there is no "events" here; there are actor'],
    ),
    "sort": ({"columns": ["time", "resource"], "sort": "resource"}, ["sort: this column is a list"]),
    "sample": (
        {
            "columns": ["time"],
            "sample": {"size": 0, "seed": {"param": "seed"}},
            "parameters": {"seed": {}},
        },
        ["sample.size: a whole number from 1 to 10000", "sample.seed: this parameter needs a default"],
    ),
    "all at once": (
        {"columns": ["who", {"path": "a["}], "limit": 0, "each": "day"},
        ["columns[0]:", "columns[1].path:", "limit: a whole number", 'each: there is no "day"'],
    ),
    "alias": ("columns: &a [time]\nsort: *a\n", ["an anchor stands here", "(line 1)"]),
    "deep": ('{"columns":' + "[" * 40 + "]" * 40 + "}", ["more than 32 objects and lists"]),
    "long": ("columns: [time] #" + "x" * 70_000, ["at most 65536 are read"]),
}


@pytest.mark.parametrize(("config", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_place(bench: Bench, config: Json, told: Sequence[str]) -> None:
    """Each mistake in a specification is refused with the path to it, and its line where it is YAML."""
    text = config if isinstance(config, str) else json.dumps(config)
    with pytest.raises(NotAView) as refused:
        bench.host.trial(bench.compiled, text, [])
    assert [part for part in told if part not in str(refused.value)] == []
