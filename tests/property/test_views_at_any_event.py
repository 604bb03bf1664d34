"""Views as they stood: at any event they answer what they answered when the log ended there."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.residence import SMALL, Process, run, until

from indelible.model.errors import Problem

STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 25)),
    st.tuples(st.just("ask"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("past"), st.integers(0, 10**6)),
    st.tuples(st.just("together"), st.integers(0, 10**6)),
    st.tuples(st.just("break"), st.sampled_from(["trap", "slow", "big", "invalid"])),
    st.tuples(st.just("leave"), st.integers(0, 100)),
    st.tuples(st.just("restart"), st.sampled_from([0.0, 5.0])),
    st.tuples(st.just("damage"), st.integers(0, 100)),
    st.tuples(st.just("flaky"), st.sampled_from(["flaky", "slow"])),
)
CONFIGS = {"a": "", "b": "too large"}


async def _past(process: Process, upto: int) -> None:
    for name, config in CONFIGS.items():
        assert await process.ask_past(name, upto) == process.expected(config, upto)


async def _step(process: Process, kind: str, how: object, number: int) -> None:
    if kind == "append" and isinstance(how, int):
        process.append(*[f"{number}.{each}" for each in range(how)])
    elif kind == "ask":
        assert await process.ask(str(how)) == process.expected(CONFIGS[str(how)])
    elif isinstance(how, int) and kind in {"past", "together"}:
        await _ask(process, how, together=kind == "together")
    elif kind == "break":
        with pytest.raises(Problem):
            await process.ask_past("a", len(process.log.events), str(how))
    elif kind == "restart" and isinstance(how, float):
        await process.restart(grace=how)
    elif isinstance(how, int):
        _harm(process, how, damage=kind == "damage")
    else:
        process.hosting.flaky[f"{how}{number}"] = 1
        process.append("x", f"{how}{number}", "y")


async def _ask(process: Process, how: int, *, together: bool) -> None:
    size = len(process.log.events)
    if together:
        asked = [_past(process, (how + each * each) % (size + 1)) for each in range(5)]
        process.append("meanwhile")
        await asyncio.gather(*asked, process.ask_past("a", None))
    else:
        await _past(process, how % (size + 1))


def _harm(process: Process, how: int, *, damage: bool) -> None:
    keys = process.objects.list("views/a/")
    states = list(process.residence._past.everyone())
    if damage and keys:
        process.objects.put(keys[how % len(keys)], b"damaged")
    elif not damage and states:
        states[how % len(states)].leave()


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=20))
def test_a_view_stands_at_any_event_as_it_stood_then(steps: list[tuple[str, object]]) -> None:
    """The same bytes as a fresh replay that ends there, exactly there, beside a view that follows the log.

    With appends and questions in between, many moments at once, faults, damage, restarts and eviction. View
    b gives no snapshots, view a does.
    """

    async def story(process: Process) -> None:
        for name, config in CONFIGS.items():
            process.deploy(name, config)
        for number, (kind, how) in enumerate(steps):
            await _step(process, kind, how, number)
        for name, config in CONFIGS.items():
            assert await process.ask(name) == process.expected(config)
            assert await process.ask_past(name, None) == process.expected(config)

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), story)


def test_the_past_begins_at_the_nearest_snapshot(tmp_path: Path) -> None:
    """A question about an event replays what follows the newest snapshot before it, and keeps none itself."""
    limits = replace(SMALL, snapshot_every_events=10, fold_batch_events=10, snapshots_past=4)

    async def story(process: Process) -> None:
        process.deploy("a")
        for number in range(40):
            process.append(*[f"{number}.{each}" for each in range(10)])
            await process.ask("a")
            await process.residence.stop(5)  # which keeps a snapshot
            process.residence = process._make()
            process.residence.add(process.views[0])
            process.residence.start()
        keys = process.objects.list("views/a/")
        kept = sorted(int(key.rpartition("/")[2][:20]) for key in keys if key.endswith(".manifest"))
        assert len(kept) == 6
        await process.ask("a")  # now it is in memory, and what comes there next is of the past
        for upto in (kept[0], kept[2] + 3, kept[-1] - 1, 400):
            opened, reopened = process.hosting.opened, process.hosting.reopened
            reads = process.log.reads
            assert await process.ask_past("a", upto) == process.expected("", upto)
            assert (process.hosting.opened, process.hosting.reopened) == (opened, reopened + 1)
            start = max(each for each in kept if each <= upto)
            assert process.log.reads - reads <= 1 + (upto - start) // 80
        assert process.objects.list("views/a/") == keys

    run(tmp_path, story, limits)


@pytest.mark.parametrize("config", ["", "too large"])
def test_a_view_that_failed_answers_for_what_was_before(tmp_path: Path, config: str) -> None:
    """Up to the event before the one that it failed at, and no further. Also after a restart."""

    async def story(process: Process) -> None:
        process.append(*[f"e{each}" for each in range(12)], "error", *"more")
        process.deploy("a", config)
        await process.residence.caught_up("a", 1)
        for _ in range(2):
            for upto in (0, 5, 12):
                assert await process.ask_past("a", upto) == process.expected(config, upto)
            for upto in (13, 14, 17):
                with pytest.raises(Problem) as caught:
                    await process.ask_past("a", upto)
                assert (caught.value.code.name, caught.value.facts["sequence"]) == ("view_failed", 13)
            await process.restart()

    run(tmp_path, story)


def test_a_replay_goes_on_when_its_question_has_gone(tmp_path: Path) -> None:
    """503 `replaying`, with how far it goes; whoever asks again finds it done, not begun anew."""

    async def story(process: Process) -> None:
        process.append(*[f"e{each}" for each in range(20_000)])
        process.deploy("b", "too large")
        with pytest.raises(Problem) as caught:
            await process.ask_past("b", 19_000, seconds=0)
        assert (caught.value.code.name, caught.value.facts["head"]) == ("replaying", 19_000)
        assert "stale" not in caught.value.detail
        (state,) = process.residence._past.everyone()
        await until(lambda: state.applied == 19_000)
        opened = process.hosting.opened
        assert (await process.ask_past("b", 19_000))[1] == 19_000
        assert process.hosting.opened == opened

    run(tmp_path, story)


def test_states_of_the_past_are_few_and_one_workspace_has_its_share(tmp_path: Path) -> None:
    """What was asked longest ago goes; while all of a workspace's are waited for, only it is refused more."""
    limits = replace(SMALL, past_views=3, past_views_per_workspace=2)

    async def story(process: Process) -> None:
        process.append(*[f"e{each}" for each in range(30)])
        process.deploy("a")
        for upto in range(30):
            assert await process.ask_past("a", upto) == process.expected("", upto)
            assert len(process.residence._past._followers) <= 2
        waiting = [asyncio.create_task(process.ask_past("a", 31 + more)) for more in range(2)]
        await until(lambda: sum(each.is_asked for each in process.residence._past.everyone()) == 2)
        with pytest.raises(Problem) as caught:
            await process.ask_past("a", 5)
        assert (caught.value.code.name, caught.value.facts["limit"]) == ("saturated", 2)
        process.views.append(process.views[0]._replace(view_id="other", name="other", workspace=2))
        assert await process.ask_past("other", 5) == process.expected("", 5)
        assert await process.ask_past("other", 6) == process.expected("", 6)
        process.append("31", "32")
        assert [(await each)[1] for each in waiting] == [31, 32]
        assert await process.ask_past("a", 5) == process.expected("", 5)

    run(tmp_path, story, limits)


def test_what_nobody_asks_any_more_leaves_memory(tmp_path: Path) -> None:
    """A state of the past after its time; the view itself stays."""
    limits = replace(SMALL, past_idle_seconds=0)

    async def story(process: Process) -> None:
        process.append("a", "b", "c")
        process.deploy("a")
        await process.ask("a")
        await process.ask_past("a", 2)
        await until(lambda: not process.residence._past.everyone())
        assert process.hosting.open_views == 1
        assert f"views/a/1/{2:020d}.manifest" not in process.objects.list("views/a/"), "it keeps none"
        assert await process.ask_past("a", 2) == process.expected("", 2)

    run(tmp_path, story, limits)


def test_a_retired_version_keeps_a_last_snapshot_and_a_deleted_view_nothing(tmp_path: Path) -> None:
    """Whichever of its followers ends last, one that was just retired included."""

    async def story(process: Process) -> None:
        process.append(*[f"e{each}" for each in range(7)])
        process.deploy("a")
        await process.ask("a")
        process.residence.remove("a", 1, forget_snapshots=False)
        await until(lambda: process.hosting.open_views == 0)
        assert [key for key in process.objects.list("views/a/") if key.endswith(".manifest")] == [
            f"views/a/1/{7:020d}.manifest"
        ]
        opened = process.hosting.opened
        assert await process.ask_past("a", 7) == process.expected()
        assert process.hosting.opened == opened, "restored, not replayed"
        for version in (2, 3):
            process.residence.add(process.views[0]._replace(version=version))
            await process.residence.caught_up("a", version)
        process.residence.remove("a", 2, forget_snapshots=False)
        process.residence.forget("a")
        await until(lambda: process.hosting.open_views == 0)
        await until(lambda: process.objects.list("views/a/") == [])

    run(tmp_path, story)
