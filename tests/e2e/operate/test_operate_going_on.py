"""When a restored copy may go on, and a backup or restore that is cut short."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness.operating import (
    Original,
    appended,
    created,
    flip,
    grown,
    published_size,
    restored,
    run,
    serving,
)

from indelible.operate.backup import back_up
from indelible.store.base import StoreRefused

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
