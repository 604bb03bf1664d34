"""Backups that were changed, in whatever part and by whomever, are refused by name."""

import json
import shutil
from pathlib import Path

import pytest
from tests.harness.operating import Original, change, flip, grown, quiet, reseal, restored, run

from indelible.operate import manifest as manifests
from indelible.operate.backup import back_up
from indelible.operate.files import file_digest
from indelible.operate.restore import restore
from indelible.store.base import StoreRefused

# ---------------------------------------------------------------------- what was changed is refused


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
