"""Keys that a command holds, as in an HSM: moving to it, its failing, and a server without it."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.harness.rotating import key_id, keys_of, log_of, published, put, rotate, signers_of
from tests.harness.services import ROOT_KEY, bench

from indelible.app import Server
from indelible.config import Settings
from indelible.model.errors import Problem
from indelible.notes.keys import Verifier

EXAMPLE = Path(__file__).parents[1] / "harness" / "signer_command.py"


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)


def command(folder: Path) -> str:
    """The example command with its keys in a folder."""
    folder.mkdir(exist_ok=True)
    return f"{sys.executable} {EXAMPLE} {folder}"


def test_a_deployment_moves_its_keys_to_a_command_by_rotating(tmp_path: Path) -> None:
    """What derived goes on until it is rotated; what is new is the command's. No size has two texts."""

    async def work() -> None:
        data, hsm = tmp_path / "data", tmp_path / "hsm"
        async with bench(data) as b:
            info = await log_of(b, "one")
            await put(b, info, 1)
            await published(b, info)
        async with bench(data, command=command(hsm)) as b:
            await put(b, info, 1)
            derived = await published(b, info)
            await rotate(b, info)
            other = await log_of(b, "two")
            for _ in range(3):
                await put(b, info, 1)
                await put(b, other, 1)
                await published(b, info)
                await published(b, other)
            keys = await keys_of(b, info)
            assert signers_of(derived) == [key_id(keys[0])]
            assert signers_of(await published(b, info)) == [key_id(keys[1]), key_id(keys[0])]
            assert [row.holder for row in b.core.reader.log_keys(info.key)] == ["derived", "command"]
            assert [row.holder for row in b.core.reader.log_keys(other.key)] == ["command"]
        texts = (hsm / "signed").read_bytes().split(b"\0")[:-1]
        heads = [text.split(b"\n")[:3] for text in texts if not text.startswith(b"indelible/key/v1\n")]
        assert len({(origin, size) for origin, size, _ in heads}) == len({tuple(head) for head in heads}) >= 6

    run(work())


def test_while_a_command_fails_appends_go_on_and_checkpoints_wait(tmp_path: Path) -> None:
    """The published head stays, `/readyz` says why, a receipt comes without its proof; then all is signed."""

    async def work() -> None:
        hsm = tmp_path / "hsm"
        line = command(hsm)
        async with bench(tmp_path / "data", command=line, signer_retry_seconds=0.0) as b:
            info = await log_of(b, "one")
            await put(b, info, 1)
            before = await published(b, info)
            hidden = hsm.rename(tmp_path / "away")
            await put(b, info, 2)
            with pytest.raises(Problem, match="signer_failed"):
                await published(b, info)
            done = await b.services.appends.append(b.root, str(info.log_id), b"{}", proof=True)
            assert (done.receipt.sequence, done.proof) == (4, None)
            await b.core.publisher._publish_dirty()
            assert info.key in b.core.publisher._dirty
            assert (await b.core.publisher.latest(info)).note == before
            ready = b.services.status.ready()
            assert ready.ready
            assert "exit code 1" in str(ready.details["signer"])
            with pytest.raises(Problem, match="signer_failed"):
                await log_of(b, "two")
            hidden.rename(hsm)
            await b.core.publisher._publish_dirty()
            assert b.core.publisher._dirty == set()
            assert (await b.core.publisher.latest(info)).size == 4
            assert b.services.status.ready().details["signer"] == {"failed": None}

    run(work())


def test_a_command_that_holds_a_key_of_before_need_not_sign_beside_the_new_one(tmp_path: Path) -> None:
    """A slot that was emptied after a rotation: the new key signs alone, and nothing waits."""

    async def work() -> None:
        hsm = tmp_path / "hsm"
        async with bench(tmp_path / "data", command=command(hsm)) as b:
            info = await log_of(b, "one")
            await rotate(b, info)
            first, second = await keys_of(b, info)
            old = Verifier.parse(first["verifier_key"]).public_key
            for slot in hsm.iterdir():
                if slot.name != "signed" and _public(slot) == old:
                    slot.unlink()
            await put(b, info, 1)
            assert signers_of(await published(b, info)) == [key_id(second)]

    run(work())


def _public(slot: Path) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(slot.read_bytes()).public_key().public_bytes_raw()


def test_without_its_command_a_server_reads_and_signs_nothing_of_it(tmp_path: Path) -> None:
    """It starts, its logs match what was published, and a new head waits with words that say why."""

    async def work() -> None:
        async with bench(tmp_path / "data", command=command(tmp_path / "hsm")) as b:
            info = await log_of(b, "one")
            await put(b, info, 1)
            await published(b, info)
        async with bench(tmp_path / "data") as b:
            assert b.core.gate.check(info) is None
            await put(b, info, 1)
            with pytest.raises(Problem, match="--signer-command"):
                await published(b, info)

    run(work())


def test_a_line_that_is_no_command_is_refused_at_start(tmp_path: Path) -> None:
    """With a sentence that names the option, and the directory free again."""
    settings = Settings(tmp_path, root_key=ROOT_KEY, signer_command="'open")
    with pytest.raises(Exception, match="--signer-command"):
        Server(settings)
    Server(Settings(tmp_path, root_key=ROOT_KEY))._store.close()
