"""A store rebuilt from its archive alone: the same to the byte, and refused where the archive was changed."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.archiving import QUICK, archived, grow
from tests.harness.operating import flip, quiet, run
from tests.harness.rebuilding import KEYED, Original, answers, archived_deployment
from tests.harness.server import start_server

from indelible.log.archive_manifest import (
    archive_key,
    decode_manifest,
    encode_manifest,
    load_chain,
    manifest_key,
)
from indelible.log.segment import decode_segment, encode_segment
from indelible.operate.rebuild import Rebuilt, rebuild
from indelible.store.base import StoreRefused
from indelible.store.objects import LocalObjects


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A deployment that was archived and stopped."""
    return archived_deployment(tmp_path_factory.mktemp("archived") / "data")


@pytest.fixture
def archive(original: Original, tmp_path: Path) -> Path:
    """A copy of the archive that a test may change."""
    return Path(shutil.copytree(original.data / "objects", tmp_path / "objects"))


def rebuilt(original: Original, archive: Path, tmp_path: Path, **options: Any) -> Rebuilt:
    """Rebuild into `tmp_path/copy`."""
    given = {"published": None, "checkpoint": None, **options}
    secret = original.data / "master-secret"
    return rebuild(str(archive), tmp_path / "copy", master_secret=secret, progress=quiet, **given)


def rows(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a store, but for idempotency keys, chunks (cut at segments) and what a server notes."""
    left_out = {"chunk", "key_journal", "key_index", "key_count", "meta"}
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    names = [str(row[0]) for row in tables if row[0] not in left_out and not str(row[0]).startswith("sqlite")]
    found = {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}  # noqa: S608 - the store's own
    connection.close()
    return found


def test_a_rebuilt_store_is_the_original(original: Original, archive: Path, tmp_path: Path) -> None:
    """Rows are equal; every answer is, byte for byte; nothing differs; and it is read-only."""
    done = run(
        *("restore", "--from", archive, "--data", tmp_path / "copy", "--json"),
        *("--master-secret", original.data / "master-secret"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # Three logs of users, an _audit in both workspaces, and the deployment's own two.
    assert (told["read_only"], told["logs"], told["behind"]) == (True, 7, 0)
    assert rows(tmp_path / "copy" / "indelible.db") == rows(original.data / "indelible.db")
    checked = run("fsck", "--data", tmp_path / "copy")
    assert checked.returncode == 0, checked.stdout
    with start_server(tmp_path / "copy", "--archive") as server, server.client() as http:
        found = answers(http, original.logs)
        different = {name for name, answer in found.items() if answer != original.answers[name]}
        assert different == set()
        refused = http.post(f"{original.logs[0]}/append", json={"n": 1})
        assert (refused.status_code, refused.json()["code"]) == (503, "read_only")
        with server.client(original.auditor) as auditor:
            assert auditor.get(f"{original.logs[0]}/events/1").status_code == 200
            assert auditor.get(f"{original.logs[1]}/events/1").status_code == 404


def test_a_copy_that_may_go_on_knows_what_was_appended(
    original: Original, archive: Path, tmp_path: Path
) -> None:
    """A retry of before is answered as it was, the log grows, and the archive's chain goes on with it."""
    done = rebuilt(original, archive, tmp_path, published=str(archive))
    assert not done.read_only
    with (
        start_server(tmp_path / "copy", "--archive", "--objects", str(archive), env=QUICK) as server,
        server.client() as http,
    ):
        again = http.post(f"{original.logs[0]}/append_batch", content=b'["a","b"]', headers=KEYED)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == original.batch
        other = http.post(f"{original.logs[0]}/append_batch", content=b'["c"]', headers=KEYED)
        assert other.status_code == 422
        last = grow(http, original.logs[0], 300)["last_sequence"]
        assert archived(http)["archive"]["manifest"] > done.manifest
        assert server.stop() == 0
    key = archive_key((original.data / "master-secret").read_bytes())
    chain = load_chain(LocalObjects(archive), key)
    assert chain.logs[original.logs[0].removeprefix("/logs/")].size == last
    shutil.rmtree(tmp_path / "copy")
    (tmp_path / "kept").write_bytes(original.kept)
    again_rebuilt = rebuilt(original, archive, tmp_path, checkpoint=tmp_path / "kept")
    assert again_rebuilt.events >= done.events + 300  # and the heads that were listed since


# ---------------------------------------------------------------------- archives that were changed


def newest_of(original: Original, archive: Path) -> int:
    """The last manifest that names the first log; those after it are removed."""
    while True:
        place = list(files_of(archive, "manifest"))[-1]
        named = json.loads(place.read_bytes().split(b"\n")[0])["logs"]
        if any(log["log_id"] in original.logs[0] for log in named):
            return int(place.name)
        place.unlink()


def resealed(
    original: Original, archive: Path, number: int, change: Callable[[dict[str, Any]], None]
) -> None:
    """Change a manifest as whoever has the master secret can."""
    key = archive_key((original.data / "master-secret").read_bytes())
    objects = LocalObjects(archive)
    data = objects.get(manifest_key(number)) or b""
    members = json.loads(data.split(b"\n")[0])
    change(members)
    line = json.dumps(members).encode()
    manifest = decode_manifest(line + b"\n" + _seal(line, key), number, key)
    objects.put(manifest_key(number), encode_manifest(manifest, key))


def _seal(line: bytes, key: bytes) -> bytes:
    import hashlib  # noqa: PLC0415 - here alone
    import hmac  # noqa: PLC0415 - here alone

    return hmac.new(key, line, hashlib.sha256).hexdigest().encode() + b"\n"


def files_of(archive: Path, folder: str) -> Iterator[Path]:
    """The objects under a folder, in order."""
    return (path for path in sorted((archive / folder).rglob("*")) if path.is_file())


@pytest.mark.parametrize("folder", ["events", "state", "manifest", "components"])
@pytest.mark.parametrize("at", [0, -1])
def test_one_flipped_bit_is_refused_with_its_place(
    original: Original, archive: Path, tmp_path: Path, folder: str, at: int
) -> None:
    """In any object that a rebuild reads; and nothing is left behind."""
    place = max(files_of(archive, folder), key=lambda path: path.stat().st_mtime_ns)
    flip(place, at)
    with pytest.raises(StoreRefused, match=place.relative_to(archive).as_posix()):
        rebuilt(original, archive, tmp_path)
    assert not (tmp_path / "copy").exists()


def test_every_segment_is_looked_at(original: Original, archive: Path, tmp_path: Path) -> None:
    """A bit in the middle of each one, or one that is gone, is refused with its name."""
    for place in list(files_of(archive, "events")):
        right = place.read_bytes()
        flip(place, len(right) // 2)
        with pytest.raises(StoreRefused, match=place.name):
            rebuilt(original, archive, tmp_path)
        place.unlink()
        with pytest.raises(StoreRefused, match=place.name):
            rebuilt(original, archive, tmp_path)
        place.write_bytes(right)


def test_a_segment_that_fits_in_itself_is_refused_all_the_same(
    original: Original, archive: Path, tmp_path: Path
) -> None:
    """No tree covers idempotency keys: only the chain of digests finds one that was exchanged."""
    place = max(
        files_of(archive, f"events/{original.logs[0].removeprefix('/logs/')}"), key=lambda path: path.name
    )
    first = min(
        files_of(archive, f"events/{original.logs[0].removeprefix('/logs/')}"), key=lambda path: path.name
    )
    assert first != place
    segment = decode_segment(first.read_bytes(), 1 << 24)
    run = segment.runs[0]
    forged = run._replace(keys=(run.keys[0]._replace(digest=bytes(16)), *run.keys[1:]))
    runs = (forged, *segment.runs[1:])
    first.write_bytes(encode_segment(segment.header.origin, runs, segment.header.previous))
    with pytest.raises(StoreRefused, match=f"{first.name} was changed"):
        rebuilt(original, archive, tmp_path)


@pytest.mark.parametrize("named", ["key", "sha256"])
def test_a_segment_that_names_the_one_before_it_wrongly_is_itself_to_blame(
    original: Original, archive: Path, tmp_path: Path, named: str
) -> None:
    """The object that an operator is sent to is the one that was changed, not one that is as it was."""
    place = max(files_of(archive, f"events/{original.logs[0].removeprefix('/logs/')}"))
    header, rest = place.read_bytes().split(b"\n", 1)
    said = json.loads(header)
    said["previous"][named] = said["previous"][named][:-1] + (
        "0" if said["previous"][named][-1] != "0" else "1"
    )
    place.write_bytes(json.dumps(said, separators=(",", ":")).encode() + b"\n" + rest)
    with pytest.raises(StoreRefused, match=f"{place.name} was changed"):
        rebuilt(original, archive, tmp_path)


def test_a_manifest_of_another_secret_or_a_gap_is_refused(
    original: Original, archive: Path, tmp_path: Path
) -> None:
    """The seal tells other secrets; a chain with a hole before its whole manifest is told by the number."""
    other = tmp_path / "other"
    other.write_bytes(bytes(32))
    other.chmod(0o600)
    with pytest.raises(StoreRefused, match="seal of manifest/"):
        rebuild(
            str(archive),
            tmp_path / "copy",
            master_secret=other,
            published=None,
            checkpoint=None,
            progress=quiet,
        )
    manifests = list(files_of(archive, "manifest"))
    assert len(manifests) > 2
    manifests[0].unlink()
    with pytest.raises(StoreRefused, match=r"holds no archive|manifest/0+1 is missing"):
        rebuilt(original, archive, tmp_path)


def test_a_checkpoint_in_the_manifest_that_is_not_of_these_events_is_refused(
    original: Original, archive: Path, tmp_path: Path
) -> None:
    """Also for whoever has the secret to seal it: size and root must be those of the segments."""

    def change(members: dict[str, Any]) -> None:
        (log,) = (log for log in members["logs"] if log["log_id"] in original.logs[0])
        log["checkpoint"] = original.kept.decode()

    number = newest_of(original, archive)
    resealed(original, archive, number, change)
    with pytest.raises(StoreRefused, match="do not lead to its archived checkpoint"):
        rebuilt(original, archive, tmp_path)


def test_an_archive_that_was_cut_back_is_found_by_a_kept_checkpoint(
    original: Original, archive: Path, tmp_path: Path
) -> None:
    """An older state comes back whole; a kept checkpoint tells, and so do the published ones."""
    log_id = original.logs[0].removeprefix("/logs/")
    key = archive_key((original.data / "master-secret").read_bytes())
    head = load_chain(LocalObjects(archive), key).logs[log_id].size
    while load_chain(LocalObjects(archive), key).logs[log_id].size == head:
        list(files_of(archive, "manifest"))[-1].unlink()
    kept = tmp_path / "kept"
    kept.write_bytes(original.answers[f"{original.logs[0]}/checkpoint"])
    with pytest.raises(StoreRefused, match="the archive holds"):
        rebuilt(original, archive, tmp_path, checkpoint=kept)
    with pytest.raises(StoreRefused, match="older than what was published"):
        rebuilt(original, archive, tmp_path, published=str(archive))
    done = rebuilt(original, archive, tmp_path)
    assert done.read_only
    assert done.behind >= 1


def test_a_checkpoint_of_another_history_is_refused(
    original: Original, archive: Path, tmp_path: Path
) -> None:
    """One that the log's own key signed, of a root that its events never had."""
    from indelible.log.signers import Signers  # noqa: PLC0415 - the forger's
    from indelible.notes.checkpoint import Checkpoint, sign_checkpoint  # noqa: PLC0415 - same

    origin = original.kept.split(b"\n")[0].decode()
    signer = Signers((original.data / "master-secret").read_bytes()).signer(origin)
    kept = tmp_path / "kept"
    kept.write_bytes(sign_checkpoint(Checkpoint(origin, 300, bytes(32)), signer))
    with pytest.raises(StoreRefused, match="another history"):
        rebuilt(original, archive, tmp_path, checkpoint=kept)


def test_what_is_no_archive_is_refused(original: Original, tmp_path: Path) -> None:
    """An empty folder, no folder, a target that is not empty; on the command line without a secret."""
    (tmp_path / "nothing").mkdir()
    for source, words in (("nothing", "holds no archive"), ("nowhere", "is not there")):
        with pytest.raises(StoreRefused, match=words):
            rebuilt(original, tmp_path / source, tmp_path)
    done = run("restore", "--from", original.data / "objects", "--data", tmp_path / "copy")
    assert done.returncode == 1
    assert "--master-secret" in done.stderr
    assert run("restore", "--data", tmp_path / "copy").returncode == 2
    with pytest.raises(StoreRefused, match="is not empty"):
        rebuild(
            str(original.data / "objects"),
            original.data,
            master_secret=original.data / "master-secret",
            published=None,
            checkpoint=None,
            progress=quiet,
        )
