"""The catalogue of built-in views: what is shipped, each report on real shapes, deploying by name."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner
from tests.harness import calls, cataloguing
from tests.harness.report_events import Appended
from tests.harness.report_model import Asked, Model, shown
from tests.harness.reporting import Bench, open_bench

from indelible.cli.root import root
from indelible.config import Settings
from indelible.fold.types import Batch
from indelible.model.instants import parse_instant
from indelible.views import catalogue

Json = Any

SPECS = {path.stem: path.read_text() for path in sorted(cataloguing.SPECS.glob("*.yaml"))}
CASES = Path(__file__).resolve().parents[1] / "cases" / "catalogue"
RECEIVED = parse_instant("2026-12-02T00:00:00Z")

# --------------------------------------------------------------- events of every shape, and as our own


def _ours(event: dict[str, Json]) -> dict[str, Json]:
    """Events that have our shape."""
    return event


def _cloudtrail(event: dict[str, Json]) -> dict[str, Json]:
    identity = event["userIdentity"]
    failed = "errorCode" in event
    return {
        "type": event["eventName"],
        "actor": {"id": identity["arn"], "type": identity["type"], "name": identity.get("userName")},
        "resource": [{"id": one["ARN"], "type": one["type"]} for one in event.get("resources", [])],
        "ip": event["sourceIPAddress"],
        "reason": event.get("errorMessage", event.get("errorCode")),
        "occurred_at": event["eventTime"],
        "reads": event["readOnly"],
        **({"outcome": "failure"} if failed else {}),
    }


def _workos(event: dict[str, Json]) -> dict[str, Json]:
    return {
        "type": event["action"],
        "actor": event["actor"],
        "resource": event["targets"],
        "ip": event["context"]["location"],
        "occurred_at": event["occurred_at"],
    }


def _shaped(name: str) -> cataloguing.Log:
    lines = (CASES / f"{name}.ndjson").read_bytes().splitlines()
    times = [RECEIVED + place * 1_000_000 for place in range(len(lines))]
    return cataloguing.Log(name, name, times, lines, [cataloguing.IMPORTER] * len(lines))


LOGS = {
    "trail": (cataloguing.LOGS["trail"], _ours),
    "audit": (cataloguing.LOGS["audit"], _ours),
    "cloudtrail": (_shaped("cloudtrail"), _cloudtrail),
    "workos": (_shaped("workos"), _workos),
}
KEY = "b2faa077-e27a-44a6-9a69-349c722123ee"
QUESTIONS: Mapping[str, Sequence[Mapping[str, Sequence[str]]]] = {
    "access-lifecycle": [{}, {"subject": ["deployer", "migration", "user_02"]}, {"role": ["admin"]}],
    "authentication": [{}, {"threshold": ["2"]}, {"outcome": ["failure"]}, {"ip": ["203.0.113.7"]}],
    "privileged-activity": [{}, {"kind": ["support", "AssumedRole"]}, {"on_behalf_of": ["user_02"]}],
    "sensitive-access": [{}, {"kind": ["document", "AWS::S3::Object", "log"]}, {"actor": [KEY, "user_02"]}],
    "log-audit": [{}, {"about": ["orders"]}, {"type": ["key.*"]}],
    "object-lifecycle": [{}, {"target": ["pyproject.toml", "doc_1"]}, {"type": ["*.deleted", "Put*"]}],
    "claimed-times": [{}, {"writer": [KEY]}],
    "integrity-events": [{}, {"type": ["signing_key.*"]}],
    "record-versions": [{"record": ["pyproject.toml"]}, {"record": ["doc_1"]}],
    "record-as-of": [{"record": ["pyproject.toml"]}, {"record": ["arn:aws:s3:::records"]}],
    "sample": [{"seed": ["a"]}, {"seed": ["b"], "size": ["3"]}],
    "entity-timeline": [{"entity": ["user_02"]}, {"entity": ["deployer", "pyproject.toml"]}],
    "monthly-usage": [{}, {"customer": ["org_01"]}],
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, and the component of `report`."""
    with open_bench(tmp_path_factory.mktemp("compiled")) as bench:
        yield bench


def test_what_is_shipped_is_what_the_views_say(tmp_path: Path) -> None:
    """Parameters and answers in the catalogue are computed: after a change, scripts/build-catalogue."""
    assert cataloguing.SHIPPED.read_bytes() == cataloguing.made(tmp_path)


def test_every_example_shows_something() -> None:
    """No report of the catalogue has an empty example, and each has a title and says what it serves."""
    for entry in json.loads(catalogue.document())["reports"]:
        answer = entry["example"]["answer"]
        assert answer.get("rows") or answer["changes_by_resource"], entry["name"]
        assert answer["cover"]["events_matched"] > 0
        assert entry["title"]
        assert entry["description"]
        assert entry["serves"]


def _full(spec: dict[str, Json]) -> dict[str, Json]:
    """The specification with all names written, as the model wants it."""
    for place in ("columns", "group_by"):
        if place in spec:
            spec[place] = [
                {"name": one, "member": one} if isinstance(one, str) else one for one in spec[place]
            ]
    sort = spec.get("sort", [])
    sort = sort if isinstance(sort, list) else [sort]
    spec["sort"] = [{"column": one} if isinstance(one, str) else one for one in sort]
    return spec


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", SPECS)
def test_reports_answer_as_the_model_does(bench: Bench, name: str, log: str) -> None:
    """Each report, over a history of git, a real `_audit`, CloudTrail and WorkOS records, by either time."""
    events, ours = LOGS[log]
    parsed = [json.loads(payload) for payload in events.payloads]
    appended = [
        Appended(place + 1, time, ours(event), writer, event)
        for place, (time, event, writer) in enumerate(zip(events.times, parsed, events.writers, strict=True))
    ]
    spec = _full(yaml.safe_load(SPECS[name]))
    with bench.open(SPECS[name]) as fold:
        cataloguing.feed(fold, events)
        for values in QUESTIONS[name]:
            for basis in ("received", "occurred"):
                params = [(param, value) for param, given in values.items() for value in given]
                answer = json.loads(fold.query(cataloguing.question(events, params, basis)).body)
                model = Model(spec, Asked(values, basis=basis))
                expected = [[shown(cell) for cell in row] for row in model.answer(appended)]
                assert answer["rows"] == json.loads(json.dumps(expected)), (values, basis)
                assert [column["name"] for column in answer["columns"]] == model.names()


SHARED_TO_DELETED = ["document.shared", "document.exported", "document.deleted"]
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
FOUND: Sequence[tuple[str, str, dict[str, str], str, list[Json]]] = [
    ("access-lifecycle", "cloudtrail", {"role": ADMIN}, "subject", ["deployer"] * 2),
    ("access-lifecycle", "workos", {"subject": "user_02"}, "approver", ["user_03"]),
    ("authentication", "cloudtrail", {"threshold": "2"}, "count", [2]),
    ("authentication", "workos", {}, "method", ["sso"]),
    ("privileged-activity", "workos", {}, "acting_for", [None, "user_02"]),
    ("privileged-activity", "cloudtrail", {}, "role", ["Admin", "Admin"]),
    ("sensitive-access", "cloudtrail", {"kind": "AWS::S3::Object"}, "only_read", [True]),
    ("sensitive-access", "workos", {"record": "doc_1"}, "purpose", ["review", "case 12", None]),
    ("log-audit", "audit", {"type": "request.refused"}, "refused", ["forbidden", "forbidden"]),
    ("object-lifecycle", "trail", {"target": "pyproject.toml", "limit": "1"}, "before", [None]),
    ("claimed-times", "workos", {}, "ahead", [0]),
    ("integrity-events", "audit", {"type": "evidence.*"}, "last_sequence", [50]),
    ("record-versions", "workos", {"record": "doc_1"}, "type", SHARED_TO_DELETED),
    ("entity-timeline", "workos", {"entity": "user_03"}, "type", ["document.shared"]),
    ("monthly-usage", "workos", {"tz": "Europe/Helsinki"}, "month", ["2026-11"] * 4 + ["2026-12"]),
    ("monthly-usage", "workos", {"tz": "UTC"}, "quantity", [1.5, 2, 0, 0, 1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "log", "params", "column", "cells"), FOUND)
def test_reports_find_what_a_reader_finds(
    bench: Bench, name: str, log: str, params: dict[str, str], column: str, cells: list[Json]
) -> None:
    """Cells that were read off the records by hand, by the time that events claim."""
    events, _ = LOGS[log]
    tz = params.get("tz", "UTC")
    asked = cataloguing.question(events, [pair for pair in params.items() if pair[0] != "tz"], "occurred")
    if log == "audit":
        asked = cataloguing.question(events, list(params.items()), "received")
    asked = asked._replace(facts=[("tz", tz), *(fact for fact in asked.facts if fact[0] != "tz")])
    with bench.open(SPECS[name]) as fold:
        cataloguing.feed(fold, events)
        answer = json.loads(fold.query(asked).body)
    place = [one["name"] for one in answer["columns"]].index(column)
    assert [row[place] for row in answer["rows"]] == cells


# ------------------------------------------------------------------------------------ through a server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without keys."""
    with calls.serving(Settings(tmp_path_factory.mktemp("data"), port=0, no_auth=True)) as url:
        yield url


def test_reports_are_deployed_by_name(url: str) -> None:
    """`{"builtin": NAME}` is all; a configuration beside it is refused, and `_audit` says which it was."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        client.post("/logs", json={"name": "l"})
        client.post("/logs/l/append", json={"type": "user.invited", "actor": "a", "resource": "b"})
        made = client.post("/logs/l/views/access", json={"builtin": "access-lifecycle"})
        assert made.status_code == 201, made.text
        assert made.json()["builtin"] == "access-lifecycle"
        again = client.post("/logs/l/views/access", json={"builtin": "access-lifecycle"})
        assert (again.status_code, again.json()["version"]) == (200, 1)
        answer = client.get("/logs/l/views/access/query?subject=b").json()
        assert [row[2] for row in answer["rows"]] == ["user.invited"]
        wrong = {"builtin": "access-lifecycle", "config": {"columns": ["time"]}}
        refused = calls.refused(client.post("/logs/l/views/x", json=wrong), 422, "not_a_view")
        assert "deploy the built-in view report" in refused["detail"]
        client.post("/logs/_audit/views/own", json={"builtin": "log-audit"})
        own = client.get("/logs/_audit/views/own/query?type=view.deployed").json()
        column = [one["name"] for one in own["columns"]].index("component_sha256")
        assert own["rows"][0][column] == made.json()["sha256"]


def test_the_catalogue_is_served(url: str) -> None:
    """`GET /views/catalogue` gives what is shipped, and the command shows it."""
    answer = httpx.get(f"{url}/views/catalogue", trust_env=False)
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == cataloguing.SHIPPED.read_bytes()
    assert [report["name"] for report in answer.json()["reports"]] == list(catalogue.names())
    shell = CliRunner(env={"INDELIBLE_URL": url})
    listed = shell.invoke(root, ["view", "catalogue"])
    assert listed.exit_code == 0, listed.output
    assert all(name in listed.stdout for name in catalogue.names())
    one = shell.invoke(root, ["view", "catalogue", "sample"])
    assert "seed=2026-Q4 size=3" in one.stdout
    assert (
        json.loads(shell.invoke(root, ["view", "catalogue", "sample", "--json"]).stdout)["name"] == "sample"
    )
    assert shell.invoke(root, ["view", "catalogue", "nothing"]).exit_code == 1


def test_a_sample_is_the_same_over_the_same_events(bench: Bench) -> None:
    """The example's sample is drawn again from the same log, and another seed draws others."""
    log = cataloguing.LOGS["trail"]
    with bench.open(SPECS["sample"]) as fold:
        for start in range(0, len(log.payloads), 100):
            run = slice(start, start + 100)
            fold.append(Batch(start + 1, log.times[run], log.payloads[run], [cataloguing.IMPORTER]))
        drawn = []
        for seed in ("2026-Q4", "2026-Q4", "other"):
            asked = cataloguing.question(log, [("seed", seed), ("size", "3")], "received")
            drawn.append(json.loads(fold.query(asked).body)["rows"])
    shipped = next(one for one in json.loads(catalogue.document())["reports"] if one["name"] == "sample")
    assert drawn[0] == drawn[1] == shipped["example"]["answer"]["rows"]
    assert drawn[2] != drawn[0]
