"""Versions through the use cases: who may roll back, and what holds while versions change."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.harness.services import Bench
from tests.unit.test_service_views import REPORT, asked, replace_version, views_bench

from indelible.log.pending import Change
from indelible.model.errors import Problem
from indelible.service.types import Builtin, Caller, ComponentBytes
from indelible.store.base import Transaction
from indelible.views import catalogue, refusals

THIRD = ComponentBytes(catalogue.builtin(REPORT).component + b"\x00\x03\x02v3")


async def two_versions(b: Bench) -> None:
    """A log with an event, and a view whose second version answers."""
    await b.services.logs.create(b.root, "trail")
    await b.services.appends.append(b.root, "trail", b'{"type": "a"}')
    await b.services.views.deploy(b.root, "trail", REPORT, Builtin(REPORT, "{}"))
    await replace_version(b)


async def roll_back(b: Bench, version: int | None = None, caller: Caller | None = None) -> int:
    """Which version answers then."""
    return (await b.services.views.rollback(caller or b.root, "trail", REPORT, version)).version


def followed(b: Bench) -> list[int]:
    """The versions that are followed."""
    return sorted(version for _, version in b.server._residence.versions())


async def settled(b: Bench) -> None:
    """Nothing is under way any more."""
    while b.services.views._swaps or b.services.views._tidying:
        await asyncio.gather(*b.services.views._swaps, *b.services.views._tidying)


def after_the_next_change(
    b: Bench, monkeypatch: pytest.MonkeyPatch, then: Callable[[], Awaitable[Any]]
) -> None:
    """Do something after the next commit, before who waits for it goes on."""
    change, left = b.core.committer.change, [then]

    async def and_then(wanted: Change) -> object:
        result: object = await change(wanted)
        if left:
            await left.pop()()
        return result

    monkeypatch.setattr(b.core.committer, "change", and_then)


def test_a_rollback_overtakes_a_swap_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version that was catching up is retired, and its swap changes nothing when it has caught up."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await two_versions(b)
            gate = asyncio.Event()
            caught_up = b.server._residence.caught_up

            async def later(view_id: str, version: int) -> Any:
                found = await caught_up(view_id, version)
                await gate.wait()
                return found

            monkeypatch.setattr(b.server._residence, "caught_up", later)
            await b.services.views.deploy(b.root, "trail", REPORT, THIRD)
            assert (followed(b), await asked(b, b.root)) == ([2, 3], f"{REPORT}@2")
            assert await roll_back(b) == 1
            gate.set()
            await settled(b)
            info = await b.services.views.get(b.root, "trail", REPORT)
            assert (info.version, info.pending, followed(b)) == (1, None, [1])
            assert await asked(b, b.root) == f"{REPORT}@1"
            history = await b.services.views.history(b.root, "trail", REPORT, before=None, limit=100)
            assert [(each.version, each.state) for each in history.versions] == [
                (3, "retired"),
                (2, "retired"),
                (1, "active"),
            ]
            events = [event["type"] for event in await b.audit(b.root) if event["type"].startswith("view.")]
            assert events == [
                "view.deployed",
                "view.deployed",
                "view.activated",
                "view.deployed",
                "view.rolled_back",
            ]

    asyncio.run(work())


def test_a_rollback_to_what_is_catching_up_takes_it_into_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once; the swap that waited for it finds nothing left to do."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await two_versions(b)
            gate = asyncio.Event()

            async def later(*_: object) -> Any:
                await gate.wait()
                raise refusals.stopping()

            monkeypatch.setattr(b.server._residence, "caught_up", later)
            await b.services.views.deploy(b.root, "trail", REPORT, THIRD)
            assert await roll_back(b, 3) == 3
            assert (await asked(b, b.root), followed(b)) == (f"{REPORT}@3", [3])
            gate.set()
            await settled(b)
            assert await roll_back(b) == 2

    asyncio.run(work())


def test_changes_that_end_out_of_order_leave_what_was_committed_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback is committed before another one goes on after its own commit: the later one holds."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await two_versions(b)
            after_the_next_change(b, monkeypatch, lambda: roll_back(b, 2))
            await roll_back(b, 1)
            assert (followed(b), await asked(b, b.root)) == ([2], f"{REPORT}@2")
            await settled(b)
            await b.services.views.follow_others()
            assert (followed(b), await asked(b, b.root)) == ([2], f"{REPORT}@2")

    asyncio.run(work())


def test_what_is_changed_while_others_are_followed_is_not_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at what others deployed that was taken before a rollback here does not count after it."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await two_versions(b)
            views = b.services.views
            before, looks = views._deployed(), 0

            def look() -> Any:
                nonlocal looks
                looks += 1
                if looks > 1:
                    return type(views)._deployed(views)
                asyncio.run_coroutine_threadsafe(roll_back(b, 1), loop).result(30)
                return before

            loop = asyncio.get_running_loop()
            monkeypatch.setattr(views, "_deployed", look)
            await views.follow_others()
            assert (looks, followed(b)) == (2, [1])

    asyncio.run(work())


def test_no_question_finds_a_version_that_is_not_followed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the commit of a rollback and its followers the version that is active then answers."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await two_versions(b)
            answers: list[str] = []

            async def ask() -> None:
                answers.append(await asked(b, b.root))

            after_the_next_change(b, monkeypatch, ask)
            await roll_back(b, 1)
            assert answers == [f"{REPORT}@1"]

    asyncio.run(work())


def test_a_question_whose_version_goes_away_is_put_to_the_one_that_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And to none where the view was deleted: then it is not found."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await two_versions(b)
            query, left = b.server._residence.query, ["rollback", "delete"]

            async def gone(*args: Any, **named: Any) -> Any:
                if not left:
                    return await query(*args, **named)
                if left.pop(0) == "rollback":
                    await roll_back(b, 1)
                else:
                    await b.services.views.delete(b.root, "trail", REPORT)
                raise refusals.Gone("replaying", "it was replaced")

            monkeypatch.setattr(b.server._residence, "query", gone)
            with pytest.raises(Problem) as caught:
                await asked(b, b.root)
            assert (caught.value.code.name, left) == ("not_found", [])

    asyncio.run(work())


def test_versions_are_their_workspaces_own(tmp_path: Path) -> None:
    """Others' are not found; looking takes a key that may look, rolling back one that may deploy."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await two_versions(b)
            stranger = await b.workspace("other")
            views_only = await b.key(b.root, label="k", scopes=["query", "deploy"], views=["another"])
            looking = await b.key(b.root, label="k", scopes=["query"])
            deploying = await b.key(b.root, label="k", scopes=["deploy"])
            history = b.services.views.history
            for caller in (stranger, views_only):
                for wanted in (
                    history(caller, "trail", REPORT, before=None, limit=1),
                    b.services.views.rollback(caller, "trail", REPORT, 1),
                    b.services.views.query(caller, "trail", REPORT, params=[("at", "1")]),
                ):
                    with pytest.raises(Problem) as caught:
                        await wanted
                    assert caught.value.code.name == "not_found"
            with pytest.raises(Problem) as caught:
                await roll_back(b, 1, looking)
            assert caught.value.code.name == "forbidden"
            assert (await history(looking, "trail", REPORT, before=2, limit=9)).versions[0].version == 1
            assert await roll_back(b, 1, deploying) == 1
            (said,) = [event for event in await b.audit(b.root) if event["type"] == "view.rolled_back"]
            assert (said["from"], said["to"], said["resource"]["name"]) == (2, 1, REPORT)

    asyncio.run(work())


def test_a_page_of_versions_is_bounded(tmp_path: Path) -> None:
    """By number and by the bytes of configurations; `next` leads through all of them, each once."""

    async def work() -> None:
        async with views_bench(tmp_path) as b:
            await b.services.logs.create(b.root, "trail")
            b.services.views._core = b.core._replace(limits=b.core.limits.__class__(versions_page_bytes=40))
            await b.services.views.deploy(b.root, "trail", REPORT, Builtin(REPORT, "{}"))
            for number in range(2, 6):
                await copy_version(b, number, "{}" if number % 2 else '{"made": "of twenty or so"}')
            seen: list[int] = []
            before: int | None = None
            while True:
                page = await b.services.views.history(b.root, "trail", REPORT, before=before, limit=3)
                assert 1 <= len(page.versions) <= 3
                assert sum(len(each.config) for each in page.versions) <= 40
                seen += [each.version for each in page.versions]
                if page.next is None:
                    break
                before = page.next
            assert seen == [5, 4, 3, 2, 1]

    asyncio.run(work())


async def copy_version(b: Bench, version: int, config: str) -> None:
    """A retired version as the store has it, which no component needs to be there for."""
    info = b.core.reader.log_by_name(b.root.workspace, "trail")
    assert info is not None
    (row,) = b.core.reader.views(info.key)
    copy = row._replace(version=version, config=config, state="retired")

    def add(transaction: Transaction, _now: int) -> tuple[None, tuple[()]]:
        transaction.add_view(copy)
        return None, ()

    await b.core.committer.change(Change(add))
