"""Backing up beside a server under load, restoring what verifies, and a restored copy that signs nothing."""

import json
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from tests.harness.operating import appended, checkpoints, created, quiet, restored, run, serving

from indelible.operate.backup import back_up
from indelible.operate.restore import restore
from indelible.store.base import StoreRefused

# ---------------------------------------------------------------------- the way there and back


class Load:
    """Appends from several threads until it is stopped; keeps every receipt."""

    def __init__(self, http: httpx.Client, logs: list[str]) -> None:
        self._stop = threading.Event()
        self.receipts: dict[str, list[dict[str, Any]]] = {log: [] for log in logs}
        self._threads = [threading.Thread(target=self._run, args=(http, log)) for log in logs for _ in "ab"]

    def _run(self, http: httpx.Client, log: str) -> None:
        while not self._stop.is_set():
            self.receipts[log].append(appended(http, log, len(self.receipts[log])))

    def wait_for(self, count: int) -> None:
        """Return when each log has so many receipts; a thread that failed ends the wait."""
        while min(map(len, self.receipts.values())) < count:
            assert all(thread.is_alive() for thread in self._threads)
            time.sleep(0.01)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_backup_under_load_comes_back_whole_and_signs_nothing(tmp_path: Path) -> None:
    """Every event up to the copy's heads is there with its receipt and proved; reads and questions work.

    Nothing is written to the restored copy and no head of it is signed.
    """
    data, backup, copy = tmp_path / "data", tmp_path / "backup", tmp_path / "copy"
    with serving(data) as (_, http):
        logs = [created(http, "one"), created(http, "two")]
        deployed = http.post(f"{logs[0]}/views/report", json={"builtin": "compliance-report"})
        assert deployed.status_code == 201
        with Load(http, logs) as load:
            load.wait_for(50)
            for log in logs:  # publishes what there is, which a copy that signs nothing then has
                assert http.get(f"{log}/checkpoint").status_code == 200
            done = run("backup", "--data", data, "--to", backup, "--json")
            assert done.returncode == 0, done.stderr
            load.wait_for(max(map(len, load.receipts.values())) + 20)
    assert not (backup / "master-secret").exists()
    assert not (backup / "root-key").exists()
    command = ("restore", backup, "--data", copy, "--master-secret", data / "master-secret", "--json")
    done = run(*command)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["read_only"], told["logs"]) == (True, 5)  # two of them are the deployment's own
    before = checkpoints(copy)
    assert before == checkpoints(backup)
    with serving(copy) as (_, http):
        for log in logs:
            size = http.get(log).json()["head"]["size"]
            receipts = {receipt["sequence"]: receipt for receipt in load.receipts[log]}
            assert 50 <= size < max(receipts)
            check_events(http, log, size, receipts)
        answer = http.post(f"{logs[0]}/views/report/query")
        assert answer.status_code == 200, answer.text
        assert int(answer.headers["indelible-sequence"]) == http.get(logs[0]).json()["head"]["size"]
        check_read_only(http, logs[0])
    assert checkpoints(copy) == before


def check_events(http: httpx.Client, log: str, size: int, receipts: dict[int, dict[str, Any]]) -> None:
    """Each event of a log is the one of its receipt, and proved by the copy's own checkpoint."""
    lines = http.get(f"{log}/events", headers={"accept": "application/x-ndjson"}).text.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["sequence"] for event in events] == list(range(1, size + 1))
    for event in events:
        receipt = receipts[event["sequence"]]
        assert {name: event[name] for name in ("time", "writer", "salt")} == {
            name: receipt[name] for name in ("time", "writer", "salt")
        }
    (key,) = http.get(f"{log}/keys").json()["keys"]
    checkpoint = http.get(f"{log}/checkpoint").text
    covered = int(checkpoint.split("\n")[1])
    assert 1 <= covered <= size
    proof = http.get(f"{log}/proof/inclusion", params={"sequence": covered}).json()
    assert proof["leaf_hash"] == receipts[covered]["leaf_hash"]
    assert proof["checkpoint"] == checkpoint
    assert key["verifier_key"].startswith(receipts[covered]["origin"])
    beyond = http.get(f"{log}/proof/inclusion", params={"sequence": size})
    assert beyond.status_code == (200 if covered == size else 503)


def check_read_only(http: httpx.Client, log: str) -> None:
    """Whatever would write is refused with one code, and `/readyz` says why."""
    audit = http.get("/logs/_audit").json()["head"]
    calls: list[tuple[str, dict[str, Any]]] = [
        (f"{log}/append", {"n": 1}),
        (f"{log}/append_batch", {"n": 1}),
        ("/logs", {"name": "new"}),
        ("/keys", {"label": "new", "scopes": ["read"]}),
        ("/workspaces", {"name": "new"}),
        (f"{log}/views/new", {"builtin": "compliance-report"}),
    ]
    for path, body in calls:
        answer = http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "read_only"), (path, answer.text)
    answer = http.delete(f"{log}/views/report")
    assert (answer.status_code, answer.json()["code"]) == (503, "read_only")
    assert "restored" in http.get("/readyz").json()["details"]["read_only"]
    assert http.get("/logs/_audit").json()["head"] == audit


def test_a_view_deployed_while_a_backup_runs_has_its_component_in_it(data: Path, tmp_path: Path) -> None:
    """Components are copied after the database, so the copy's views can be loaded."""
    component = ""
    with serving(data) as (_, http):
        log = created(http, "late")
        appended(http, log, 1)

        def deploy(what: str, _done: int, _of: int) -> None:
            nonlocal component
            if what == "proofs" and not component:
                answer = http.post(f"{log}/views/late", json={"builtin": "compliance-report"})
                assert answer.status_code == 201
                component = answer.json()["sha256"]

        shutil.rmtree(data / "objects" / "components")  # so that only this deployment can bring it
        back_up(data, tmp_path / "backup", include_secrets=True, progress=deploy)
    assert component
    assert [path.name for path in (tmp_path / "backup" / "objects" / "components").rglob("*")] == [
        f"{component}.wasm"
    ]
    restore(tmp_path / "backup", tmp_path / "copy", master_secret=None, published=None, progress=quiet)
    with serving(tmp_path / "copy") as (_, http):
        answer = http.post(f"{log}/views/late/query")
        assert answer.status_code == 200, answer.text


def test_secrets_are_in_a_backup_only_when_asked_for(data: Path, tmp_path: Path) -> None:
    """With them no secret need be given; all files are their owner's alone."""
    back_up(data, tmp_path / "with", include_secrets=True, progress=quiet)
    assert (tmp_path / "with" / "master-secret").read_bytes() == (data / "master-secret").read_bytes()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "with").rglob("*") if path.is_file()}
    assert modes == {0o600}
    done = restore(tmp_path / "with", tmp_path / "copy", master_secret=None, published=None, progress=quiet)
    assert done.events >= 340
    assert (tmp_path / "copy" / "root-key").read_bytes() == (data / "root-key").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "copy").rglob("*")} == {0}
    back_up(data, tmp_path / "without", include_secrets=False, progress=quiet)
    secret = (data / "master-secret").read_bytes()
    assert not [
        path for path in (tmp_path / "without").rglob("*") if path.is_file() and secret in path.read_bytes()
    ]
    with pytest.raises(StoreRefused, match="holds no secrets"):
        restore(tmp_path / "without", tmp_path / "no", master_secret=None, published=None, progress=quiet)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("case", ["file in it", "a file", "inside the data"])
def test_a_backup_goes_to_a_new_place_only(data: Path, tmp_path: Path, case: str) -> None:
    """What is there already is not written over, and no copy ends inside what it copies."""
    target = data / "backup" if case == "inside the data" else tmp_path / "target"
    if case == "a file":
        target.write_text("precious")
    elif case == "file in it":
        target.mkdir()
        (target / "precious").touch()
    with pytest.raises(StoreRefused, match=r"empty|inside"):
        back_up(data, target, include_secrets=False, progress=quiet)


def test_a_restore_goes_to_a_new_place_only(data: Path, backup: Path) -> None:
    """A directory with anything in it stays as it is."""
    target = backup.parent / "restored"
    target.mkdir()
    (target / "precious").write_text("x")
    with pytest.raises(StoreRefused, match="not empty"):
        restored(backup, data)
    assert [path.name for path in target.iterdir()] == ["precious"]
    (target / "precious").unlink()
    assert restored(backup, data).read_only
