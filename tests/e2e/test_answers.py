"""Answers as evidence: from a real server, and recomputed in a process that has none."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.guests import build, examples
from tests.harness import wat
from tests.harness.asking import timeless
from tests.harness.calls import refused, serving
from tests.harness.server import ROOT_KEY, start_server

from indelible.author.languages import Language
from indelible.client import Client
from indelible.config import Settings
from indelible.model.limits import Limits

EVIDENCE = "application/vnd.indelible.evidence+zip"
ASK = {"accept": EVIDENCE}
SPEC = "columns: [sequence, type, actor]\nwhere: {member: type, is: login}\n"
RUN = [sys.executable, "-m", "indelible.cli"]
NO_ENGINE = [
    sys.executable,
    "-c",
    "import sys; sys.modules['wasmtime'] = None; from indelible.cli.root import main; sys.exit(main())",
]


def events(kind: str, count: int) -> bytes:
    """A batch of events of one type."""
    return json.dumps(
        [{"type": kind, "actor": f"a{n % 7}", "resource": f"r{n}"} for n in range(count)]
    ).encode()


@dataclass
class Kept:
    """What an auditor has: files and keys, and no server."""

    folder: Path
    keys: Path
    plain: dict[str, bytes]
    told: list[dict[str, Any]]

    def verify(self, file: str, *words: str, command: list[str] | None = None) -> tuple[int, str]:
        """Run the command; nothing answers at its default URL."""
        line = [*(command or RUN), "verify", file, "--key", str(self.keys), *words]
        done = subprocess.run(line, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def part(self, file: str, name: str) -> bytes:
        """A file inside."""
        with zipfile.ZipFile(self.folder / file) as archive:
            return archive.read(name)


VIEWS = ("changes", "logins", "example", "machine")
SLOWEST = "example"  # a component of an engine for JavaScript, compiled anew by each `verify`
FILES = {
    "all": "",
    "window": "after={second}&before={third}&fold=window",
    "asked": "after={second}&before={third}&tz=Europe/Berlin",
    "bare": "_payloads=0",
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Three batches, four views in several languages, each asked for evidence; then the server is gone."""
    folder = tmp_path_factory.mktemp("kept")
    with start_server(folder / "data") as server, server.client() as client:
        client.post("/logs", json={"name": "acme"})
        times = [
            client.post("/logs/acme/append_batch", content=events(kind, 1_500)).json()["time"]
            for kind in ("login", "record.updated", "login")
        ]
        for name, body in (
            ("changes", {"builtin": "compliance-report"}),
            ("logins", {"builtin": "report", "config": SPEC}),
        ):
            assert client.post(f"/logs/acme/views/{name}", json=body).status_code == 201
        for name, path in (("example", examples.need(Language.JS)), ("machine", build.need("machine-c"))):
            deployed = client.post(f"/logs/acme/views/{name}", content=path.read_bytes(), timeout=120)
            assert deployed.status_code == 201, deployed.text
        plain = {
            name: client.get(f"/logs/acme/views/{name}/query", params={"wait": "30"}).content
            for name in VIEWS
        }
        for view in VIEWS:
            for name, query in FILES.items():
                asked = query.format(second=times[1], third=times[2])
                answer = client.post(f"/logs/acme/views/{view}/query?{asked}", headers=ASK, timeout=120)
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"] == EVIDENCE
                (folder / f"{view}-{name}.zip").write_bytes(answer.content)
        past = client.get("/logs/acme/views/changes/query?at=2000", headers=ASK, timeout=120)
        (folder / "changes-past.zip").write_bytes(past.content)
        plain["past"] = client.get("/logs/acme/views/changes/query?at=2000").content
        words = ("query", "acme", "changes", f"after={times[1]}", "--evidence", "command.zip")
        environment = {**os.environ, "INDELIBLE_KEY": ROOT_KEY, "INDELIBLE_URL": server.url}
        subprocess.run(
            [*RUN, *words], cwd=folder, env=environment, check=True, timeout=120, capture_output=True
        )
        page = client.get("/logs/_audit/events", params={"limit": 1000}).json()["events"]
        told = [one["payload"] for one in page if one["payload"]["type"] == "evidence.exported"]
        logs = ("acme", "_audit")
        keys = [client.get(f"/logs/{name}/keys").json()["keys"][0]["verifier_key"] for name in logs]
        (folder / "keys").write_text("\n".join(keys))
        assert server.stop() == 0
    return Kept(folder, folder / "keys", plain, told)


@pytest.mark.parametrize(
    ("view", "name"),
    [
        *((view, name) for view in VIEWS for name in ("all", "window", "asked") if view != SLOWEST),
        (SLOWEST, "window"),
    ],
)
def test_an_answer_recomputes_without_a_server(kept: Kept, view: str, name: str) -> None:
    """Rust, a specification, JavaScript and a machine in C: the same bytes from the file alone."""
    code, told = kept.verify(f"{view}-{name}.zip")
    assert code == 0, told
    size = len(kept.part(f"{view}-{name}.zip", "report.json"))
    assert f"Recomputing the report from the events gives the same {size} bytes" in told
    where = "1501 to 3000, those of the window alone" if name == "window" else "1 to 4500, all under it"
    assert f"of the events {where}" in told


@pytest.mark.parametrize("view", VIEWS)
def test_an_attested_answer_is_the_usual_one(kept: Kept, view: str) -> None:
    """A fresh instance answers what the view in memory answers, but for the moment at which it was asked."""
    assert timeless(kept.part(f"{view}-all.zip", "report.json")) == timeless(kept.plain[view])


def test_a_window_folds_its_own_events_alone(kept: Kept) -> None:
    """Of 3,000 logins none is in the window, and the file shows no event from outside of it."""
    rows = json.loads(kept.part("logins-window.zip", "report.json"))["rows"]
    assert rows == []
    lines = kept.part("changes-window.zip", "events.ndjson").splitlines()
    assert [json.loads(lines[at])["sequence"] for at in (0, -1)] == [1501, 3000]


def test_an_answer_of_the_past_recomputes_as_well(kept: Kept) -> None:
    """`at=2000`: those events are folded, none after them is in the file, and the claim says so."""
    code, told = kept.verify("changes-past.zip")
    assert code == 0, told
    assert "of the events 1 to 2000 alone" in told
    assert len(kept.part("changes-past.zip", "events.ndjson").splitlines()) == 2_000
    report = kept.part("changes-past.zip", "report.json")
    assert timeless(report) == timeless(kept.plain["past"])


@pytest.mark.parametrize("view", VIEWS)
def test_without_its_events_the_rest_is_checked(kept: Kept, view: str) -> None:
    """`_payloads=0`: signatures and digests are checked, what is missing is said, and the exit code is 6."""
    code, told = kept.verify(f"{view}-bare.zip")
    assert code == 6, told
    assert "signed the attestation of the report" in told
    assert "it takes the file with its events" in told
    with zipfile.ZipFile(kept.folder / f"{view}-bare.zip") as archive:
        assert not {"events.ndjson", "proof.json"} & set(archive.namelist())


def test_the_command_writes_a_file_that_holds(kept: Kept) -> None:
    """`query --evidence` asks and writes; the window's end is open, which is said, and nothing is wrong."""
    code, told = kept.verify("command.zip")
    assert code == 0, told
    assert "window-text-after=" in told
    code, told = kept.verify("command.zip", "--json")
    assert json.loads(told)["verdict"] == "proved"


def test_without_the_engine_the_rest_is_checked(kept: Kept) -> None:
    """Where wasmtime is not installed, `verify` says what it did not do and which command brings it."""
    code, told = kept.verify("changes-all.zip", command=NO_ENGINE)
    assert code == 6, told
    assert "pip install 'indelible[reports]'" in told
    assert "signed the attestation of the report" in told
    assert "Traceback" not in told


def test_a_limit_of_this_machine_is_told_as_one(kept: Kept) -> None:
    """Too little time to recompute: unproved, never wrong, and never a hang."""
    limited = ["env", "INDELIBLE_LIMIT_REPORT_CHECK_SECONDS=0", *RUN]
    code, told = kept.verify("changes-all.zip", command=limited)
    assert code == 6, told
    assert "did not end within 0 s" in told


def test_audit_tells_what_left(kept: Kept) -> None:
    """Each file is an event of `_audit`: the range, the view and its version, the digest of the result."""
    by_view = [one["report"]["view"] for one in kept.told]
    of_the_past, by_the_command = "changes", "changes"
    assert by_view == [*(view for view in VIEWS for _ in FILES), of_the_past, by_the_command]
    said = json.loads(kept.part("logins-window.zip", "manifest.json"))["report"]
    assert kept.told[5]["report"] == said
    assert (said["fold"], said["first_sequence"], said["last_sequence"], said["rows"]) == (
        "window",
        1501,
        3000,
        0,
    )
    text = kept.part("logins-window.zip", "report.sig").decode()
    assert f"result {said['result_sha256']}\n" in text


# ---------------------------------------------------------------------- refusals, in one process


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server without keys, a log and some views."""
    with (
        serving(Settings(tmp_path_factory.mktemp("data"), port=0, no_auth=True)) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        client.post("/logs", json={"name": "l"})
        client.post("/logs/l/append_batch", content=events("login", 10))
        client.post("/logs/l/views/changes", json={"builtin": "compliance-report"})
        client.post("/logs/l/views/logins", json={"builtin": "report", "config": SPEC})
        yield client


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("fold=window", "needs a window"),
        ("fold=window&after=2020-01-01&basis=occurred", "basis=received"),
        ("fold=some", "all, window"),
        ("at=0", "before the first event"),
        ("at=3&fold=window&after=2020-01-01", "leave at out"),
        ("_payloads=2", "_payloads is 1"),
        ("before=soon", "is a date"),
    ],
)
def test_what_evidence_is_not_made_for_is_refused(client: httpx.Client, query: str, words: str) -> None:
    """400 before the first byte, with words that say what to write."""
    answer = client.get(f"/logs/l/views/changes/query?{query}", headers=ASK)
    assert words in refused(answer, 400, "invalid_parameter")["detail"]


def test_a_usual_question_takes_no_fold_of_a_window(client: httpx.Client) -> None:
    """Without evidence `fold=window` would not be what is answered: refused, with the way to get it."""
    answer = client.get("/logs/l/views/changes/query?fold=window&after=2020-01-01")
    assert EVIDENCE in refused(answer, 400, "invalid_parameter")["detail"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        (f"{EVIDENCE};q=0.5, application/json", "application/json"),
        (f"application/json;q=0.5, {EVIDENCE}", EVIDENCE),
        (EVIDENCE, EVIDENCE),
        (f"{EVIDENCE};q=0.1, text/csv", "text/csv"),
    ],
)
def test_evidence_comes_where_it_is_preferred(client: httpx.Client, accept: str | None, kind: str) -> None:
    """Accept decides; whoever accepts anything gets the answer alone."""
    headers = {} if accept is None else {"accept": accept}
    answer = client.get("/logs/l/views/logins/query", headers=headers)
    assert answer.headers["content-type"].startswith(kind), answer.text[:200]


def test_a_refusal_of_the_view_comes_before_the_first_byte(client: httpx.Client) -> None:
    """422 from the view, 409 where it fails at an event, 404 where there is none: never half a zip."""
    answer = client.get("/logs/l/views/changes/query?nonsense=1", headers=ASK)
    refused(answer, 422, "query_refused")
    told = "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 256))"
    failing = wat.wasm(append=f"{told} (i32.store (i32.const 8) (i32.const 2)) (i32.const 0)")
    assert client.post("/logs/l/views/failing", content=failing).status_code == 201
    answer = client.get("/logs/l/views/failing/query", headers=ASK)
    assert refused(answer, 409, "view_failed")["sequence"] == 1
    refused(client.get("/logs/l/views/none/query", headers=ASK), 404, "not_found")
    refused(client.get("/logs/l/views/changes/query?min_sequence=11", headers=ASK), 409, "beyond_head")


@pytest.mark.parametrize("query", ["", "?fold=window&after=2020-01-01"])
def test_it_covers_all_that_was_acknowledged(client: httpx.Client, query: str) -> None:
    """Read-after-write: each event appended before the question is folded, under the head that is signed."""
    for _ in range(5):
        last = client.post("/logs/l/append", json={"type": "login", "actor": "z"}).json()["sequence"]
        answer = client.get(f"/logs/l/views/changes/query{query}", headers=ASK)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            lines = archive.read("report.sig").decode().split("\n")
        assert (lines[2], lines[4]) == (str(last), f"fold 1 {last}")


def test_a_key_that_may_not_read_gets_no_events(tmp_path: Path) -> None:
    """`query` alone gives an answer without its events; with them a key needs `read`. `_audit` has both."""
    with start_server(tmp_path / "data") as server, server.client() as root:
        root.post("/logs", json={"name": "l"})
        root.post("/logs/l/append", json={"type": "login"})
        root.post("/logs/l/views/changes", json={"builtin": "compliance-report"})
        asks = root.post("/keys", json={"label": "asks", "scopes": ["query"]}).json()["secret"]
        audits = root.post("/keys", json={"label": "audits", "preset": "auditor", "logs": ["l"]}).json()[
            "secret"
        ]
        path = "/logs/l/views/changes/query"
        with server.client(asks) as client:
            refused(client.get(path, headers=ASK), 403, "forbidden")
            assert client.get(f"{path}?_payloads=0", headers=ASK).status_code == 200
        with server.client(audits) as client:
            assert client.get(path, headers=ASK).status_code == 200
        page = root.get("/logs/_audit/events", params={"limit": 1000}).json()["events"]
        kinds = [one["payload"]["type"] for one in page]
        assert (kinds.count("view.queried"), kinds.count("evidence.exported")) == (1, 2)


SLOW = wat.wasm(query=wat.LOOP)


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        (Limits(report_folds=2, report_folds_per_workspace=1), 429, "rate_limited"),
        (Limits(report_folds=1, report_folds_per_workspace=2), 503, "saturated"),
    ],
)
def test_so_many_are_made_at_once(tmp_path: Path, limits: Limits, status: int, code: str) -> None:
    """A second one while the first is folded is refused with a time to come again, and then is made."""
    limits = replace(limits, query_seconds=2.0)
    with (
        serving(Settings(tmp_path, port=0, no_auth=True, limits=limits)) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        client.post("/logs", json={"name": "l"})
        client.post("/logs/l/views/slow", content=SLOW)
        client.post("/logs/l/views/changes", json={"builtin": "compliance-report"})
        first: list[httpx.Response] = []

        def ask_slowly() -> None:
            """Ask until it is its turn: the other's question may hold the place when it comes."""
            while not first or first[-1].status_code == status:
                first.append(httpx.get(f"{url}/logs/l/views/slow/query", headers=ASK, timeout=60))

        thread = threading.Thread(target=ask_slowly)
        thread.start()
        answers: list[int] = []
        while thread.is_alive() and answers[-1:] != [status]:
            answers.append(client.get("/logs/l/views/changes/query", headers=ASK).status_code)
        assert answers[-1] == status
        document = client.get("/logs/l/views/changes/query", headers=ASK)
        thread.join()
        refused(first[-1], 504, "query_timeout")
        assert document.status_code in {status, 200}
        if document.status_code == status:
            assert refused(document, status, code)["retry_after"] >= 1
        assert client.get("/logs/l/views/changes/query", headers=ASK).status_code == 200


def test_a_fold_that_takes_too_long_says_what_to_do(tmp_path: Path) -> None:
    """The limit ends it with words: a shorter window, or the operator."""
    limits = Limits(report_fold_seconds=0.0)
    with (
        serving(Settings(tmp_path, port=0, no_auth=True, limits=limits)) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        client.post("/logs", json={"name": "l"})
        client.post("/logs/l/append", json={"type": "login"})
        client.post("/logs/l/views/changes", json={"builtin": "compliance-report"})
        document = refused(client.get("/logs/l/views/changes/query", headers=ASK), 504, "query_timeout")
        assert re.search("fold=window.*report_fold_seconds", document["detail"])


def test_a_large_answer_of_few_bytes_is_taken_by_readers(tmp_path: Path) -> None:
    """Megabytes of zeros deflate so well that a reader takes them for a trap: they are stored as they are."""
    body = "(i32.store (i32.const 12) (i32.const 8192)) (i32.store (i32.const 16) (i32.const 3000000))"
    kind = "(i32.store (i32.const 4) (i32.const 264)) (i32.store (i32.const 8) (i32.const 16))"
    large = wat.wasm(memory='(memory (export "memory") 64)', query=f"{kind} {body} {wat.ANSWERS_OK}")
    with serving(Settings(tmp_path / "data", port=0, no_auth=True)) as url, Client(url) as client:
        client.create_log("l")
        client.append("l", b"{}")
        keys = [client.log_keys(name)["keys"][0]["verifier_key"] for name in ("l", "_audit")]
        client.deploy("l", "x", component=large)
        with (tmp_path / "x.zip").open("wb") as file:
            written = client.query_evidence("l", "x", file)
    assert written == (tmp_path / "x.zip").stat().st_size > 3_000_000
    (tmp_path / "keys").write_text("\n".join(keys))
    line = [*RUN, "verify", "x.zip", "--key", "keys"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
