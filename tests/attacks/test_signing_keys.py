"""Attacks on signing keys: what a stolen, retired key can still do, and statements that somebody made up.

Each test's docstring says the attack and who finds it; the test checks that.
"""

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.proved import CHECKPOINT, KEY, NOTE, ORIGIN, PAYLOAD, ROOT, SIGNER
from tests.harness.rotating import keys_of, log_of, published, put, rotate
from tests.harness.services import bench

from indelible.client import NotProved, key_history, verify_checkpoint, verify_consistency
from indelible.client.examine import examine
from indelible.client.results import ConsistencyProof
from indelible.log.keyring import statement_key
from indelible.log.publish import checkpoint_key
from indelible.log.signers import Signers
from indelible.model.types import LogInfo
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer, derive_seed
from indelible.notes.note import format_note, parse_note, sign_note
from indelible.notes.statements import KeyStatement, format_statement, sign_statement
from indelible.notes.tlogproof import format_tlog_proof, parse_tlog_proof

NEXT = Signer(ORIGIN, derive_seed(bytes(32), ORIGIN, 1))
THIEF = Signer(ORIGIN, b"t" * 32)
TIME = 1_735_689_600_000_000


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)


def statement(old: Signer, new: Signer, size: int, origin: str = ORIGIN) -> bytes:
    """An honest statement."""
    return sign_statement(KeyStatement(origin, old.verifier, new.verifier, size, TIME), old, new)


STATEMENT = statement(SIGNER, NEXT, 3)


def test_a_stolen_retired_key_signs_nothing_new() -> None:
    """Attack: the thief of a retired key signs a larger head. Found by whoever knows the statement.

    Heads below its end keep verifying, with the old key alone or with the history.
    """
    history = key_history(KEY, [STATEMENT])
    assert verify_checkpoint(NOTE, history) == verify_checkpoint(NOTE, KEY) == CHECKPOINT
    for size in (3, 4, 1_000_000):
        forged = sign_checkpoint(Checkpoint(ORIGIN, size, b"f" * 32), SIGNER)
        assert verify_checkpoint(forged, KEY).size == size  # who never heard of the rotation is deceived
        with pytest.raises(NotProved, match="must be signed with its key"):
            verify_checkpoint(forged, history)
        assert verify_checkpoint(sign_checkpoint(Checkpoint(ORIGIN, size, ROOT), NEXT), history)


def test_a_stolen_retired_key_deceives_about_old_sizes_only_who_kept_nothing() -> None:
    """Attack: the thief signs another head of a size that the key did sign. Found by who kept a checkpoint.

    By signature alone nobody finds it, as docs/security.md says: the key's word counts for those sizes.
    """
    history = key_history(KEY, [STATEMENT])
    other = sign_checkpoint(Checkpoint(ORIGIN, 2, b"f" * 32), SIGNER)
    assert verify_checkpoint(other, history).root != CHECKPOINT.root
    proof = ConsistencyProof(hashes=[], checkpoint=other.decode())
    with pytest.raises(NotProved):
        verify_consistency(proof, CHECKPOINT, history)


@pytest.mark.parametrize("signers", [[SIGNER], [NEXT], [SIGNER, THIEF], [THIEF, NEXT]])
def test_a_statement_that_one_key_did_not_sign_is_refused(signers: list[Signer]) -> None:
    """Attack: who has one of the two keys, or neither, makes a statement up. Found by every reader of it."""
    text = format_statement(KeyStatement(ORIGIN, SIGNER.verifier, NEXT.verifier, 3, TIME))
    with pytest.raises(NotProved):
        key_history(KEY, [sign_note(text, signers)])


def test_a_second_successor_is_refused_where_both_are_known() -> None:
    """Attack: the thief of a retired key lets his own key follow it. Found by who knows the true statement.

    Who knows the old key alone, and hears of the thief's only, cannot tell: a new key wants a second source.
    """
    forged = statement(SIGNER, THIEF, 3)
    assert key_history(KEY, [forged]).newest == THIEF.verifier
    for order in ([STATEMENT, forged], [forged, STATEMENT]):
        with pytest.raises(NotProved, match="fork"):
            key_history(KEY, order)


def test_a_statement_that_moves_the_end_is_refused_beside_the_true_one() -> None:
    """Attack: the same two keys, and a later end for the old one. Found by who knows the true statement."""
    with pytest.raises(NotProved, match="fork"):
        key_history(KEY, [STATEMENT, statement(SIGNER, NEXT, 300)])


def test_a_statement_that_goes_back_is_refused() -> None:
    """Attack: a later statement gives the log back to the retired key, or to a smaller size. Every reader."""
    for forged in (statement(NEXT, SIGNER, 5), statement(NEXT, THIEF, 2)):
        with pytest.raises(NotProved):
            key_history(KEY, [STATEMENT, forged])


def test_a_statement_of_another_log_is_refused() -> None:
    """Attack: the statement of a log whose key the attacker has is shown for this one. Every reader."""
    name = "audit.example.com/logs/another"
    old, new = Signer(name, b"o" * 32), Signer(name, b"n" * 32)
    foreign = statement(old, new, 3, name)
    with pytest.raises(NotProved, match="says nothing of"):
        key_history(KEY, [foreign])
    renamed = foreign.replace(name.encode(), ORIGIN.encode())
    with pytest.raises(NotProved):
        key_history(KEY, [renamed])


def test_a_signature_line_under_another_name_is_no_signature() -> None:
    """Attack: a head of another log, its line relabelled with this log's name and key id. Found by everybody.

    The signature covers the text, so the origin inside it is compared with the key's name.
    """
    other = Signer("audit.example.com/logs/another", b"o" * 32)
    note = parse_note(sign_checkpoint(Checkpoint(other.name, 2, ROOT), other))
    (line,) = note.signatures
    for forged in (
        line._replace(name=ORIGIN),
        line._replace(name=ORIGIN, key_id=SIGNER.key_id),
    ):
        for text in (note.text, note.text.replace(other.name, ORIGIN)):
            relabelled = format_note(note._replace(text=text, signatures=(forged,)))
            for key in (KEY, key_history(KEY, [STATEMENT])):
                with pytest.raises(NotProved):
                    verify_checkpoint(relabelled, key)
    shared = Signer(other.name, derive_seed(bytes(32), ORIGIN))  # one secret under two names
    moved = parse_note(sign_checkpoint(Checkpoint(other.name, 2, ROOT), shared))
    relabelled = format_note(
        moved._replace(signatures=(moved.signatures[0]._replace(name=ORIGIN, key_id=SIGNER.key_id),))
    )
    with pytest.raises(NotProved, match="origin"):
        verify_checkpoint(relabelled, KEY)


def test_a_new_line_relabelled_as_the_old_key_s_is_refused() -> None:
    """Attack: the new key's line under the old key's id, or the reverse. Found by everybody."""
    note = parse_note(sign_note(f"{ORIGIN}\n4\n{NOTE.splitlines()[2]}\n", [NEXT, SIGNER]))
    new, old = note.signatures
    history = key_history(KEY, [STATEMENT])
    for lines in ((new._replace(key_id=old.key_id),), (old._replace(key_id=new.key_id),)):
        with pytest.raises(NotProved):
            verify_checkpoint(format_note(note._replace(signatures=lines)), history)


def test_evidence_signed_with_a_retired_key_is_judged_by_size(tmp_path: Path) -> None:
    """Attack: a proof under a head that the retired key signed after its end. Found by `verify --statements`.

    Evidence from before the rotation stays proved, by the old key alone and with the statement.
    """

    async def work() -> None:
        async with bench(tmp_path) as b:
            info = await log_of(b, "one")
            await b.services.appends.append(b.root, str(info.log_id), PAYLOAD)
            before = await b.services.proofs.event(b.root, str(info.log_id), 1)
            await rotate(b, info)
            await put(b, info, 1)
            await published(b, info)
            old, new = await keys_of(b, info)
            after = await b.services.proofs.event(b.root, str(info.log_id), 1)
            retired = b.core.signers.signer(info.origin)
            head = b.core.reader.head(info.key)
        assert head is not None
        statements = [new["statement"].encode()]
        keys = [old["verifier_key"]]
        assert examine(before, PAYLOAD, keys).verdict == "proved"
        assert examine(before, PAYLOAD, keys, statements).verdict == "proved"
        forged_head = sign_checkpoint(Checkpoint(info.origin, head.size, head.root), retired)
        forged = format_tlog_proof(parse_tlog_proof(after)._replace(checkpoint=forged_head))
        assert examine(forged, PAYLOAD, keys).verdict == "proved"
        assert examine(forged, PAYLOAD, keys, statements).verdict == "refuted"

    run(work())


async def _rotated(path: Path, copy: Path) -> LogInfo:
    """A log with a head, a copy of the database then, and a rotation after that."""
    async with bench(path) as b:
        info = await log_of(b, "one")
        await put(b, info, 2)
        await published(b, info)
    shutil.copytree(path, copy)
    async with bench(path) as b:
        await rotate(b, info)
    return info


def test_a_database_of_before_a_rotation_is_not_continued(tmp_path: Path) -> None:
    """Attack: an older database beside the published statement: the old key would sign on. Found at start.

    The log's own head is no older than what was published, so only the statement tells.
    """

    async def work() -> None:
        data, copy = tmp_path / "data", tmp_path / "copy"
        info = await _rotated(data, copy)
        for name in ("indelible.db", "indelible.db-wal", "indelible.db-shm"):
            (data / name).unlink(missing_ok=True)
            if (copy / name).exists():
                shutil.copy(copy / name, data / name)
        async with bench(data) as b:
            mismatch = b.core.gate.check(info)
            assert mismatch is not None
            assert "a key of generation 1 was published" in mismatch.found
            with pytest.raises(Exception, match="log_behind_published_head"):
                await put(b, info, 1)

    run(work())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE log_key SET verifier_key = {thief!r} WHERE generation = 0", "does not derive"),
        ("UPDATE log_key SET verifier_key = {thief!r}, holder = 'command' WHERE generation = 0", ""),
        ("UPDATE log_key SET statement = x'00' WHERE generation = 1", ""),
        ("DELETE FROM log_key WHERE generation = 0", "do not follow each other"),
        ("DELETE FROM log_key WHERE generation = 1", "a key of generation 1 was published"),
        ("UPDATE log_key SET generation = 2 WHERE generation = 1", "do not follow each other"),
    ],
)
def test_stored_keys_that_were_edited_are_found_at_start(tmp_path: Path, change: str, words: str) -> None:
    """Attack: rows of keys edited underneath, to have another key believed. Found at start; none signs."""

    async def work() -> None:
        info = await _rotated(tmp_path / "data", tmp_path / "copy")
        database = apsw.Connection(str(tmp_path / "data" / "indelible.db"))
        thief = Signer(info.origin, b"t" * 32).verifier.vkey
        database.execute(change.format(thief=thief) + " AND log = ?", (info.key,))
        assert database.changes() == 1
        database.close()
        before = (tmp_path / "data" / "objects" / checkpoint_key(info)).read_bytes()
        async with bench(tmp_path / "data") as b:
            mismatch = b.core.gate.check(info)
            assert mismatch is not None
            assert words in mismatch.found
            with pytest.raises(Exception, match="log_behind_published_head"):
                await put(b, info, 1)
        assert (tmp_path / "data" / "objects" / checkpoint_key(info)).read_bytes() == before

    run(work())


def test_another_statement_in_the_object_store_is_found_at_start(tmp_path: Path) -> None:
    """Attack: the published statement exchanged for one of the old key's thief. Found at start."""

    async def work() -> None:
        data = tmp_path / "data"
        info = await _rotated(data, tmp_path / "copy")
        old = Signers((data / "master-secret").read_bytes()).signer(info.origin)
        forged = statement(old, Signer(info.origin, b"t" * 32), 3, info.origin)
        (data / "objects" / statement_key(info, 1)).write_bytes(forged)
        async with bench(data) as b:
            mismatch = b.core.gate.check(info)
            assert mismatch is not None
            assert "is not the stored one" in mismatch.found

    run(work())
