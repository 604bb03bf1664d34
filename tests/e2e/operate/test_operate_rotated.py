"""A rotated deployment over the command line: rotate, verify, back up, restore, examine, kill."""

import json
import shutil
from pathlib import Path

import httpx
from tests.harness.operating import appended, created, published_size, quiet, restored, run, serving

from indelible.cli import main
from indelible.operate.backup import back_up


def command(http: httpx.Client, data: Path, *arguments: str) -> str:
    """What a command of the program says to a running server."""
    done = run(*arguments, "--url", str(http.base_url), "--key-file", data / "root-key")
    assert done.returncode == 0, done.stderr
    return done.stdout


def verdict(*arguments: str | Path) -> int:
    """The exit code of `verify`."""
    return main(["verify", *map(str, arguments)])


def test_an_auditor_follows_a_rotation_with_files_alone(tmp_path: Path) -> None:
    """Old evidence by the old key; new evidence by both while they overlap; and by statements for ever."""
    data, kept = tmp_path / "data", tmp_path / "kept"
    kept.mkdir()
    with serving(data) as (_, http):
        log = created(http, "one")
        appended(http, log, 1)
        payload = kept / "event"
        payload.write_bytes(http.get(f"{log}/events/1/raw").content)
        (kept / "before").write_text(command(http, data, "proof", "one", "1"))
        told = json.loads(command(http, data, "log", "rotate-key", "one", "--json"))
        assert told["valid_from_size"] == 2
        appended(http, log, 2)
        assert published_size(http, log) == 2
        (kept / "after").write_text(command(http, data, "proof", "one", "1"))
        (kept / "keys.json").write_text(command(http, data, "log", "show", "one", "--json"))
        shown = command(http, data, "log", "rotate-key", "one")
        old, new, newest = [key["verifier_key"] for key in http.get(f"{log}/keys").json()["keys"]]
        statement = "indelible/key/v1" + shown.partition("indelible/key/v1")[2]
        (kept / "both").write_text(f"{told['statement']}\n{statement}")
        assert newest in shown
    for proof, key, statements, code in [
        ("before", old, None, 0),
        ("before", old, "keys.json", 0),
        ("before", new, None, 1),
        ("before", new, "keys.json", 0),
        ("before", newest, "both", 0),
        ("after", old, None, 0),
        ("after", new, None, 0),
        ("after", old, "keys.json", 0),
        ("after", newest, "both", 0),
        ("after", newest, None, 1),
        ("after", old, "event", 1),
    ]:
        more = () if statements is None else ("--statements", kept / statements)
        found = verdict(kept / proof, "--payload", payload, "--key", key, *more)
        assert found == code, (proof, key, statements)


def test_evidence_follows_its_own_statements(tmp_path: Path) -> None:
    """Evidence made after rotations is proved by the first keys, by statements in it; fsck agrees."""
    data, evidence = tmp_path / "data", tmp_path / "evidence.zip"
    with serving(data) as (_, http):
        log = created(http, "one")
        keys = [
            http.get(f"{place}/keys").json()["keys"][0]["verifier_key"] for place in (log, "/logs/_audit")
        ]
        appended(http, log, 1)
        for place in (log, "/logs/_audit", log):
            assert http.post(f"{place}/keys").status_code == 201
            appended(http, log, 1)
        assert http.patch(log, json={"public_proofs": True}).status_code == 200
        window = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
        evidence.write_bytes(http.get(f"{log}/evidence").content)
        assert http.get(f"{log}/evidence", params=window).status_code == 200
    assert verdict(evidence, "--key", keys[0], "--key", keys[1]) == 0
    assert verdict(evidence, "--key", keys[0]) == 6
    done = run("fsck", "--data", data)
    assert done.returncode == 0, done.stdout


def test_a_rotated_deployment_is_backed_up_restored_and_examined(tmp_path: Path) -> None:
    """Statements travel with the backup; with the original's objects the copy goes on, with the same keys."""
    data = tmp_path / "data"
    with serving(data) as (_, http):
        log = created(http, "one")
        appended(http, log, 1)
        assert http.post(f"{log}/keys").status_code == 201
        assert http.post("/logs/_audit/keys").status_code == 201
        appended(http, log, 2)
        assert published_size(http, log) == 2
        keys = http.get(f"{log}/keys").json()
    back_up(data, tmp_path / "backup", include_secrets=False, progress=quiet)
    done = run("doctor", "--data", data)
    assert "logs match what was published" in done.stdout, done.stdout
    objects = Path(shutil.copytree(data / "objects", tmp_path / "objects"))
    assert not restored(tmp_path / "backup", data, objects).read_only
    with serving(tmp_path / "restored") as (_, http):
        assert http.get(f"{log}/keys").json() == keys
        appended(http, log, 3)
        assert published_size(http, log) == 3
        assert http.get("/readyz").json()["details"]["refused_logs"] == 0
    shutil.rmtree(tmp_path / "restored")
    assert restored(tmp_path / "backup", data).read_only
    with serving(tmp_path / "restored") as (_, http):
        assert http.get(f"{log}/keys").json() == keys
        assert http.post(f"{log}/keys").json()["code"] == "read_only"
        assert http.patch(log, json={"public_proofs": True}).json()["code"] == "read_only"


def test_a_backup_of_before_a_rotation_goes_on_only_without_it(tmp_path: Path) -> None:
    """Beside objects that have the statement it is refused; alone it is read-only, as any older copy."""
    data = tmp_path / "data"
    with serving(data) as (_, http):
        log = created(http, "one")
        appended(http, log, 1)
        assert published_size(http, log) == 1
        back_up(data, tmp_path / "backup", include_secrets=True, progress=quiet)
        assert http.post(f"{log}/keys").status_code == 201
    done = run("restore", tmp_path / "backup", "--data", tmp_path / "copy", "--published", data / "objects")
    assert done.returncode == 1
    assert "a key of generation 1 was published that the store does not have" in done.stderr


def test_a_server_that_is_killed_after_a_rotation_has_it(tmp_path: Path) -> None:
    """What was answered is durable: the next start has the same keys, and signs with both."""
    data = tmp_path / "data"
    with serving(data) as (_, http):
        log = created(http, "one")
    for round_ in range(3):
        try:
            with serving(data) as (process, http):
                made = http.post(f"{log}/keys").json()
                process.kill()
                process.wait()
        except AssertionError:
            pass  # it did not end in order, as it was killed
        with serving(data) as (_, http):
            keys = http.get(f"{log}/keys").json()["keys"]
            assert keys[-1] == made
            assert len(keys) == round_ + 2
            size = appended(http, log, 1)["sequence"]
            note = http.get(f"{log}/proof/inclusion", params={"sequence": size}).json()["checkpoint"]
            assert note.count("\n\u2014 ") == round_ + 2
