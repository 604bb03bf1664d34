"""Views in memory and out of it, whatever happens to them: they answer as a fresh replay does."""

import asyncio
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness.residence import SMALL, Process, run, until

from indelible.model.errors import Problem
from indelible.views.types import Follow

STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 15)),
    st.tuples(st.just("ask"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("stale"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("break"), st.sampled_from(["trap", "slow", "big", "invalid"])),
    st.tuples(st.just("leave"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("restart"), st.sampled_from([0.0, 5.0])),
    st.tuples(st.just("damage"), st.integers(0, 100)),
    st.tuples(st.just("flaky"), st.sampled_from(["flaky", "slow"])),
)


async def _step(process: Process, kind: str, how: object, number: int) -> None:
    if kind == "append" and isinstance(how, int):
        process.append(*[f"{number}.{each}" for each in range(how)])
    elif kind == "ask":
        config = "too large" if how == "b" else ""
        assert await process.ask(str(how)) == process.expected(config)
    elif kind == "stale":
        body, applied = await process.ask(str(how), at_least=0)
        assert (body, applied) == process.expected("too large" if how == "b" else "", applied)
    elif kind == "break":
        assert (await process.refusal("a", str(how))).code.status >= 422
    elif kind == "leave":
        process.residence._followers[(str(how), 1)].leave()
    elif kind == "restart" and isinstance(how, float):
        await process.restart(grace=how)
    elif kind == "damage" and isinstance(how, int):
        keys = process.objects.list("views/a/")
        if keys:
            process.objects.put(keys[how % len(keys)], b"damaged")
    elif kind == "flaky":
        payload = f"{how}{number}"
        # Twice in a row would be a failure that repeats, where another event made its batch fail before.
        process.hosting.flaky[payload] = 1 + number % 2 if how == "slow" else 1
        process.append("x", payload, "y")


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_a_view_is_a_fresh_replay_whatever_happened(steps: list[tuple[str, object]]) -> None:
    """The same bytes as a fresh replay gives.

    Appends, questions, questions that break it, evictions, restarts, damaged snapshots, faults that pass.
    View b gives no snapshots, view a does.
    """

    async def story(process: Process) -> None:
        process.deploy("a")
        process.deploy("b", "too large")
        for number, (kind, how) in enumerate(steps):
            await _step(process, kind, how, number)
        assert await process.ask("a") == process.expected()
        assert await process.ask("b") == process.expected("too large")

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), story)


@pytest.mark.parametrize("kind", ["error", "trap"])
@pytest.mark.parametrize("place", [1, 2, 4, 5, 13, 23])
def test_a_view_fails_at_the_one_event_that_fails_again(tmp_path: Path, kind: str, place: int) -> None:
    """With its sequence and reason, for ever, also after a restart; events before it and the log live on."""

    async def story(process: Process) -> Follow:
        process.append(*[kind if at == place else f"e{at}" for at in range(1, 31)])
        process.deploy("a")
        process.deploy("b", "too large")
        for name in ("a", "b"):
            follow = await process.residence.caught_up(name, 1)
            assert follow.state == "failed"
            assert follow.error is not None
            assert (follow.error.sequence, follow.applied, follow.resident) == (place, place - 1, False)
        problem = await process.refusal("a")
        assert (problem.code.name, problem.facts["sequence"]) == ("view_failed", place)
        opened = process.hosting.opened
        await process.restart()
        await until(lambda: process.residence.status("a", 1).state == "failed")
        assert process.hosting.opened == opened, "a failure is remembered, not found again"
        return process.residence.status("a", 1)

    follow = run(tmp_path, story)
    assert follow.error is not None
    assert (follow.error.sequence, follow.applied) == (place, place - 1)
    assert follow.error.reason.endswith(
        ": cannot read this" if kind == "error" else ": wasm trap: unreachable"
    )


def test_finding_the_event_takes_two_fresh_instances(tmp_path: Path) -> None:
    """Also for a view without snapshots whose batches ended elsewhere before it failed."""

    async def story(process: Process) -> None:
        process.deploy("b", "too large")
        for number in range(7):
            process.append(str(number))
            await process.ask("b")
        process.append("8", "error")
        follow = await process.residence.caught_up("b", 1)
        assert follow.error is not None
        assert (follow.error.sequence, process.hosting.opened) == (9, 3)

    run(tmp_path, story)


def test_a_view_that_cannot_start_failed_before_the_first_event(tmp_path: Path) -> None:
    """Sequence 0, and the guest's own words."""

    async def story(process: Process) -> None:
        process.deploy("a", "no start")
        follow = await process.residence.caught_up("a", 1)
        assert follow.error is not None
        assert (follow.state, follow.error.sequence, follow.error.reason) == ("failed", 0, "bad config")

    run(tmp_path, story)


@pytest.mark.parametrize("times", [1, 2])
def test_a_failure_that_does_not_repeat_fails_no_view(tmp_path: Path, times: int) -> None:
    """It fails in its batch, or there and once more alone, and then never again: the view goes on."""

    async def story(process: Process) -> None:
        process.hosting.flaky |= {"flaky": times, "slow": 1}
        process.append("a", "b", "flaky", "c", "slow", "d")
        process.deploy("a")
        assert (await process.residence.caught_up("a", 1)).state == "live"
        assert await process.ask("a") == process.expected()

    run(tmp_path, story)


@pytest.mark.parametrize("place", [1, 4, 5, 6, 8, 9, 12])
@pytest.mark.parametrize("config", ["", "too large"])
def test_what_was_examined_is_folded_once(tmp_path: Path, place: int, config: str) -> None:
    """Though the batch that failed was read ahead again, with those before it, by the fresh instance."""

    async def story(process: Process) -> None:
        process.hosting.flaky["flaky"] = 1
        process.append(*("flaky" if number == place else str(number) for number in range(1, 21)))
        process.deploy("a", config)
        assert await process.ask("a") == process.expected(config)
        assert process.hosting.opened == 2

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ("invalid", "query_refused"),
        ("failed", "query_failed"),
        ("trap", "query_failed"),
        ("slow", "query_timeout"),
        ("big", "answer_too_large"),
    ],
)
def test_a_question_that_goes_wrong_is_refused_and_the_view_lives(
    tmp_path: Path, wish: str, code: str
) -> None:
    """Only that question fails; those beside it and after it are answered."""

    async def story(process: Process) -> None:
        process.append(*"abcdefghijklm")
        process.deploy("a")
        good, bad, after = await asyncio.gather(
            process.ask("a"), process.refusal("a", wish), process.ask("a")
        )
        assert good == after == process.expected()
        assert bad.code.name == code
        await until(lambda: process.residence.status("a", 1).state == "live")
        assert process.residence.status("a", 1).error is None

    run(tmp_path, story)


def test_a_restart_begins_at_the_snapshot(tmp_path: Path) -> None:
    """What was kept at the stop is not folded again, and status knows it before anybody asks."""

    async def story(process: Process) -> None:
        process.append(*[str(at) for at in range(100)])
        process.deploy("a")
        await process.ask("a")
        await process.restart()
        await until(lambda: process.residence.status("a", 1).applied == 100)
        assert process.residence.status("a", 1).state == "live"
        process.log.reads = 0
        assert await process.ask("a") == process.expected()
        assert (process.hosting.opened, process.log.reads) == (1, 0)

    run(tmp_path, story)


def _is_kept(process: Process, sequence: int) -> bool:
    return process.residence.status("a", 1).snapshot == sequence


def test_a_broken_snapshot_falls_back_to_the_one_before_and_then_to_a_replay(tmp_path: Path) -> None:
    """A damaged part, then a log with another history: dropped, deleted, replayed."""

    async def story(process: Process) -> None:
        process.deploy("a")
        for size in (20, 40):
            process.append(*[str(at) for at in range(20)])
            await process.ask("a")
            await process.restart()
            await until(partial(_is_kept, process, size))
        await process.residence.stop(5.0)
        newest = [key for key in process.objects.list("views/a/1/") if key.endswith(".part")][-1]
        process.objects.put(newest, b"damaged")
        await process.restart()
        process.log.reads = 0
        assert await process.ask("a") == process.expected()
        assert process.hosting.opened == 1, "the older snapshot served"
        await process.residence.stop(5.0)
        process.log.events[3] = b"another history"
        await process.restart()
        assert await process.ask("a") == process.expected()
        assert process.hosting.opened == 2

    run(tmp_path, story)


def test_views_stay_under_the_memory_limit_and_all_are_answered(tmp_path: Path) -> None:
    """Ten views of 150 bytes in 400: they come and go, kept in between.

    Together they are over by no more than what four threads add in one step each: an instance and a batch.
    """

    async def story(process: Process) -> None:
        process.append(*[str(at) for at in range(50)])
        names = [f"v{number}" for number in range(10)]
        for name in names:
            process.deploy(name)
        for _ in range(3):
            answers = await asyncio.gather(*[process.ask(name) for name in names])
            assert answers == [process.expected()] * len(names)
            assert process.residence._room.held_bytes <= 400 + 4 * 104
        await until(lambda: process.residence._room.held_bytes <= 400)
        assert process.hosting.opened == len(names), "each was replayed once, then restored"

    run(tmp_path, story, replace(SMALL, resident_views_bytes=400))


def test_a_view_that_cannot_fit_says_so(tmp_path: Path) -> None:
    """It grew over what all views together may take: a clear refusal, not a loop."""

    async def story(process: Process) -> None:
        process.deploy("a")
        process.append(*[str(at) for at in range(80)])
        await until(lambda: not process.residence.status("a", 1).resident)
        problem = await process.refusal("a")
        assert problem.code.name == "saturated"
        assert "resident_views_bytes" in problem.detail
        assert process.hosting.opened + process.hosting.reopened < 10

    run(tmp_path, story, replace(SMALL, resident_views_bytes=150))


def test_an_idle_view_leaves_and_comes_back(tmp_path: Path) -> None:
    """After a snapshot, and with nothing folded twice."""

    async def story(process: Process) -> None:
        process.append(*"abc")
        process.deploy("a")
        await process.ask("a")
        await until(lambda: not process.residence.status("a", 1).resident)
        follow = process.residence.status("a", 1)
        assert (follow.state, follow.applied, follow.snapshot) == ("live", 3, 3)
        process.append("d")
        assert await process.ask("a") == process.expected()
        assert (process.hosting.opened, process.hosting.reopened) == (1, 1)

    run(tmp_path, story, replace(SMALL, view_idle_seconds=0))


def test_a_resident_view_follows_commits_by_itself(tmp_path: Path) -> None:
    """Nobody needs to ask for it to stay at the head."""

    async def story(process: Process) -> None:
        process.deploy("a")
        await process.ask("a")
        process.append(*[str(at) for at in range(33)])
        await until(lambda: process.residence.status("a", 1).applied == 33)
        assert await process.ask("a", at_least=0) == process.expected()

    run(tmp_path, story)


def test_a_question_waits_for_an_event_and_no_longer_than_it_may(tmp_path: Path) -> None:
    """One that comes in time is covered; one that does not is `replaying`, with how far it is."""

    async def story(process: Process) -> None:
        process.append("a")
        process.deploy("a")
        waiting = asyncio.create_task(process.ask("a", at_least=2))
        await asyncio.sleep(0.05)
        process.append("b")
        assert await waiting == process.expected()
        with pytest.raises(Problem) as caught:
            await process.ask("a", at_least=3)
        problem = caught.value
        assert problem.code.name == "replaying"
        assert (problem.facts["applied"], problem.facts["head"]) == (2, 3)
        assert isinstance(problem.facts["retry_after"], int)

    run(tmp_path, story, replace(SMALL, query_wait_seconds=0.5))


def test_too_many_questions_are_refused(tmp_path: Path) -> None:
    """What waits for one view is bounded."""

    async def story(process: Process) -> None:
        process.deploy("a")
        waiting = [asyncio.create_task(process.ask("a", at_least=1)) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Problem) as caught:
            await process.ask("a", at_least=1)
        assert caught.value.code.name == "saturated"
        process.append("x")
        assert await asyncio.gather(*waiting) == [process.expected()] * 3

    run(tmp_path, story, replace(SMALL, questions_per_view=3))


def test_a_cancelled_question_leaves_nothing_behind(tmp_path: Path) -> None:
    """The view answers the next one."""

    async def story(process: Process) -> None:
        process.deploy("a")
        gone = asyncio.create_task(process.ask("a", at_least=1))
        await asyncio.sleep(0.02)
        gone.cancel()
        process.append("x")
        assert await process.ask("a") == process.expected()
        assert not process.residence._followers["a", 1].is_asked

    run(tmp_path, story)


def test_a_removed_view_is_gone_with_its_snapshots(tmp_path: Path) -> None:
    """Those who wait are told to ask again; what is stored goes only when that is asked."""

    async def story(process: Process) -> None:
        process.append(*[str(at) for at in range(20)])
        for name in ("a", "b"):
            process.deploy(name)
            await process.ask(name)
        await process.restart()
        await until(lambda: process.residence.status("b", 1).applied == 20)
        waiting = asyncio.create_task(process.refusal("a"))
        waiting_long = asyncio.create_task(process.ask("a", at_least=21))
        await asyncio.sleep(0.02)
        process.residence.remove("a", 1, forget_snapshots=True)
        process.residence.remove("b", 1, forget_snapshots=False)
        process.residence.remove("c", 1, forget_snapshots=True)
        waiting.cancel()
        with pytest.raises(Problem, match="replaced or deleted"):
            await waiting_long
        assert (await process.refusal("a")).code.name == "not_found"
        await until(lambda: process.objects.list("views/a/") == [])
        assert process.objects.list("views/b/") != []
        await until(lambda: process.hosting.open_views == 0)

    run(tmp_path, story)


def test_stopping_refuses_what_waits(tmp_path: Path) -> None:
    """Nobody is left hanging."""

    async def story(process: Process) -> None:
        process.deploy("a")
        waiting = asyncio.create_task(process.refusal("a"))
        head = asyncio.create_task(process.ask("a", at_least=1))
        await waiting if waiting.done() else None
        await asyncio.sleep(0.02)
        await process.residence.stop(5.0)
        with pytest.raises(Problem, match="stopping"):
            await head
        assert (await process.refusal("a")).code.name == "stopping"
        waiting.cancel()

    run(tmp_path, story)
