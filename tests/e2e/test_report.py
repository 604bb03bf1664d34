"""The built-in view `report`: what it says of itself, shapes, samples, snapshots."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from tests.harness.reporting import ROOT, SHIPPED, Bench, open_bench, rebuilt

from indelible.fold.errors import GuestError, QueryRefused
from indelible.fold.types import Batch, Question

Json = Any


@pytest.fixture(
    scope="module",
    params=["shipped", pytest.param("rebuilt", marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])],
)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host; the shipped component, and the rebuilt one where Rust is there."""
    component = SHIPPED if request.param == "shipped" else rebuilt(tmp_path_factory.mktemp("rebuilt"))
    with open_bench(tmp_path_factory.mktemp("compiled"), component) as bench:
        yield bench


def test_the_documented_example_can_be_deployed(bench: Bench) -> None:
    """The specification in docs/views/report.md is one, and finds what it says."""
    page = (ROOT / "docs" / "views" / "report.md").read_text()
    (spec,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    denied = {"type": "session.started", "actor": "a", "outcome": "failure", "ip": "192.0.2.1", "reason": "r"}
    events = [denied, {**denied, "ip": "192.0.2.2", "reason": None}, {**denied, "outcome": "success"}]
    with bench.open(spec) as fold:
        fold.append(Batch(1, [0] * 3, [json.dumps(event).encode() for event in events], ["w"]))
        answer = json.loads(fold.query(Question([], "", [("basis", "received")])).body)
    assert answer["rows"] == [["a", "1970-01-01", 2, 2, ["r"], "1970-01-01T00:00:00.000000Z"]]


def test_yaml_json_and_a_json_text_are_one(bench: Bench) -> None:
    """The same report, however its specification was written and sent."""
    yaml = "title: T\ncolumns:\n- time\n- {name: n, path: 'meta.\"a.b\"'}\n"
    spec = {"title": "T", "columns": ["time", {"name": "n", "path": 'meta."a.b"'}]}
    event = b'{"meta": {"a.b": [1, 2.50]}}'
    answers = []
    for config in (yaml, json.dumps(spec), json.dumps(yaml), json.dumps(json.dumps(spec))):
        with bench.open(config) as fold:
            fold.append(Batch(1, [0], [event], ["w"]))
            answer = json.loads(fold.query(Question([], "", [])).body)
            assert answer["cover"]["view"].pop("config_sha256") == hashlib.sha256(config.encode()).hexdigest()
            answers.append(answer)
    assert answers[0]["rows"] == [["1970-01-01T00:00:00.000000Z", [1, 2.5]]]
    assert answers.count(answers[0]) == len(answers)


SPEC: Mapping[str, Json] = {
    "title": "Who",
    "description": "Whose.",
    "each": "change",
    "where": [
        {"member": "type", "like": {"param": "type"}},
        {"member": "sequence", "at_least": {"param": "least"}},
    ],
    "parameters": {
        "type": {"repeat": True, "default": ["a*", "b"], "description": "Types."},
        "least": {"type": "integer", "required": True},
    },
    "columns": [
        "sequence",
        "type",
        "actor",
        "resource",
        "field",
        "before",
        "after",
        "ip",
        "reason",
        "writer",
    ],
    "limit": 7,
}


def test_a_configured_view_describes_its_report(bench: Bench) -> None:
    """After `init`, `describe` has the specification's title, columns and parameters as JSON Schema."""
    with bench.open(SPEC) as fold:
        told = json.loads(fold.describe())
    assert (told["title"], told["description"]) == ("Who", "Whose.")
    assert told["columns"] == SPEC["columns"]
    schema = told["parameters"]
    assert (schema["additionalProperties"], schema["required"]) == (False, ["least"])
    assert schema["properties"]["type"] == {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "Types.",
        "default": ["a*", "b"],
    }
    assert schema["properties"]["least"] == {"type": "integer"}
    assert schema["properties"]["limit"]["default"] == SPEC["limit"]
    assert set(schema["properties"]) == {"type", "least", "limit", "cursor"}


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ([], "least is missing"),
        ([("least", "x")], "least is a whole number"),
        ([("least", "1.5")], "least is a whole number"),
        ([("least", "1"), ("least", "2")], "least is given twice"),
        ([("least", "1"), ("type", "")], "type is empty"),
        (
            [("least", "1"), ("tpye", "a")],
            'no parameter "tpye"; this report knows type, least, limit, cursor',
        ),
        ([("least", "1"), ("limit", "0")], "limit is a whole number from 1 to 10000"),
        ([("least", "1"), ("cursor", "0.0.0")], "does not belong to this question"),
    ],
)
def test_a_wrong_question_is_told(bench: Bench, params: list[tuple[str, str]], told: str) -> None:
    """No parameter is dropped: what does not fit is refused with words that say what to do."""
    with bench.open(SPEC) as fold:
        with pytest.raises(QueryRefused) as refused:
            fold.query(Question(params, "", []))
        assert refused.value.kind == "invalid"
        assert told in refused.value.text
        with pytest.raises(QueryRefused, match="no body"):
            fold.query(Question([("least", "1")], "x", []))


SHAPES: Sequence[tuple[Json, list[Json]]] = [
    (
        {
            "eventName": "AttachRolePolicy",
            "userIdentity": {"type": "IAMUser", "arn": "arn:x", "userName": "amy"},
            "sourceIPAddress": "198.51.100.7",
            "errorCode": "AccessDenied",
            "errorMessage": "not allowed",
        },
        ["AttachRolePolicy", "arn:x", "IAMUser", "amy", None, "failure", "198.51.100.7", "not allowed"],
    ),
    (
        {
            "action": "user.invited",
            "actor": {"id": "u1", "type": "user", "name": "Amy"},
            "targets": [{"id": "u2", "type": "user"}, {"id": "t1", "type": "team"}],
            "context": {"location": "198.51.100.8"},
        },
        ["user.invited", "u1", "user", "Amy", ["u2", "t1"], None, "198.51.100.8", None],
    ),
    (
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/s",
            "type": "t",
            "data": {"actor": "u3", "source_ip": "198.51.100.9", "reason": "why"},
        },
        ["t", "u3", None, None, None, None, "198.51.100.9", "why"],
    ),
    (
        {
            "event": {"action": "login", "outcome": "failure", "reason": "bad"},
            "user": {"id": "u4"},
            "source.ip": "::1",
        },
        ["login", "u4", None, None, None, "failure", "::1", "bad"],
    ),
    (
        {
            "action": "x",
            "crud": "u",
            "actor": {"id": "u5"},
            "target": {"id": "d"},
            "source_ip": 7,
            "is_failure": False,
        },
        ["x", "u5", None, None, "d", "success", "7", None],
    ),
    ({}, [None] * 8),
]


def test_members_are_read_from_common_shapes(bench: Bench) -> None:
    """CloudTrail, WorkOS, CloudEvents, ECS and Retraced events give the same members."""
    columns = ["type", "actor", "actor_type", "actor_name", "resource", "outcome", "ip", "reason"]
    payloads = [json.dumps(event).encode() for event, _ in SHAPES]
    with bench.open({"columns": columns}) as fold:
        fold.append(Batch(1, [0] * len(payloads), payloads, ["w"]))
        assert json.loads(fold.query(Question([], "", [])).body)["rows"] == [row for _, row in SHAPES]


@pytest.mark.parametrize("bound", [False, True])
def test_a_condition_chooses_rows_and_not_only_events(bench: Bench, bound: bool) -> None:
    """Of an event with several resources only those that match are listed, by constant or parameter."""
    spec: dict[str, Json] = {"each": "resource", "columns": ["sequence", "resource"]}
    spec["where"] = {"member": "resource", "is": {"param": "r"} if bound else "b"}
    spec["parameters"] = {"r": {"default": "b"}} if bound else {}
    events = [b'{"resource": ["a", "b"]}', b'{"resource": "a"}', b"{}", b'{"resource": ["b", "c", "b"]}']
    with bench.open(spec) as fold:
        fold.append(Batch(1, [0] * len(events), events, ["w"]))
        answer = json.loads(fold.query(Question([], "", [])).body)
    assert answer["rows"] == [[1, "b"], [4, "b"]]


def test_what_cannot_be_read_is_counted_in_its_window(bench: Bench) -> None:
    """Broken payloads are no error: the cover counts those of the window, with reasons and places."""
    payloads = [
        b"{}",
        b"{",
        b"[]",
        b"\xff",
        b'{"type": "%s"}' % (b"x" * 5_000),
        b'{"type": "\\ud800"}',
        b"{}",
    ]
    with bench.open({"columns": ["sequence"], "where": {"member": "type", "exists": False}}) as fold:
        fold.append(Batch(5, list(range(7)), payloads, ["w"]))
        answer = json.loads(fold.query(Question([], "", [("window-from", "2")])).body)
        cover = answer["cover"]
        assert answer["rows"] == [[11]]
        assert (cover["unreadable"], cover["unreadable_first"]) == (4, [7, 8, 9, 10])
        reasons = {"not_utf8": 1, "not_json": 1, "not_an_object": 1, "too_long": 1}
        assert cover["unreadable_why"] == reasons
        assert (cover["events_folded"], cover["first_folded"], cover["last_folded"]) == (7, 5, 11)


def test_a_value_that_is_too_long_is_cut_and_says_so(bench: Bench) -> None:
    """A long value shows its length and how it begins, and matches nothing but that it is there."""
    long = "é" * 3_000
    spec = {"columns": [{"name": "v", "path": "v"}, {"name": "w", "path": "w"}]}
    event = json.dumps({"v": long, "w": {"x": long}}, ensure_ascii=False).encode()
    with bench.open(spec) as fold:
        fold.append(Batch(1, [0], [event], ["w"]))
        ((v, w),) = json.loads(fold.query(Question([], "", [])).body)["rows"]
    assert (v["cut"], w["cut"]) == (
        len(f'"{long}"'.encode()),
        len(f'{{"x": "{long}"}}'.encode()),
    )
    assert long.startswith(v["begins"].strip('"'))


def test_a_sample_is_drawn_as_documented(bench: Bench) -> None:
    """Whoever has the seed can draw it again: the smallest SHA-256 of seed, sequence and place."""
    spec = {
        "columns": ["sequence"],
        "sample": {"size": {"param": "size"}, "seed": {"param": "seed"}},
        "parameters": {"size": {"type": "integer", "default": 25}, "seed": {"required": True}},
    }
    drawn = {}
    with bench.open(spec) as fold:
        fold.append(Batch(1, [0] * 400, [b"{}"] * 400, ["w"]))
        for seed in ("2025-Q3", "another"):
            answer = json.loads(fold.query(Question([("seed", seed)], "", [])).body)
            expected = sorted(
                range(1, 401), key=lambda n: hashlib.sha256(f"{seed}\n{n}\n0".encode()).digest()
            )
            drawn[seed] = [row[0] for row in answer["rows"]]
            assert drawn[seed] == sorted(expected[:25])
            assert answer["cover"]["sample"] == {"size": 25, "seed": seed, "population": 400}
        with pytest.raises(QueryRefused, match="size of a sample is a whole number from 1 to 10000"):
            fold.query(Question([("seed", "s"), ("size", "0")], "", []))
    assert drawn["2025-Q3"] != drawn["another"]


def test_pages_do_not_move_when_events_come_in_between(bench: Bench) -> None:
    """A cursor answers as of the first page's last event, and only for its question."""
    with bench.open({"columns": ["sequence"], "limit": 4}) as fold:
        fold.append(Batch(1, [1] * 6, [b"{}"] * 6, ["w"]))
        first = json.loads(fold.query(Question([], "", [])).body)
        fold.append(Batch(7, [2] * 6, [b"{}"] * 6, ["w"]))
        cursor = first["cover"]["next"]
        second = json.loads(fold.query(Question([("cursor", cursor)], "", [])).body)
        assert [row[0] for row in (*first["rows"], *second["rows"])] == [1, 2, 3, 4, 5, 6]
        assert (second["cover"]["last_folded"], second["cover"]["truncated"]) == (6, False)
        with pytest.raises(QueryRefused, match="does not belong to this question"):
            fold.query(Question([("cursor", cursor)], "", [("basis", "occurred")]))


def test_a_sum_is_exact_or_refused(bench: Bench) -> None:
    """A hundred tenths are ten, and a sum that 28 digits do not hold is no answer."""
    with bench.open({"aggregates": [{"name": "s", "sum": {"path": "n"}}]}) as fold:
        fold.append(Batch(1, [1] * 100, [b'{"n": 0.1}'] * 100, ["w"]))
        assert b'"rows":[[10]]' in fold.query(Question([], "", [])).body
        fold.append(Batch(101, [1], [b'{"n": 70000000000000000000000000000}'], ["w"]))
        fold.append(Batch(102, [1], [b'{"n": 0.1}'], ["w"]))
        with pytest.raises(QueryRefused, match="more than 28 digits"):
            fold.query(Question([], "", []))


def test_too_many_groups_are_refused(bench: Bench) -> None:
    """A question that would fill the memory is refused with words; a shorter window is answered."""
    counts = [{"name": f"n{place}", "count": "rows"} for place in range(63)]
    with bench.open({"group_by": ["actor"], "aggregates": counts}) as fold:
        payloads = [b'{"actor": "a%d"}' % place for place in range(16_000)]
        fold.append(Batch(1, list(range(16_000)), payloads, ["w"]))
        with pytest.raises(QueryRefused, match="More than 15625 groups match; ask for a shorter window"):
            fold.query(Question([], "", []))
        answer = json.loads(fold.query(Question([], "", [("window-to", "15625")])).body)
        assert answer["cover"]["rows"] == 15_625


def test_a_gap_is_refused(bench: Bench) -> None:
    """A batch that does not follow what was folded is an error, never a silent hole in a report."""
    with bench.open({"columns": ["time"]}) as fold:
        fold.append(Batch(1, [5], [b"{}"], ["w"]))
        with pytest.raises(GuestError, match="sequence 2 should follow, 3 came"):
            fold.append(Batch(3, [6], [b"{}"], ["w"]))


@pytest.mark.parametrize("damage", ["cut", "again", "empty", "flipped", "other report"])
def test_a_damaged_snapshot_is_refused(bench: Bench, damage: str) -> None:
    """A state is restored whole, as it was written and under its specification, or not at all."""
    with bench.open(SPEC) as fold:
        fold.append(Batch(1, [0] * 50, [b'{"type": "a%d", "resource": "r"}' % n for n in range(50)], ["w"]))
        (part,) = [part for part in fold.snapshot() if isinstance(part, str)]
    middle = len(part) // 2
    parts = {
        "cut": [part[:-8]],
        "again": [part, part],
        "empty": [""],
        "flipped": [part[:middle] + ("A" if part[middle] != "A" else "B") + part[middle + 1 :]],
        "other report": [part],
    }[damage]
    config = {"columns": ["time", "actor"]} if damage == "other report" else SPEC
    with pytest.raises(GuestError):
        bench.host.reopen(bench.compiled, json.dumps(config), [], parts).close()


def test_what_is_shipped_is_what_its_digest_says() -> None:
    """The component beside its digest was not replaced alone."""
    digest, name = SHIPPED.with_name(SHIPPED.name + ".sha256").read_text().split()
    assert name == SHIPPED.name
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == digest
