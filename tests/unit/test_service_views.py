"""Views through the use cases: which version answers, and what is said of them while they come and go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.harness.services import Bench, bench
from tests.harness.witnesses import until

from indelible.log.pending import Change
from indelible.model.errors import Problem
from indelible.service.types import Builtin, Caller, ComponentBytes, ViewInfo
from indelible.views import catalogue
from indelible.views.types import Deployment

REPORT = "compliance-report"
# A custom section of three bytes, which changes nothing but the digest.
ANOTHER = ComponentBytes(catalogue.builtin(REPORT).component + b"\x00\x03\x02v2")


@asynccontextmanager
async def views_bench(path: Path) -> AsyncIterator[Bench]:
    """The use cases with views that follow, as in a server."""
    async with bench(path) as b:
        b.server._residence.start()
        try:
            yield b
        finally:
            await b.server._residence.stop(1)
            b.server._host.close()


async def replace_version(b: Bench) -> None:
    """Deploy version 2, and wait until version 1 is gone from memory and store."""
    await b.services.views.deploy(b.root, "trail", REPORT, ANOTHER)
    async with asyncio.timeout(60):
        while b.services.views._swaps:
            await asyncio.gather(*b.services.views._swaps)
    assert (await b.services.views.get(b.root, "trail", REPORT)).version == 2


async def asked(b: Bench, caller: Caller, **params: str) -> str:
    """Which version answered."""
    answer = await b.services.views.query(caller, "trail", REPORT, params=list(params.items()))
    return answer.view.split()[0]


@pytest.mark.parametrize("wanted", [None, "1"])
def test_an_auditor_is_answered_by_the_version_that_is_active_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str | None
) -> None:
    """`_audit` is written before the view is asked; a swap in between must not be a view that is not found.

    Who asked for version 1 by its number is answered by it, though it is retired meanwhile.
    """

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            info = (await b.services.logs.create(b.root, "trail")).info
            await b.services.appends.append(b.root, "trail", b'{"type": "a"}')
            await b.services.views.deploy(b.root, "trail", REPORT, Builtin(REPORT, "{}"))
            auditor = await b.key(b.root, label="auditor", preset="auditor", logs=[str(info.log_id)])
            assert await asked(b, auditor) == f"{REPORT}@1"
            written = b.services.auditing.queried

            async def then_swap(*args: Any) -> None:
                await written(*args)
                await replace_version(b)

            monkeypatch.setattr(b.services.auditing, "queried", then_swap)
            if wanted is None:
                assert await asked(b, auditor) == f"{REPORT}@2"
            else:
                assert await asked(b, auditor, version=wanted) == f"{REPORT}@1"
            with pytest.raises(Problem, match="never had such a version"):
                await asked(b, auditor, version="3")
            monkeypatch.undo()
            assert await asked(b, auditor) == f"{REPORT}@2"

    asyncio.run(work())


# ---------------------------------------------------------------------- between a commit and the followers


def look_after_commits(b: Bench, monkeypatch: pytest.MonkeyPatch) -> list[list[ViewInfo]]:
    """What the list of views says after each commit, before who waits for the commit goes on."""
    seen: list[list[ViewInfo]] = []
    change = b.core.committer.change

    async def then_look(wanted: Change) -> object:
        result: object = await change(wanted)
        seen.append(await b.services.views.list(b.root, "trail"))
        return result

    monkeypatch.setattr(b.core.committer, "change", then_look)
    return seen


def test_a_list_tells_of_a_view_that_is_committed_and_not_followed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It replays: for the whole list to be not found, there would have to be no log."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await b.services.logs.create(b.root, "trail")
            await b.services.views.deploy(b.root, "trail", "other", Builtin(REPORT, "{}"))
            seen = look_after_commits(b, monkeypatch)
            await b.services.views.deploy(b.root, "trail", REPORT, Builtin(REPORT, "{}"))
            ((new, other),) = seen
            assert (new.name, new.state, new.applied, new.pending) == (REPORT, "replaying", 0, None)
            assert other.name == "other"

    asyncio.run(work())


def test_a_list_tells_of_a_new_version_that_is_not_followed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the version that answers."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await b.services.logs.create(b.root, "trail")
            await b.services.views.deploy(b.root, "trail", REPORT, Builtin(REPORT, "{}"))
            seen = look_after_commits(b, monkeypatch)
            await b.services.views.deploy(b.root, "trail", REPORT, ANOTHER)
            monkeypatch.undo()
            pending = seen[0][0].pending
            assert pending is not None
            assert (pending["version"], pending["state"], pending["applied"]) == (2, "replaying", 0)
            assert seen[0][0].version == 1

    asyncio.run(work())


def test_a_list_leaves_out_a_view_whose_end_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is followed for a moment more."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await b.services.logs.create(b.root, "trail")
            await b.services.views.deploy(b.root, "trail", REPORT, Builtin(REPORT, "{}"))
            seen = look_after_commits(b, monkeypatch)
            await b.services.views.delete(b.root, "trail", REPORT)
            assert seen == [[]]

    asyncio.run(work())


def test_a_deployment_answers_how_it_stands_before_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`replaying` with nothing folded, though the log is so short that it is live in the next moment."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await b.services.logs.create(b.root, "trail")
            await b.services.appends.append(b.root, "trail", b'{"type": "a"}')
            residence = b.server._residence
            add = residence.add

            def add_and_wait(view: Deployment) -> None:
                add(view)
                until(lambda: residence.status(view.view_id, view.version).state == "live")

            monkeypatch.setattr(residence, "add", add_and_wait)
            deployed, made = await b.services.views.deploy(b.root, "trail", REPORT, Builtin(REPORT, "{}"))
            assert (deployed.state, deployed.applied, made) == ("replaying", 0, True)
            assert (await b.services.views.get(b.root, "trail", REPORT)).state == "live"

    asyncio.run(work())
