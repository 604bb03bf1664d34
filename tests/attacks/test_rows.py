"""Rows that no tree covers are changed: logs, keys, workspaces, views. `_audit` says how they were."""

import shutil
from pathlib import Path

import pytest
from tests.harness.attacking import Victim, database, flip_cell, found_at_start, found_by_fsck, run
from tests.harness.operating import serving

from indelible.notes.keys import Signer
from indelible.operate.differences import Difference

KEY = "label = 'billing'"
ROWS = {
    # table, column, where, and the kinds that fsck gives it
    "a log's id": ("log", "log_id", "name = 'acme'", {"log", "checkpoint", "view"}),
    "a log's name": ("log", "name", "name = 'acme'", {"log"}),
    "a log's origin": ("log", "origin", "name = 'acme'", {"log", "checkpoint", "snapshot"}),
    "a log's workspace": ("log", "workspace", "name = 'acme'", {"log", "workspace", "writer", "view"}),
    "a log's date": ("log", "created", "name = 'acme'", {"log"}),
    "whether a log is erasable": ("log", "erasable", "name = 'acme'", {"log"}),
    "the name of _audit": ("log", "name", "name = '_audit' AND workspace = 1", {"workspace"}),
    "a workspace's id": ("workspace", "workspace_id", "name = 'default'", {"workspace"}),
    "a workspace's name": ("workspace", "name", "name = 'default'", {"workspace"}),
    "a workspace's date": ("workspace", "created", "name = 'default'", {"workspace"}),
    "a key's id": ("api_key", "key_id", KEY, {"key", "writer"}),
    "a key's workspace": ("api_key", "workspace", KEY, {"key", "database", "writer"}),
    "a key's owner": ("api_key", "label", KEY, {"key"}),
    "a key's date": ("api_key", "created", KEY, {"key"}),
    "a view's name": ("view", "name", "name = 'report'", {"view"}),
    "a view's version": ("view", "version", "name = 'report'", {"view"}),
    "a view's component": ("view", "component_sha256", "name = 'report'", {"view", "component", "snapshot"}),
    "a view's date": ("view", "created", "name = 'report'", {"view"}),
    "a view's author": ("view", "author", "name = 'report'", {"view"}),
    "a view's built-in name": ("view", "builtin", "name = 'report'", {"view"}),
    "a view's world": ("view", "world", "name = 'report'", {"snapshot"}),
    "the deployment's name": ("meta", "value", "name = 'deployment'", {"log"}),
    "the first public key": ("meta", "value", "name = 'first_public_key'", {"secret"}),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_flipped_bit_of_a_row_is_found(victim: Victim, case: str) -> None:
    """Attack: one bit of the row of a log, a key, a workspace or a view. Finder: fsck, by `_audit`.

    Where an index was not told, as by a hex editor, SQLite's own check finds that too.
    """
    table, column, where, kinds = ROWS[case]
    flip_cell(victim, table, column, where, 1)
    found = found_by_fsck(victim)
    assert found
    assert {difference.kind for difference in found} <= kinds | {"database"}


def said(found: list[Difference], words: str) -> bool:
    """Whether a difference says this."""
    return any(words in difference.found for difference in found)


SLIP_KEY = """
    INSERT INTO api_key SELECT '00000000-0000-4000-8000-000000000000', workspace, secret_hash, 'x', scopes,
        logs, views, not_before, expires, created, revoked, preset
    FROM api_key WHERE label = 'web'
"""
SLIP_LOG = """
    INSERT INTO log SELECT NULL, randomblob(16), workspace, 'new', 'x', created, 0, 0 FROM log
    WHERE name = 'acme'
"""
STATEMENTS = {
    "rename a log": (
        "UPDATE log SET name = 'acme-old' WHERE name = 'acme'",
        "it is named acme-old, _audit says acme",
    ),
    "give a key another owner": (
        "UPDATE api_key SET label = 'audit' WHERE label = 'web'",
        "its label is audit, _audit says web",
    ),
    "widen a key": (
        "UPDATE api_key SET scopes = '[\"append\", \"admin\"]' WHERE label = 'web'",
        "its scopes is ['append', 'admin'], _audit says ['append']",
    ),
    "bring a revoked key back": (
        "UPDATE api_key SET revoked = NULL WHERE label = 'gone'",
        "it is not revoked, and _audit says that it was",
    ),
    "revoke a key in silence": (
        "UPDATE api_key SET revoked = 1 WHERE label = 'web'",
        "it is revoked, and _audit does not say so",
    ),
    "let a key expire": (
        "UPDATE api_key SET expires = 1 WHERE label = 'web'",
        "its expires is 1970-01-01T00:00:00.000001Z, _audit says None",
    ),
    "remove a key": ("DELETE FROM api_key WHERE label = 'billing'", "is no key of this workspace"),
    "slip a key in": (SLIP_KEY, "_audit does not say that it was created here"),
    "slip a log in": (SLIP_LOG, "_audit does not say that this log was created here"),
    "let all see a log's proofs": (
        "UPDATE log SET public_proofs = 1 WHERE name = 'acme'",
        "who may see its proofs is not what _audit says",
    ),
    "exchange a signing key": (
        "UPDATE log_key SET verifier_key = (SELECT max(verifier_key) FROM log_key)",
        "its signing keys do not hold",
    ),
    "hand a signing key to a command": (
        "UPDATE log_key SET holder = 'command', verifier_key = 'OTHER_KEY' WHERE log = LOG",
        "its signing keys are not those that _audit declares",
    ),
    "remove a view": ("DELETE FROM view", "version 1 is gone"),
    "configure a view otherwise": ("UPDATE view SET config = 'x'", "its config_sha256 is"),
    "retire a view in silence": ("UPDATE view SET state = 'retired'", "its state is retired"),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_change_of_rows_is_found_by_what_audit_says(victim: Victim, case: str) -> None:
    """Attack: a log, a key or a view is changed, made or removed by SQL. Finder: fsck, in words."""
    statement, words = STATEMENTS[case]
    other = Signer(victim.info.origin, bytes(32)).verifier.vkey
    run(victim, statement.replace("OTHER_KEY", other).replace("= LOG", f"= {victim.log}"))
    assert said(found_by_fsck(victim), words)


def test_a_log_that_is_removed_is_found(victim: Victim) -> None:
    """Attack: a log, with its events and head. Finders: fsck by `_audit` and by its published checkpoint."""
    with database(victim) as connection:
        connection.execute("DELETE FROM view; DELETE FROM tile")
        connection.execute("DELETE FROM chunk WHERE id >> 40 = ?", (victim.log,))
        connection.execute("DELETE FROM head WHERE log = ?", (victim.log,))
        connection.execute("DELETE FROM log WHERE key = ?", (victim.log,))
    found = found_by_fsck(victim)
    assert said(found, f"log acme ({victim.log_id}) was created; it is gone")
    assert said(found, f"log {victim.log_id} was published and is not in the store")


def test_another_digest_for_a_key_is_found_by_nobody(victim: Victim) -> None:
    """Attack: a key's secret is exchanged, so that somebody else writes under its name. Finder: nobody here.

    The digest stands in no proof, or whoever reads `_audit` could try secrets on it. The owner finds out: the
    key does not work any more. One bit of it does that alone.
    """
    flip_cell(victim, "api_key", "secret_hash", KEY, 9)
    assert found_by_fsck(victim) == []
    assert found_at_start(victim) == []


def test_events_of_a_log_that_is_none_are_found(victim: Victim) -> None:
    """Attack: rows that belong to no log, or before a log's first event. Finder: fsck."""
    with database(victim) as connection:
        for number in (99 << 40 | 1, victim.log << 40):
            connection.execute(
                "INSERT INTO chunk SELECT ?, events, time, meta, leaves, payload FROM chunk LIMIT 1",
                (number,),
            )
        connection.execute("INSERT INTO tile VALUES (98, 1, 0, zeroblob(32))")
    found = found_by_fsck(victim)
    assert said(found, "events are stored of log number 99")
    assert said(found, "tiles are stored of log number 98")
    assert said(found, f"log number {victim.log} has a chunk before its first event")


@pytest.mark.parametrize("statement", [
    "UPDATE chunk SET payload = CAST(payload AS TEXT)",
    "UPDATE chunk SET events = 'many'",
    "UPDATE chunk SET time = -1",
    "UPDATE head SET frontier = 'x', size = 'y'",
    "UPDATE tile SET hashes = 'x'",
    "UPDATE api_key SET scopes = '[', logs = '{'",
    "UPDATE log SET log_id = x'00' WHERE name = 'acme'",
    "UPDATE log SET name = CAST(x'ff00' AS TEXT) WHERE name = 'acme'",
    "UPDATE view SET view_id = x'00', config = x'ff'",
    "UPDATE workspace SET name = 7, workspace_id = 'x' WHERE name = 'default'",
    "UPDATE head SET size = 1 << 62",
    "DELETE FROM workspace",
])  # fmt: skip
def test_values_of_another_kind_are_differences_and_no_crash(victim: Victim, statement: str) -> None:
    """Attack: values that no program of ours writes, to crash who looks. Finder: fsck, which goes on.

    SQLite keeps a value of any kind in any column.
    """
    with database(victim) as connection:
        connection.execute("PRAGMA ignore_check_constraints = on")
        connection.execute(statement)
    assert found_by_fsck(victim)


def test_an_older_backup_that_goes_on_is_refused(victim: Victim, tmp_path: Path) -> None:
    """Attack: an older database is put back, and the server started. Finders: the gate, and fsck.

    The log takes no append and no head of it is signed; both name the head that was published.
    """
    shutil.copy(victim.data / "indelible.db", tmp_path / "older.db")
    with serving(victim.data) as (_, http):
        assert http.post(f"/logs/{victim.log_id}/append", json={"n": 1}).status_code == 201
    for path in victim.data.glob("indelible.db*"):
        path.unlink()
    shutil.copy(tmp_path / "older.db", victim.data / "indelible.db")
    assert said(found_by_fsck(victim), "the published checkpoint of 601 events, the store holds 600")
    note = victim.checkpoint.read_bytes()
    with serving(victim.data) as (_, http):
        answer = http.post(f"/logs/{victim.log_id}/append", json={"n": 2})
        assert answer.json()["code"] == "log_behind_published_head"
        assert "a head of 601 events was published, the store holds 600" in answer.json()["detail"]
    assert victim.checkpoint.read_bytes() == note
