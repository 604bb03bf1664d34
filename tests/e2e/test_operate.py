"""Backing up beside a server under load, restoring what verifies, and a restored copy that signs nothing."""

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import apsw
import httpx
import pytest

from indelible.operate import manifest as manifests
from indelible.operate.backup import back_up
from indelible.operate.files import file_digest
from indelible.operate.restore import Restored, restore
from indelible.store.base import StoreRefused

PROGRAM = [sys.executable, "-m", "indelible.cli"]
NDJSON = {"content-type": "application/x-ndjson"}


def quiet(_what: str, _done: int, _of: int) -> None:
    """Show no progress."""


class Running(NamedTuple):
    """A real server and a client with its root key."""

    process: subprocess.Popen[str]
    http: httpx.Client


@contextlib.contextmanager
def serving(data: Path) -> Iterator[Running]:
    """Serve a directory with keys until the block ends; the server must then end in order."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--data", str(data), "--port", "0"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("INDELIBLE_")},
    )
    said: list[str] = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if line.startswith("listening on "):
                break
        else:
            raise AssertionError("".join(said))
        drain = threading.Thread(target=said.extend, args=(process.stderr,))
        drain.start()
        key = (data / "root-key").read_text().strip()
        url = said[-1].removeprefix("listening on ").strip()
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
            yield Running(process, http)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, "".join(said)
        drain.join()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the program."""
    return subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)


def created(http: httpx.Client, name: str) -> str:
    """Create a log and give its path."""
    answer = http.post("/logs", json={"name": name})
    assert answer.status_code == 201, answer.text
    return f"/logs/{answer.json()['log_id']}"


def appended(http: httpx.Client, log: str, number: int) -> dict[str, Any]:
    """Append one event and give its receipt."""
    event = {
        "type": "record.updated",
        "actor": f"user_{number % 5}",
        "resource": f"r{number % 7}",
        "n": number,
    }
    answer = http.post(f"{log}/append", json=event)
    assert answer.status_code == 201, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def checkpoints(data: Path) -> dict[str, bytes]:
    """Every published checkpoint of a data directory or a backup, by its path."""
    root = data / "objects" / "proofs"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("checkpoint"))}


def published_size(http: httpx.Client, log: str) -> int:
    """The size in a log's checkpoint; asking for a proof of its head makes there be one of it."""
    head = http.get(log).json()["head"]["size"]
    answer = http.get(f"{log}/proof/inclusion", params={"sequence": head})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["checkpoint"].split("\n")[1])


class Original(NamedTuple):
    """A deployment that was served and stopped: 40 and 300 events, a view, everything published."""

    data: Path
    small: str
    large: str


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """Serve a deployment once for all tests; they copy it before they change anything."""
    data = tmp_path_factory.mktemp("original") / "data"
    with serving(data) as (_, http):
        small, large = created(http, "small"), created(http, "large")
        for number in range(40):
            appended(http, small, number)
        for part in range(3):
            lines = "\n".join(json.dumps({"n": part * 100 + n}) for n in range(100))
            answer = http.post(f"{large}/append_batch", content=lines, headers=NDJSON)
            assert answer.status_code == 201, answer.text
        view = http.post(f"{small}/views/report", json={"builtin": "compliance-report"})
        assert view.status_code == 201, view.text
        assert published_size(http, small) == 40
        assert published_size(http, large) == 300
    return Original(data, small, large)


@pytest.fixture
def data(original: Original, tmp_path: Path) -> Path:
    """Give a copy of the original that the test may change."""
    return Path(shutil.copytree(original.data, tmp_path / "data"))


@pytest.fixture
def backup(data: Path, tmp_path: Path) -> Path:
    """Give a backup without secrets."""
    back_up(data, tmp_path / "backup", include_secrets=False, progress=quiet)
    return tmp_path / "backup"


def restored(backup: Path, data: Path, published: Path | None = None) -> Restored:
    """Restore with the original's master secret into the directory `restored` beside the backup."""
    return restore(
        backup,
        backup.parent / "restored",
        master_secret=data / "master-secret",
        published=published,
        progress=quiet,
    )


def reseal(backup: Path, secret: bytes) -> None:
    """Write a manifest that fits the files as they are: what whoever has the master secret can do."""
    manifest, _ = manifests.read_manifest(backup)
    files = {name: file_digest(backup / name) for name in manifest.files if (backup / name).exists()}
    changed = manifests.Manifest(
        manifest.deployment, manifest.software, manifest.taken, manifest.secrets, files
    )
    (backup / manifests.NAME).write_bytes(manifests.encode(changed, secret))


def change(database: Path, *statements: str) -> None:
    """Run statements on a database file."""
    connection = apsw.Connection(str(database))
    for statement in statements:
        connection.execute(statement)
    connection.close()


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
            done = run("backup", "--data", data, "--to", backup, "--json")
            assert done.returncode == 0, done.stderr
            load.wait_for(max(map(len, load.receipts.values())) + 20)
    assert not (backup / "master-secret").exists()
    assert not (backup / "root-key").exists()
    command = ("restore", backup, "--data", copy, "--master-secret", data / "master-secret", "--json")
    done = run(*command)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["read_only"], told["logs"]) == (True, 3)
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


# ---------------------------------------------------------------------- what was changed is refused


def flip(path: Path, at: int = -1) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


KINDS = ["indelible.db", "checkpoint", "component", "master-secret", "root-key"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_changed_file_is_named(data: Path, tmp_path: Path, kind: str, how: str) -> None:
    """A file with a flipped bit, or one that is gone, is refused by its name; nothing is left."""
    backup = tmp_path / "backup"
    back_up(data, backup, include_secrets=True, progress=quiet)
    pattern = {"checkpoint": "objects/proofs/*/checkpoint", "component": "objects/components/*"}.get(
        kind, kind
    )
    file = min(backup.glob(pattern))
    if how == "missing":
        file.unlink()
    else:
        flip(file)
    words = file.relative_to(backup).as_posix()
    if kind == "master-secret" and how == "flipped":
        words = "seal"
    with pytest.raises(StoreRefused, match=words):
        restore(backup, tmp_path / "copy", master_secret=None, published=None, progress=quiet)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("deployment", "evil.example", "seal"),
        ("seal", "0" * 64, "seal"),
        ("seal", None, "seal"),
        ("format", "indelible-backup/2", "format"),
        ("files", {}, "indelible.db"),
        ("files", ["indelible.db"], "digests"),
        ("files", {"indelible.db": "0", "../x": "0"}, "no backup has"),
        ("files", {"indelible.db": "0", "objects/proofs/../../x": "0"}, "no backup has"),
        ("files", {"indelible.db": "0", "/etc/passwd": "0"}, "no backup has"),
        ("files", {"indelible.db": "0", "objects/proofs": "0"}, "no backup has"),
    ],
)
def test_a_changed_manifest_is_refused(
    data: Path, backup: Path, member: str, value: object, words: str
) -> None:
    """Each member is sealed, and no name leads out of the backup."""
    path = backup / manifests.NAME
    members = json.loads(path.read_text())
    path.write_text(json.dumps({**members, member: value}))
    with pytest.raises(StoreRefused, match=words):
        restored(backup, data)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000, b"null"])
def test_what_is_no_manifest_is_refused(data: Path, backup: Path, content: bytes) -> None:
    """Whatever stands in the manifest's place, the answer is one sentence."""
    (backup / manifests.NAME).write_bytes(content)
    with pytest.raises(StoreRefused, match="not a backup"):
        restored(backup, data)


def test_a_key_that_was_slipped_in_breaks_the_seal(data: Path, backup: Path) -> None:
    """Rows that no tree covers are sealed: without the master secret nobody adds a key to a backup."""
    change(backup / "indelible.db", "UPDATE api_key SET secret_hash = zeroblob(32)", "DELETE FROM view")
    members = json.loads((backup / manifests.NAME).read_text())
    members["files"]["indelible.db"] = file_digest(backup / "indelible.db")
    (backup / manifests.NAME).write_text(json.dumps(members))
    with pytest.raises(StoreRefused, match="seal"):
        restored(backup, data)


def test_a_file_that_the_manifest_does_not_name_is_left_out(data: Path, backup: Path) -> None:
    """A root key put beside the backup grants nothing."""
    (backup / "root-key").write_text("ind_root_" + "0" * 64)
    (backup / "root-key").chmod(0o600)
    (backup / "objects" / "components" / ("0" * 64)).write_bytes(b"\0asm")
    restored(backup, data)
    copy = backup.parent / "restored"
    assert not (copy / "root-key").exists()
    assert not (copy / "objects" / "components" / ("0" * 64)).exists()


CHUNK = "WHERE id = (SELECT key << 40 | 101 FROM log WHERE name = 'large')"
OF_LOG = "WHERE log = (SELECT key FROM log WHERE name = 'large')"
TAMPERED = {
    "first payload": (
        "UPDATE chunk SET payload = CAST('[' || substr(payload, 2) AS BLOB)",
        CHUNK,
        "event 101: payload and salt do not give",
    ),
    "last payload": (
        "UPDATE chunk SET payload = CAST(substr(payload, 1, length(payload) - 1) || ' ' AS BLOB)",
        CHUNK,
        "event 200: payload and salt do not give",
    ),
    "salt": (
        "UPDATE chunk SET meta = CAST(substr(meta, 1, 20) || zeroblob(16) || substr(meta, 37) AS BLOB)",
        CHUNK,
        "event 101: payload and salt do not give",
    ),
    "writer": (
        "UPDATE chunk SET meta = CAST(substr(meta, 1, 4) || zeroblob(16) || substr(meta, 21) AS BLOB)",
        CHUNK,
        "event 101: the entry does not give",
    ),
    "time": ("UPDATE chunk SET time = time + 1", CHUNK, "event 101: the entry does not give"),
    "leaf": (
        "UPDATE chunk SET leaves = CAST(zeroblob(32) || substr(leaves, 33) AS BLOB)",
        CHUNK,
        "event 101: the entry does not give",
    ),
    "chunk dropped": ("DELETE FROM chunk", CHUNK, "event 101: .*not all there"),
    "no chunk any more": ("UPDATE chunk SET meta = x'ff'", CHUNK, "event 101: stored rows are .*damaged"),
    "node": ("UPDATE tile SET hashes = zeroblob(32)", OF_LOG, "stored node 0 of tile level 1 is another"),
    "root": ("UPDATE head SET root = zeroblob(32)", OF_LOG, "event 300: the stored root does not follow"),
    "head moved back": ("UPDATE head SET size = 200", OF_LOG, "event 200: the stored root does not follow"),
    "head dropped": ("DELETE FROM head", OF_LOG, "no stored head"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_change_inside_the_database_is_found_by_recomputation(data: Path, backup: Path, case: str) -> None:
    """With digests and seal that fit, as who has the master secret can make them: refused with the place."""
    statement, place, words = TAMPERED[case]
    change(backup / "indelible.db", f"{statement} {place}")
    reseal(backup, (data / "master-secret").read_bytes())
    with pytest.raises(StoreRefused, match=f"log large .*{words}"):
        restored(backup, data)
    assert not (backup.parent / "restored").exists()


def test_a_damaged_page_is_refused_in_one_sentence(data: Path, backup: Path) -> None:
    """A database whose pages are broken is a refusal, not a crash."""
    path = backup / "indelible.db"
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 16_384):
        content[page * 16_384 : page * 16_384 + 64] = b"\xff" * 64
    path.write_bytes(content)
    reseal(backup, (data / "master-secret").read_bytes())
    with pytest.raises(StoreRefused, match="damaged"):
        restored(backup, data)
    secret = data / "master-secret"
    done = run("restore", backup, "--data", backup.parent / "no", "--master-secret", secret)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def grown(data: Path, original: Original) -> None:
    """Let the original go on after a backup: one event more, published."""
    with serving(data) as (_, http):
        appended(http, original.small, 41)
        assert published_size(http, original.small) == 41


def test_a_cut_tail_is_refused_by_the_checkpoint_beside_it(
    data: Path, backup: Path, tmp_path: Path, original: Original
) -> None:
    """An older database under newer checkpoints, all digests fitting: the tail was cut."""
    grown(data, original)
    back_up(data, tmp_path / "newer", include_secrets=False, progress=quiet)
    shutil.copyfile(backup / "indelible.db", tmp_path / "newer" / "indelible.db")
    reseal(tmp_path / "newer", (data / "master-secret").read_bytes())
    with pytest.raises(
        StoreRefused, match=r"log small .*head of 41 events was published, the store holds 40"
    ):
        restored(tmp_path / "newer", data)


@pytest.mark.parametrize("case", ["another's", "short", "readable by others", "missing"])
def test_a_wrong_master_secret_is_refused(data: Path, backup: Path, case: str) -> None:
    """Before anything is copied, and in words that name the secret."""
    secret = data / "master-secret"
    if case == "another's":
        flip(secret)
    elif case == "short":
        secret.write_bytes(b"short")
    elif case == "readable by others":
        secret.chmod(0o644)
    else:
        secret.unlink()
    with pytest.raises(StoreRefused, match=r"master.secret"):
        restored(backup, data)
    assert not (backup.parent / "restored").exists()


# ---------------------------------------------------------------------- going on from a copy


def test_a_copy_no_older_than_what_was_published_goes_on(
    data: Path, backup: Path, original: Original
) -> None:
    """Given the original's objects it appends after the last event; its heads extend the published ones."""
    assert not restored(backup, data, data / "objects").read_only
    copy = backup.parent / "restored"
    shutil.copyfile(data / "root-key", copy / "root-key")
    (copy / "root-key").chmod(0o600)
    with serving(copy) as (_, http):
        old = http.get(f"{original.small}/checkpoint").text
        assert appended(http, original.small, 41)["sequence"] == 41
        proof = http.get(f"{original.small}/proof/consistency", params={"from": 40, "to": 41}).json()
        assert old.split("\n")[1] == "40"
        assert proof["checkpoint"].split("\n")[1] == "41"
        assert len(proof["hashes"]) > 0
        assert http.get("/readyz").json()["details"]["refused_logs"] == 0


def test_an_older_copy_does_not_go_on(data: Path, backup: Path, original: Original) -> None:
    """What was published after the backup refuses it, log by log; without it the copy is read-only."""
    grown(data, original)
    with pytest.raises(StoreRefused, match="older than what was published") as refused:
        restored(backup, data, data / "objects")
    assert "log small: a head of 41 events was published, the store holds 40" in str(refused.value)
    assert "log large" not in str(refused.value)
    assert not (backup.parent / "restored").exists()
    assert restored(backup, data).read_only


def test_a_log_made_after_the_backup_refuses_it(data: Path, backup: Path) -> None:
    """A log that was published and is not in the backup would be lost by going on."""
    with serving(data) as (_, http):
        log = created(http, "new")
        appended(http, log, 1)
        assert published_size(http, log) == 1
    with pytest.raises(StoreRefused, match=rf"log {log.removeprefix('/logs/')}: .*not in the backup"):
        restored(backup, data, data / "objects")


def test_objects_of_another_deployment_prove_nothing(data: Path, backup: Path, tmp_path: Path) -> None:
    """Heads of other logs, an empty folder, and heads older than the backup's own are not the original's."""
    (tmp_path / "empty" / "proofs").mkdir(parents=True)
    with pytest.raises(StoreRefused, match="no published head of"):
        restored(backup, data, tmp_path / "empty")
    with pytest.raises(StoreRefused, match="no folder proofs"):
        restored(backup, data, tmp_path)
    with serving(tmp_path / "other") as (_, http):
        appended(http, created(http, "other"), 1)
    with pytest.raises(StoreRefused, match="not in the backup"):
        restored(backup, data, tmp_path / "other" / "objects")
    some = Path(shutil.copytree(data / "objects", tmp_path / "some"))
    shutil.rmtree(min((some / "proofs").iterdir()))
    with pytest.raises(StoreRefused, match="older than the backup"):
        restored(backup, data, some)
    flip(min((data / "objects" / "proofs").rglob("checkpoint")), at=-8)
    with pytest.raises(StoreRefused, match="not one of this log"):
        restored(backup, data, data / "objects")


# ---------------------------------------------------------------------- a restore that is cut short

CUT = """
import os, sys
from pathlib import Path
from indelible.operate import restore as module
stage = sys.argv[4]
def progress(what, done, of):
    if what == stage:
        os._exit(9)
if stage == "last":
    module.put_in_place = lambda source, target: os._exit(9)
module.restore(Path(sys.argv[1]), Path(sys.argv[2]), master_secret=Path(sys.argv[3]), published=None,
               progress=progress)
"""


@pytest.mark.parametrize("stage", ["copying", "events", "last"])
def test_a_restore_cut_short_leaves_nothing_that_serves(data: Path, backup: Path, stage: str) -> None:
    """The process is gone at once: server, doctor and restore refuse the directory."""
    copy = backup.parent / "restored"
    command = [sys.executable, "-c", CUT, str(backup), str(copy), str(data / "master-secret"), stage]
    assert subprocess.run(command, check=False).returncode == 9
    served = run("serve", "--data", copy, "--port", "0")
    assert (served.returncode, "listening" in served.stderr) == (1, False)
    assert "restore" in served.stderr
    examined = run("doctor", "--data", copy)
    assert examined.returncode == 1
    assert "was not finished" in examined.stderr
    with pytest.raises(StoreRefused, match="not empty"):
        restored(backup, data)


def test_a_backup_cut_short_is_no_backup(data: Path, tmp_path: Path) -> None:
    """Without its manifest, which is written last, nothing is restored."""

    def cut(what: str, _done: int, _of: int) -> None:
        if what == "components":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(data, tmp_path / "backup", include_secrets=True, progress=cut)
    with pytest.raises(StoreRefused, match="not a backup"):
        restored(tmp_path / "backup", data)
