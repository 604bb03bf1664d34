"""The four calls of DESIGN.md, typed through curl as printed there: no Content-Type, no other option."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.harness.logs import naive_leaf
from tests.harness.server import RunningServer, start_server

from indelible.model.names import parse_uuid

EVENT = """{"type": "record.updated", "actor": "user_8f3a", "resource": "invoice_2291",
       "changes": {"status": ["draft", "sent"]}, "ip": "192.168.1.42"}"""
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z\Z")


class Answer(NamedTuple):
    """What curl got."""

    status: int
    headers: dict[str, str]
    body: Any


@pytest.fixture(scope="module", params=["key", "no-auth"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server of its own, with keys and without."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl: apt-get install curl")
    options = ["--no-auth"] if request.param == "no-auth" else []
    with start_server(tmp_path_factory.mktemp("data"), *options) as running:
        if options:
            running.root_key = ""
        yield running
        assert running.stop() == 0


def curl(server: RunningServer, path: str, *options: str, cwd: Path | None = None) -> Answer:
    """POST with curl; the answer's status, headers and JSON."""
    key = ["-H", f"Authorization: Bearer {server.root_key}"] if server.root_key else []
    command = ["curl", "-sS", "-i", "-X", "POST", f"{server.url}{path}", *key, *options]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    run = subprocess.run(command, capture_output=True, check=True, timeout=180, cwd=cwd, env=environment)
    head, _, body = run.stdout.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, json.loads(body))


def test_the_four_calls_as_printed(server: RunningServer, tmp_path: Path) -> None:
    """Status and members are those of DESIGN.md, and the report covers the event just acknowledged."""
    made = curl(server, "/logs", "-d", '{"name": "tenant-acme-audit"}')
    assert made.status == 201
    assert made.body["name"] == "tenant-acme-audit"
    log = made.body["log_id"]
    assert parse_uuid(log) is not None

    appended = curl(server, f"/logs/{log}/append", "-d", EVENT)
    assert appended.status == 201
    receipt = appended.body
    assert {"sequence", "time", "leaf_hash", "salt", "writer", "origin"} <= receipt.keys()
    assert receipt["sequence"] == 1
    assert _TIME.match(receipt["time"])
    assert receipt["origin"].endswith(f"/logs/{log}")
    writer = "00000000-0000-0000-0000-00000000000" + ("1" if server.root_key else "0")
    assert receipt["writer"] == writer

    deployed = curl(server, f"/logs/{log}/views/compliance-report", "-d", '{"builtin": "compliance-report"}')
    assert deployed.status == 201
    assert deployed.body["version"] == 1
    assert re.fullmatch("[0-9a-f]{64}", deployed.body["sha256"])
    assert deployed.body["state"] == "replaying"
    assert deployed.body["view_id"]

    path = f"/logs/{log}/views/compliance-report/query"
    empty = curl(server, f"{path}?after=2025-01-01&before=2025-03-31")
    assert empty.status == 200
    assert (empty.body["changes_by_resource"], empty.body["actions_by_actor"]) == ([], [])
    assert empty.body["cover"]["window"]["after"] is not None

    answer = curl(server, f"{path}?after=2025-01-01&before=2125-03-31")
    assert answer.status == 200
    (changed,) = answer.body["changes_by_resource"]
    (acted,) = answer.body["actions_by_actor"]
    assert "invoice_2291" in json.dumps(changed)
    assert "draft" in json.dumps(changed)
    assert "user_8f3a" in json.dumps(acted)
    assert answer.headers["indelible-sequence"] == "1"
    assert answer.headers["indelible-view"] == f"compliance-report@1 sha256:{deployed.body['sha256']}"
    assert answer.headers["cache-control"] == "no-store"


def test_the_receipt_recomputes_from_the_bytes_that_curl_sent(server: RunningServer) -> None:
    """`-d` sends the text without its line ends; those exact bytes are what is committed to."""
    log = curl(server, "/logs", "-d", '{"name": "exact"}').body["log_id"]
    receipt = curl(server, f"/logs/{log}/append", "-d", EVENT).body
    with server.client(server.root_key or "none") as http:
        raw = http.get(f"/logs/{log}/events/1/raw").content
        event = http.get(f"/logs/{log}/events/1").json()
    assert raw == EVENT.encode()
    time = (event["time"], receipt["time"])
    assert time[0] == time[1]
    micros = _micros(receipt["time"])
    writer, salt = bytes.fromhex(receipt["writer"].replace("-", "")), bytes.fromhex(receipt["salt"])
    assert naive_leaf(1, micros, writer, salt, raw).hex() == receipt["leaf_hash"]


def test_a_component_goes_up_with_data_binary(server: RunningServer, tmp_path: Path) -> None:
    """The third call in its other form: the bytes of a component, form-encoded by curl's own account."""
    component = Path(__file__).parents[2] / "src/indelible/views/builtin/compliance-report.wasm"
    (tmp_path / "compliance.wasm").write_bytes(component.read_bytes())
    log = curl(server, "/logs", "-d", '{"name": "binary"}').body["log_id"]
    curl(server, f"/logs/{log}/append", "-d", EVENT)
    path = f"/logs/{log}/views/compliance-report"
    deployed = curl(server, path, "--data-binary", "@compliance.wasm", cwd=tmp_path)
    assert deployed.status == 201
    assert deployed.body["version"] == 1
    again = curl(server, path, "--data-binary", "@compliance.wasm", cwd=tmp_path)
    assert (again.status, again.body["version"]) == (200, 1)
    answer = curl(server, f"{path}/query?after=2025-01-01&before=2125-03-31")
    assert len(answer.body["changes_by_resource"]) == 1


def test_a_query_reads_what_was_just_written(server: RunningServer) -> None:
    """Fifty times append, then ask: each answer covers the event before it."""
    with server.client(server.root_key or "none") as http:
        log = http.post("/logs", content=b'{"name": "fresh"}').json()["log_id"]
        http.post(f"/logs/{log}/views/r", content=b'{"builtin": "compliance-report"}', timeout=120)
        for number in range(1, 51):
            sent = {"type": "t", "actor": "me", "resource": f"r{number}", "changes": {"a": [0, number]}}
            appended = http.post(f"/logs/{log}/append", content=json.dumps(sent).encode())
            assert appended.json()["sequence"] == number
            answer = http.get(f"/logs/{log}/views/r/query", params={"resource": f"r{number}"})
            assert answer.headers["indelible-sequence"] == str(number)
            assert len(answer.json()["changes_by_resource"]) == 1


def _micros(text: str) -> int:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - an account of its own, apart from ours

    moment = datetime.fromisoformat(text)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
