"""Two processes that publish one log: what stands in the object store is never set back."""

import asyncio
from pathlib import Path

import pytest
from tests.harness.logs import World

from indelible.log.publish import checkpoint_key
from indelible.model.errors import Problem
from indelible.notes.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint


def test_a_publisher_that_is_behind_sets_nothing_back(tmp_path: Path) -> None:
    """A larger head that another stored since it did stays there, and this log is refused."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        await world.publisher.at_least(log, 1)
        signer = world.signers.signer(log.origin)
        theirs = sign_checkpoint(Checkpoint(log.origin, 9, bytes(32)), signer)
        world.objects.put(checkpoint_key(log), theirs)
        await world.put(log, b"2")
        with pytest.raises(Problem) as caught:
            await world.publisher.at_least(log, 2)
        assert caught.value.code.name == "log_behind_published_head"
        assert world.objects.get(checkpoint_key(log)) == theirs
        await world.stop()

    asyncio.run(work())


def test_a_publisher_that_is_ahead_goes_on_after_the_others(tmp_path: Path) -> None:
    """A smaller head of the same log was stored meanwhile: the larger one takes its place."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        first = await world.publisher.at_least(log, 1)
        await world.put(log, b"2")
        await world.publisher.at_least(log, 2)
        world.objects.put(checkpoint_key(log), first.note)
        await world.put(log, b"3")
        third = await world.publisher.at_least(log, 3)
        stored = world.objects.get(checkpoint_key(log))
        assert stored == third.note
        signer = world.signers.signer(log.origin)
        assert open_checkpoint(stored, signer.verifier)[0].size == 3
        await world.stop()

    asyncio.run(work())
