"""A deployment moved from SQLite into PostgreSQL by its archive alone, and examined there."""

import json
import shutil
from pathlib import Path

import pytest
from tests.harness.operating import flip, run
from tests.harness.postgres import cluster
from tests.harness.rebuilding import KEYED, Original, answers, archived_deployment
from tests.harness.server import ServerEndedError, start_server

from indelible.store.base import StoreRefused
from indelible.store.postgres import PostgresStore


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A deployment with SQLite that was archived and stopped."""
    return archived_deployment(tmp_path_factory.mktemp("archived") / "data")


def restored(original: Original, archive: Path, data: Path, url: str, *options: str | Path) -> str:
    """Restore into a database; what the command says, or its refusal."""
    secret = ("--master-secret", original.data / "master-secret")
    done = run("restore", "--from", archive, "--data", data, "--database", url, *secret, "--json", *options)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout if done.returncode == 0 else done.stderr


def test_a_deployment_moved_into_postgresql_is_the_original(original: Original, tmp_path: Path) -> None:
    """Every answer is, byte for byte; nothing differs; and it is read-only, whichever directory serves it."""
    url, copy = cluster().create(), tmp_path / "copy"
    told = json.loads(restored(original, original.data / "objects", copy, url))
    assert (told["read_only"], told["logs"], told["behind"]) == (True, 7, 0)
    checked = run("fsck", "--data", copy, "--database", url)
    assert checked.returncode == 0, checked.stdout
    assert "nothing differs" in checked.stdout
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    shutil.copy(copy / "master-secret", other)
    shutil.copytree(copy / "objects", other / "objects")
    for data in (copy, other):
        with start_server(data, "--database", url) as server, server.client() as http:
            found = answers(http, original.logs)
            different = {name for name, answer in found.items() if answer != original.answers[name]}
            assert different == set()
            refused = http.post(f"{original.logs[0]}/append", json={"n": 1})
            assert (refused.status_code, refused.json()["code"]) == (503, "read_only")


def test_one_that_may_go_on_goes_on(original: Original, tmp_path: Path) -> None:
    """With what was published it is no copy: a retry of before is known, and it appends."""
    url, objects = cluster().create(), original.data / "objects"
    told = json.loads(restored(original, objects, tmp_path / "copy", url, "--published", objects))
    assert not told["read_only"]
    with start_server(tmp_path / "copy", "--database", url) as server, server.client() as http:
        again = http.post(f"{original.logs[0]}/append_batch", content=b'["a","b"]', headers=KEYED)
        assert (again.headers["idempotent-replayed"], again.content) == ("true", original.batch)
        assert http.post(f"{original.logs[0]}/append", json={"n": 1}).status_code == 201
        assert server.stop() == 0
    examined = json.loads(run("doctor", "--data", tmp_path / "copy", "--database", url, "--json").stdout)
    checks = {check["name"]: check for check in examined["checks"]}
    assert checks["postgresql"]["state"] == "look"  # this one has no standby
    assert "no synchronous standby" in checks["postgresql"]["says"]
    assert {name: checks[name]["state"] for name in ("published heads", "database", "copy")} == {
        "published heads": "ok",
        "database": "ok",
        "copy": "ok",
    }


def test_what_was_not_restored_in_whole_is_never_served(original: Original, tmp_path: Path) -> None:
    """A changed archive is refused with its place, and so is the database that the restore was begun in."""
    url, archive = cluster().create(), Path(shutil.copytree(original.data / "objects", tmp_path / "objects"))
    log_id = original.logs[0].rpartition("/")[2]
    segment = max(each for each in (archive / "events" / log_id).rglob("*") if each.is_file())
    flip(segment, segment.stat().st_size // 2)
    refusal = restored(original, archive, tmp_path / "copy", url)
    assert segment.name in refusal
    assert not (tmp_path / "copy").exists()
    again = restored(original, original.data / "objects", tmp_path / "copy", url)
    assert "the database is not empty" in again
    (tmp_path / "other").mkdir(mode=0o700)
    shutil.copy(original.data / "master-secret", tmp_path / "other")
    with pytest.raises(ServerEndedError, match="was not finished"):
        start_server(tmp_path / "other", "--database", url)


def test_a_database_that_is_served_is_not_restored_into(original: Original, tmp_path: Path) -> None:
    """Whatever is in it stays."""
    url = cluster().create()
    with start_server(tmp_path / "d", "--database", url) as server, server.client() as http:
        http.post("/logs", json={"name": "a"})
        server.stop()
    assert "not empty" in restored(original, original.data / "objects", tmp_path / "copy", url)
    store = PostgresStore(url)
    assert store.reader.last_log() > 0
    store.close()


def test_a_directory_and_a_database_that_do_not_belong_together_are_refused(
    original: Original, tmp_path: Path
) -> None:
    """In one sentence that says what to do."""
    url = cluster().create()
    never = run("fsck", "--data", tmp_path, "--database", url)
    assert (never.returncode, "holds no store of Indelible" in never.stderr) == (1, True)
    both = run("fsck", "--data", original.data, "--database", url)
    assert "holds a deployment in SQLite" in both.stderr
    with start_server(tmp_path / "d", "--database", url) as server:
        server.stop()
    for command in ("fsck", "doctor"):
        assert "give its URL" in run(command, "--data", tmp_path / "d").stderr
    backup = run("backup", "--data", tmp_path / "d", "--to", tmp_path / "b")
    assert "its own tools" in backup.stderr
    with pytest.raises(StoreRefused, match="cannot be read"):
        PostgresStore("no url at all")


def test_rows_that_belong_to_nothing_are_found(original: Original, tmp_path: Path) -> None:
    """Events and tiles of no log, and a chunk before a log's first event, which only an intruder writes."""
    url, copy = cluster().create(), tmp_path / "copy"
    restored(original, original.data / "objects", copy, url)
    chunk = "INSERT INTO chunk SELECT {}, {}, events, time, meta, leaves, payload FROM chunk LIMIT 1"
    name = url.rpartition("/")[2]
    cluster().run(chunk.format(77, 1), name)
    cluster().run(chunk.format(1, 0), name)
    cluster().run("INSERT INTO tile SELECT 78, 1, 0, hashes FROM tile LIMIT 1", name)
    checked = run("fsck", "--data", copy, "--database", url)
    assert checked.returncode == 1
    assert "events are stored of log number 77, which is none" in checked.stdout
    assert "tiles are stored of log number 78, which is none" in checked.stdout
    assert "log number 1 has a chunk before its first event" in checked.stdout
