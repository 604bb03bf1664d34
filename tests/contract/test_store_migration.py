"""A store of version 1 becomes one of version 2 with nothing lost, and can be read before it does."""

import shutil
import uuid
from importlib.resources import files
from pathlib import Path

import apsw
import pytest
from tests.harness.operating import appended, created, published_size, quiet, run, serving

from indelible.operate.backup import back_up
from indelible.operate.restore import restore
from indelible.operate.sites import Site
from indelible.store import sqlite_schema
from indelible.store.sqlite import SqliteStore
from indelible.store.sqlite_read import SqliteReader
from indelible.store.sqlite_schema import SCHEMA_VERSION

LOG_ID = uuid.uuid4()


def version_of(path: Path) -> int:
    """The schema version that a database's file says it has."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    version = connection.pragma("user_version")
    connection.close()
    assert isinstance(version, int)
    return version


def version_one(folder: Path) -> Path:
    """A database as version 1 wrote it, with one log."""
    path = folder / "indelible.db"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute(files("indelible.store").joinpath("sql", "sqlite_0001.sql").read_text())
    connection.execute("INSERT INTO workspace VALUES (1, x'01', 'w', 1)")
    connection.execute("INSERT INTO log VALUES (1, ?, 1, 'old', 'x.example/logs/1', 7, 0)", (LOG_ID.bytes,))
    connection.execute("INSERT INTO head VALUES (1, 0, 0, 0, zeroblob(32), x'')")
    connection.pragma("user_version", 1)
    connection.close()
    return path


def taken_back(path: Path) -> None:
    """Give a store of this version the schema of version 1, as if an older program had made it."""
    connection = apsw.Connection(str(path))
    connection.execute(
        "DROP TABLE segment; DROP TABLE trim; DROP TABLE log_key; ALTER TABLE log DROP COLUMN public_proofs;"
    )
    connection.pragma("user_version", 1)
    connection.close()


def test_a_store_of_version_one_is_opened_as_this_one(tmp_path: Path) -> None:
    """Its logs are there, none of them public, and new things can be written."""
    path = version_one(tmp_path)
    store = SqliteStore(tmp_path)
    (info,) = store.reader.logs(1, "", 9)
    assert (info.log_id, info.name, info.public_proofs) == (LOG_ID, "old", False)
    assert store.reader.log_keys(1) == []
    with store.transaction() as transaction:
        assert transaction.set_public_proofs(1, public=True)
    store.close()
    assert version_of(path) == SCHEMA_VERSION
    SqliteStore(tmp_path).close()


def test_a_reader_sees_version_one_as_this_one_and_changes_nothing(tmp_path: Path) -> None:
    """So that a backup can be taken and a doctor asked before the server is upgraded."""
    path = version_one(tmp_path)
    before = path.read_bytes()
    reader = SqliteReader(path, connections=2)
    (info,) = reader.logs(None, "0", 9)
    assert (info.log_id, info.public_proofs) == (LOG_ID, False)
    assert reader.log_by_id(LOG_ID.bytes) == reader.log_by_name(1, "old") == info
    assert reader.log_keys(1) == []
    reader.close()
    assert (path.read_bytes(), version_of(path)) == (before, 1)


def test_a_step_that_fails_leaves_the_version_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that is cut short is undone in whole, and made by the next start."""
    path = version_one(tmp_path)
    whole = sqlite_schema._text
    monkeypatch.setattr(
        sqlite_schema, "_text", lambda name: whole(name) + ";\nINSERT INTO nothing VALUES (1);"
    )
    for _ in range(2):
        with pytest.raises(Exception, match="cannot be opened"):
            SqliteStore(tmp_path)
        assert version_of(path) == 1
    monkeypatch.undo()
    SqliteStore(tmp_path).close()
    assert version_of(path) == SCHEMA_VERSION


def test_a_served_directory_is_upgraded_backed_up_and_restored_in_either_version(tmp_path: Path) -> None:
    """Version 1 can be examined and backed up as it is, restored, and served: all is the same."""
    data = tmp_path / "data"
    with serving(data) as (_, http):
        log = created(http, "kept")
        receipts = [appended(http, log, number) for number in range(3)]
        assert published_size(http, log) == 3
        keys = http.get(f"{log}/keys").json()
    taken_back(data / "indelible.db")
    assert run("doctor", "--data", data).returncode == 0
    back_up(data, tmp_path / "backup", include_secrets=True, progress=quiet)
    assert version_of(tmp_path / "backup" / "indelible.db") == version_of(data / "indelible.db") == 1
    copy = tmp_path / "copy"
    published = Path(shutil.copytree(data / "objects", tmp_path / "objects"))
    restored = restore(tmp_path / "backup", copy, master_secret=None, published=published, progress=quiet)
    with Site(data) as site:
        sizes = [head.size for head in site.reader.heads([info.key for info in site.logs()]).values()]
    assert (restored.events, restored.read_only) == (sum(sizes), False)
    for place in (data, copy):
        with serving(place) as (_, http):
            assert http.get(f"{log}/keys").json() == keys
            assert appended(http, log, 4)["sequence"] == 4
            event = http.get(f"{log}/events/1").json()
            assert event["salt"] == receipts[0]["salt"]
            assert http.get(log).json()["public_proofs"] is False
            assert http.post(f"{log}/keys").json()["valid_from_size"] >= 4
        assert version_of(place / "indelible.db") == SCHEMA_VERSION
