"""The clock: steps back are clamped, jumps ahead are not believed until they have been steady."""

import asyncio
from pathlib import Path

import pytest
from tests.harness.logs import START, Hands, World, check_log

from indelible.log.timekeeper import Timekeeper
from indelible.model.errors import Problem
from indelible.model.limits import Limits

LIMITS = Limits()
DAY = 24 * 3_600


def keeper() -> tuple[Timekeeper, Hands, list[int]]:
    """A timekeeper, its clock's hands, and the jumps that it accepted."""
    hands, jumps = Hands(), list[int]()
    return Timekeeper(hands.clock(), LIMITS, jumps.append), hands, jumps


def unsure(timekeeper: Timekeeper) -> Problem:
    """The problem that it tells instead of the time."""
    with pytest.raises(Problem) as caught:
        timekeeper.now()
    assert caught.value.code.name == "clock_unsure"
    assert isinstance(caught.value.facts["retry_after"], int)
    return caught.value


@pytest.mark.parametrize("seconds", [0.0, 4.9, 5.0, -1.0, -10 * DAY])
def test_small_steps_ahead_and_any_step_back_are_taken(seconds: float) -> None:
    """Up to five seconds ahead, and back however far: the time is told."""
    timekeeper, hands, jumps = keeper()
    hands.pass_by(60)
    hands.wall += int(seconds * 1e6)
    assert timekeeper.now() == hands.wall
    assert jumps == []


def test_a_pause_is_no_jump() -> None:
    """Hours of sleep, or of suspend, pass on both clocks."""
    timekeeper, hands, _ = keeper()
    hands.pass_by(30 * DAY)
    assert timekeeper.now() == hands.wall


def test_a_jump_ahead_is_believed_after_ten_steady_seconds_and_told() -> None:
    """Refused at first, with how long it still takes; then taken, once, and reported with its size."""
    timekeeper, hands, jumps = keeper()
    hands.wall += 3_600_000_000
    assert unsure(timekeeper).facts["retry_after"] == 10
    hands.pass_by(9.9)
    unsure(timekeeper)
    hands.pass_by(0.1)
    assert timekeeper.now() == hands.wall
    assert jumps == [3_600_000_000]
    hands.pass_by(1)
    assert timekeeper.now() == hands.wall
    assert len(jumps) == 1


def test_a_clock_that_goes_on_jumping_is_not_steady() -> None:
    """Each further jump begins the ten seconds again."""
    timekeeper, hands, jumps = keeper()
    hands.wall += 10_000_000
    unsure(timekeeper)
    for _ in range(5):
        hands.pass_by(8)
        hands.wall += 6_000_000
        unsure(timekeeper)
    hands.pass_by(10)
    assert timekeeper.now() == hands.wall
    assert len(jumps) == 1


def test_a_jump_that_is_taken_back_is_forgotten() -> None:
    """An operator who sets the clock right need not wait; a new jump is watched from its own beginning."""
    timekeeper, hands, jumps = keeper()
    hands.wall += 60_000_000
    unsure(timekeeper)
    hands.pass_by(5)
    hands.wall -= 60_000_000
    assert timekeeper.now() == hands.wall
    hands.wall += 60_000_000
    unsure(timekeeper)
    hands.pass_by(6)
    unsure(timekeeper)
    assert jumps == []


@pytest.mark.parametrize("back", [6, 3_600, 40 * DAY])
def test_the_way_back_from_a_step_back_is_no_jump(back: int) -> None:
    """A time that was trusted before is trusted again, however far; past it, a jump is a jump."""
    timekeeper, hands, jumps = keeper()
    hands.wall -= back * 1_000_000
    assert timekeeper.now() == hands.wall
    hands.pass_by(3_600)
    assert timekeeper.now() == hands.wall
    hands.wall += back * 1_000_000
    assert timekeeper.now() == hands.wall
    hands.wall += 6_000_000
    assert unsure(timekeeper).facts["ahead_seconds"] == 6
    assert jumps == []


def test_past_a_day_only_an_operators_word_lets_it_go_on() -> None:
    """However steady: a time from the future would stay in the log for ever."""
    timekeeper, hands, jumps = keeper()
    hands.wall += (DAY + 1) * 1_000_000
    for _ in range(5):
        unsure(timekeeper)
        hands.pass_by(600)
    assert jumps == []


# ---------------------------------------------------------------------- the clock of a start


def started(days: float, *, accept: bool = False, last: int = START) -> tuple[Timekeeper, Hands, list[int]]:
    """A timekeeper of a start so many days after the deployment was last alive."""
    hands, jumps = Hands(START + int(days * DAY * 1_000_000), boot=77_000_000), list[int]()
    keeps = Timekeeper(hands.clock(), LIMITS, jumps.append, last_alive=last, accept_start=accept)
    return keeps, hands, jumps


@pytest.mark.parametrize("days", [-400, -0.1, 0, 0.5, 1])
def test_a_start_within_a_day_of_the_last_time_alive_is_believed(days: float) -> None:
    """And so is one under a clock that stands before it: staging holds times back."""
    timekeeper, hands, jumps = started(days)
    assert timekeeper.now() == hands.wall
    assert jumps == []


def test_a_fresh_store_believes_its_first_clock() -> None:
    """There is nothing to compare it with."""
    timekeeper, hands, _ = started(20_000, last=0)
    assert timekeeper.now() == hands.wall


def test_a_start_long_after_the_last_time_alive_needs_an_operators_word() -> None:
    """However long it runs so. The words name both times and what to do."""
    timekeeper, hands, jumps = started(365)
    for _ in range(3):
        problem = unsure(timekeeper)
        hands.pass_by(3_600)
    for words in (
        "2024-11-14T00:13:20",
        "2023-11-14T22:13:20",
        "365.1 days",
        "--accept-clock",
        "set it right",
    ):
        assert words in problem.detail
    assert jumps == []


def test_the_word_is_good_for_the_clock_of_that_start_alone() -> None:
    """It is told as a jump of its size, once; a later jump past a day is refused as ever."""
    timekeeper, hands, jumps = started(365, accept=True)
    assert timekeeper.now() == hands.wall
    hands.pass_by(60)
    assert timekeeper.now() == hands.wall
    assert jumps == [365 * DAY * 1_000_000]
    hands.wall += 2 * DAY * 1_000_000
    assert "--accept-clock" in unsure(timekeeper).detail


def test_the_word_is_not_needed_and_tells_no_jump_where_the_clock_is_near() -> None:
    """An operator who leaves the option in place makes no noise by it."""
    timekeeper, hands, jumps = started(0.9, accept=True)
    assert timekeeper.now() == hands.wall
    assert jumps == []


def test_a_clock_that_is_set_right_after_the_start_is_believed_at_once() -> None:
    """No restart is needed, and from then on it is watched as ever."""
    timekeeper, hands, jumps = started(365)
    unsure(timekeeper)
    hands.pass_by(60)
    hands.wall -= 364 * DAY * 1_000_000 + 120_000_000
    assert timekeeper.now() == hands.wall
    hands.wall += 6_000_000
    assert unsure(timekeeper).facts["retry_after"] == 10
    assert jumps == []


def test_a_start_under_a_clock_that_was_behind_may_be_set_right() -> None:
    """As a machine without a battery does: the way to a time that was trusted before is no jump."""
    timekeeper, hands, jumps = started(-400)
    timekeeper.now()
    hands.pass_by(30)
    hands.wall = START
    assert timekeeper.now() == START
    assert jumps == []


# ---------------------------------------------------------------------- in a log


def test_times_of_a_log_never_decrease(tmp_path: Path) -> None:
    """A clock that steps back clamps; while it is unsure nothing is stored; keys do not expire by it."""

    async def work() -> None:
        world = World(tmp_path, Limits(idempotency_keys_in_memory=0))
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1", key="k")
        world.hands.wall -= 3_600_000_000
        await world.put(log, b"2")
        world.hands.wall += 2 * 3_600_000_000
        with pytest.raises(Problem, match="clock_unsure"):
            await world.put(log, b"no")
        world.hands.wall += 40 * DAY * 1_000_000
        with pytest.raises(Problem, match="clock_unsure"):
            await world.put(log, b"no")
        world.hands.wall -= (40 * DAY + 3_600) * 1_000_000  # right again
        world.hands.pass_by(10)
        await world.put(log, b"3")
        assert world.jumps == []
        known = await world.put(log, b"1", key="k")
        assert known.first == 1
        times = [time for time, _, _ in check_log(world, log)]
        assert times == [START, START, START + 10_000_000]
        await world.stop()

    asyncio.run(work())


def test_no_event_is_dated_before_the_floor(tmp_path: Path) -> None:
    """A window that was answered stays as it was: the head's floor holds whatever the clock says."""

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        log = world.add_log("a")
        await world.put(log, b"1")
        with world.store.transaction() as transaction:
            head = transaction.lock_heads([log.key])[log.key]
            transaction.put_head(log.key, head._replace(time_floor=START + 77))
        await world.put(log, b"2")
        assert [time for time, _, _ in check_log(world, log)] == [START, START + 77]
        head = world.store.reader.head(log.key)  # type: ignore[assignment]  # there is one
        assert head.time_floor == START + 77
        await world.stop()

    asyncio.run(work())
