"""`indelible fsck` as an operator runs it, and a server that looks at its own store."""

import hashlib
import itertools
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.harness.operating import Original, appended, change, created, quiet, run, serving

from indelible.model.limits import DEFAULT_LIMITS
from indelible.operate.fsck import fsck as examined

LEAF_OF_SMALL = """
    UPDATE chunk SET leaves = zeroblob(32) WHERE id = (SELECT key FROM log WHERE name = 'small') << 40 | 7
"""
TIMES_FROM_SMALL_ON = """
    UPDATE chunk SET time = time - 1 WHERE id > (SELECT key FROM log WHERE name = 'small') << 40
"""
SIDE_FILES = {"indelible.db-shm", "indelible.db-wal"}  # SQLite makes them for whoever reads


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file in a directory."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in SIDE_FILES
    }


def fsck(data: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Run it with --json: the exit code, the differences, and the last line."""
    done = run("fsck", "--data", data, "--json", *arguments)
    assert not done.stderr, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, lines[:-1], lines[-1]


def test_nothing_differs_in_what_was_served_and_nothing_is_changed(data: Path) -> None:
    """Exit code 0, in words and in JSON; every file is as it was."""
    before = contents(data)
    code, differences, told = fsck(data)
    assert (code, differences) == (0, [])
    assert {**told, "events": 0, "seconds": 0} == {
        "state": "ok",
        "logs": 5,
        "events": 0,
        "differences": 0,
        "listed": 0,
        "seconds": 0,
    }
    assert told["events"] >= 340
    done = run("fsck", "--data", data)
    assert done.returncode == 0
    assert (
        f"{told['events']:,} events in 5 logs recomputed, from payload to root: nothing differs"
        in done.stdout
    )
    assert contents(data) == before


def test_it_works_beside_a_server_that_goes_on(data: Path, original: Original) -> None:
    """What is appended, made, deployed and revoked while it reads is no difference."""
    ended = threading.Event()
    with serving(data) as (_, http):

        def go_on() -> int:
            for number in itertools.count():
                key = http.post("/keys", json={"label": "k", "scopes": ["read"]}).json()["key_id"]
                log = created(http, f"new-{number}")
                for path in (log, original.small):
                    appended(http, path, number)
                http.post(f"{log}/views/v", json={"builtin": "compliance-report"})
                http.get(f"{log}/checkpoint")
                assert http.delete(f"/keys/{key}").status_code == 200
                if ended.is_set():
                    return number
            raise AssertionError

        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(go_on)
            try:
                for _ in range(12):
                    assert examined(data, DEFAULT_LIMITS, quiet)[0] == []
                assert fsck(data)[:2] == (0, [])
            finally:
                ended.set()
            assert going.result(60) > 2


def test_a_difference_is_told_with_its_place_and_exit_code_1(data: Path) -> None:
    """One line a difference, for people and as JSON, and how many in all."""
    change(data / "indelible.db", LEAF_OF_SMALL)
    change(data / "indelible.db", "UPDATE log SET name = 'renamed' WHERE name = 'large'")
    code, differences, told = fsck(data)
    assert code == 1
    assert (told["state"], told["differences"], told["listed"]) == ("bad", 2, 2)
    leaf, name = differences
    assert (leaf["kind"], leaf["log"], leaf["sequence"], leaf["workspace"]) == ("leaf", "small", 7, "default")
    assert (name["kind"], name["log"]) == ("log", "renamed")
    assert name["found"] == "it is named renamed, _audit says large"
    done = run("fsck", "--data", data)
    assert done.returncode == 1
    first, second, last = done.stdout.splitlines()
    assert first.startswith(f"leaf: workspace default, log small ({leaf['log_id']}), event 7: ")
    assert second.startswith("log: workspace default, log renamed (")
    assert last.endswith("recomputed, from payload to root: 2 differences")


def test_all_are_counted_and_a_log_lists_no_more_than_the_limit(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log with hundreds of differences does not hide the next one's."""
    monkeypatch.setenv("INDELIBLE_LIMIT_FSCK_DIFFERENCES_PER_LOG", "5")
    change(data / "indelible.db", TIMES_FROM_SMALL_ON)
    code, differences, told = fsck(data)
    assert code == 1
    assert {each["log"] for each in differences} == {"small", "large"}
    assert told["listed"] == len(differences) == 10
    assert told["differences"] > 340
    assert "10 are listed" in run("fsck", "--data", data).stdout
    monkeypatch.setenv("INDELIBLE_LIMIT_FSCK_DIFFERENCES_PER_LOG", "x")
    assert run("fsck", "--data", data).returncode == 1


def test_single_logs_can_be_examined(data: Path, original: Original) -> None:
    """By name or id, given again for more; what differs elsewhere is not told."""
    change(data / "indelible.db", LEAF_OF_SMALL)
    change(data / "indelible.db", "UPDATE api_key SET label = 'x'")
    code, differences, told = fsck(data, "--log", "large")
    assert (code, differences, told["logs"], told["events"]) == (0, [], 1, 300)
    log_id = original.small.removeprefix("/logs/")
    code, differences, told = fsck(data, "--log", "large", "--log", log_id)
    assert (code, len(differences), told["logs"]) == (1, 1, 2)
    done = run("fsck", "--data", data, "--log", "none")
    assert done.returncode == 1
    assert "no log here has the name or id none" in done.stderr


@pytest.mark.parametrize("case", ["nothing", "secret", "garbage", "page"])
def test_what_is_no_store_or_a_broken_one_is_said_in_a_sentence(
    data: Path, tmp_path: Path, case: str
) -> None:
    """No traceback, whatever the directory holds."""
    if case == "nothing":
        data = tmp_path / "nothing"
    elif case == "secret":
        (data / "master-secret").unlink()
    elif case == "garbage":
        (data / "indelible.db").write_bytes(b"x" * 10_000)
    else:
        content = bytearray((data / "indelible.db").read_bytes())
        for page in range(4, len(content) // 4_096):
            content[page * 4_096 : page * 4_096 + 8] = b"\xff" * 8
        (data / "indelible.db").write_bytes(content)
    done = run("fsck", "--data", data)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    words = {"nothing": "holds no store", "secret": "signatures are not checked", "garbage": "no database"}
    assert words.get(case, "disk image is malformed") in done.stdout + done.stderr


def test_a_server_finds_what_was_changed_underneath_and_goes_on(data: Path, original: Original) -> None:
    """/readyz names log and sequence, the metrics count, and the log refuses nothing for it."""
    change(
        data / "indelible.db",
        "UPDATE chunk SET payload = CAST(replace(CAST(payload AS TEXT), 'user', 'ueer') AS BLOB)"
        " WHERE id >> 40 = 2 AND id & 1023 < 40",
        "UPDATE chunk SET payload = zeroblob(length(payload)) WHERE id >> 40 = 3 AND id & 1023 < 200",
        "UPDATE chunk SET payload = zeroblob(length(payload)) WHERE id >> 40 = 1 AND id & 1023 < 3",
    )
    deadline = time.monotonic() + 30
    with serving(data) as (_, http):
        while not (found := http.get("/readyz").json()["details"]["fsck"])["differences"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        first = found["found"][0]
        assert first["kind"] == "payload"
        assert first["sequence"] > 0
        assert first["log_id"] in {original.small[6:], original.large[6:]} or first["sequence"] < 10
        metrics = http.get("/metrics").text
        assert "indelible_fsck_differences_total 0" not in metrics
        assert appended(http, original.small, 41)["sequence"] == 41
        assert http.get("/readyz").json()["ready"]


def test_a_store_that_was_copied_elsewhere_is_examined_alone(data: Path, tmp_path: Path) -> None:
    """The objects that are missing beside it are no difference but where a view needs them."""
    shutil.rmtree(data / "objects" / "proofs")
    assert fsck(data)[0] == 0
    shutil.rmtree(data / "objects" / "components")
    assert [each["kind"] for each in fsck(data)[1]] == ["component"]
