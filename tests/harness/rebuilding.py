"""A deployment that was archived, and all that it answered: what a rebuilt copy must answer too."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httpx
from tests.harness.archiving import QUICK, archived, grow
from tests.harness.asking import timeless
from tests.harness.server import start_server
from tests.harness.witnesses import until

from indelible.views import catalogue

CUSTOM_SECTION = b"\x00\x03\x02v2"
"""It changes nothing of a component but its digest."""
KEYED = {"idempotency-key": "once"}


class Original(NamedTuple):
    """A deployment that was archived and stopped: what it answered, and a checkpoint that somebody kept."""

    data: Path
    logs: list[str]
    answers: Mapping[str, bytes]
    auditor: str
    batch: bytes
    kept: bytes


PATHS = (
    "",
    "/checkpoint",
    "/keys",
    "/events?limit=1000",
    "/events?order=desc&limit=7&bytes=true",
    "/events/300/raw",
    "/events/300",
    "/events/300/proof",
    "/proof/inclusion?sequence=17&size=900",
    "/proof/consistency?from=255&to=1023",
    "/proof/range?first=250&last=600",
    "/tile/0/003",
    "/tile/entries/001",
    "/views/report/versions",
)
PAST = ("at=300", "at=1100&version=2", "version=2")
"""Questions to the report as it stood, and to the version of it that was rolled back."""


def answers(http: httpx.Client, logs: list[str]) -> dict[str, bytes]:
    """What a deployment says of itself and of its first log, in every way there is; and of the other logs."""
    report = http.post(f"{logs[0]}/views/report/query?after=2020-01-01&before=2090-01-01")
    assert report.status_code == 200, report.text
    paths = [f"{logs[0]}{path}" for path in PATHS]
    paths += [f"{log}{path}" for log in logs[1:] for path in ("", "/checkpoint", "/events?limit=1000")]
    found = {path: http.get(path) for path in (*paths, "/logs", "/keys", "/workspaces")}
    assert {path: answer.status_code for path, answer in found.items() if answer.status_code != 200} == {}
    views = [
        {name: view[name] for name in ("view_id", "name", "version", "sha256")}
        for view in http.get(f"{logs[0]}/views").json()["views"]
    ]
    said = {path: answer.content for path, answer in found.items()}
    said["report"] = timeless(report.content)
    when = http.get(f"{logs[0]}/events/300").json()["time"]  # not of the last batch: no floor is raised
    for past in (*PAST, f"at={when}"):
        answer = http.get(f"{logs[0]}/views/report/query?{past}")
        assert answer.status_code == 200, answer.text
        said[past] = timeless(answer.content)
    return {**said, "views": json.dumps(views).encode()}


def _rolled_back(http: httpx.Client, view: str) -> None:
    """Deploy a second version, and go back to the first when it has caught up."""
    component = catalogue.builtin("compliance-report").component + CUSTOM_SECTION
    assert http.post(view, content=component).status_code == 201
    until(lambda: http.get(view).json()["version"] == 2, seconds=60)
    assert http.post(f"{view}/rollback").json()["version"] == 1


def archived_deployment(data: Path, *options: str) -> Original:
    """Two workspaces, three logs of users, views, a revoked key, a rotation, batches over segments."""
    limits = {**QUICK, "INDELIBLE_LIMIT_ARCHIVE_SEGMENT_EVENTS": "512"}
    with start_server(data, "--archive", *options, env=limits) as server, server.client() as http:
        ids = [http.post("/logs", json={"name": name}).json()["log_id"] for name in ("one", "two", "empty")]
        logs = [f"/logs/{log_id}" for log_id in ids]
        batch = http.post(f"{logs[0]}/append_batch", content=b'["a","b"]', headers=KEYED).content
        for name, events in (("report", 100), ("gone", 1)):
            view = http.post(f"{logs[0]}/views/{name}", json={"builtin": "compliance-report"})
            assert view.status_code == 201, view.text
            grow(http, logs[0], events)
        assert http.delete(f"{logs[0]}/views/gone").status_code in {200, 204}
        _rolled_back(http, f"{logs[0]}/views/report")
        auditor = http.post("/keys", json={"label": "auditor", "scopes": ["read"], "logs": ["one"]}).json()
        revoked = http.post("/keys", json={"label": "revoked", "scopes": ["append"]}).json()
        with server.client(revoked["secret"]) as writer:
            grow(writer, logs[0], 400)
        assert http.delete(f"/keys/{revoked['key_id']}").status_code in {200, 204}
        assert http.post("/workspaces", json={"name": "other"}).status_code == 201
        archived(http)
        kept = http.get(f"{logs[0]}/checkpoint").content
        assert http.post(f"{logs[0]}/keys").status_code == 201
        grow(http, logs[0], 1_100)
        for number in range(40):
            assert http.post(f"{logs[1]}/append", json={"n": number}).status_code == 201
        archived(http)
        told = answers(http, logs)
        assert server.stop() == 0
    return Original(data, logs, told, auditor["secret"], batch, kept)
