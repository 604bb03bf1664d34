"""The clock of a start in the boot in which the deployment was last alive, whose clock tells how long ago."""

import pytest
from tests.harness.logs import START, Hands

from indelible.log.timekeeper import Timekeeper
from indelible.model.clock import SYSTEM_CLOCK, Moment
from indelible.model.errors import Problem
from indelible.model.limits import Limits

LIMITS = Limits()
SECOND = 1_000_000
DAY = 24 * 3_600
NOTED = Moment(START, 77 * SECOND, "a boot")


def started(
    *, stopped: float, ahead: float = 0, boot_id: str = "a boot", newest: int = START, accept: bool = False
) -> tuple[Timekeeper, Hands, list[int]]:
    """A timekeeper of a start so many seconds after the noted moment, with a clock so many seconds ahead."""
    hands, jumps = Hands(NOTED.wall, NOTED.boot, boot_id=boot_id), list[int]()
    hands.pass_by(stopped)
    hands.wall += int(ahead * SECOND)
    keeps = Timekeeper(
        hands.clock(), LIMITS, jumps.append, last_alive=newest, noted=NOTED, accept_start=accept
    )
    return keeps, hands, jumps


def unsure(timekeeper: Timekeeper) -> Problem:
    """The problem that it tells instead of the time."""
    with pytest.raises(Problem, match="clock_unsure") as caught:
        timekeeper.now()
    return caught.value


@pytest.mark.parametrize("ahead", [-400 * DAY, -1, 0, 5])
@pytest.mark.parametrize("stopped", [1, 3 * DAY, 400 * DAY])
def test_a_stop_of_any_length_needs_no_word_while_the_machine_stays_up(stopped: float, ahead: float) -> None:
    """Nor is it told as a jump: the wall clock shows what the boot clock lets expect, or less."""
    timekeeper, hands, jumps = started(stopped=stopped, ahead=ahead)
    assert timekeeper.now() == hands.wall
    assert jumps == []


@pytest.mark.parametrize("stopped", [1, 3 * DAY])
def test_a_clock_further_ahead_is_judged_as_a_jump(stopped: float) -> None:
    """Refused until it has been steady for ten seconds, and told; an hour was believed without, before."""
    timekeeper, hands, jumps = started(stopped=stopped, ahead=3_600)
    assert unsure(timekeeper).facts["retry_after"] == 10
    hands.pass_by(9)
    unsure(timekeeper)
    hands.pass_by(1)
    assert timekeeper.now() == hands.wall
    assert jumps == [3_600 * SECOND]


def test_a_clock_more_than_a_day_ahead_needs_the_word() -> None:
    """However long it is steady; set right meanwhile, it is believed at once, and nearer it is a jump."""
    timekeeper, hands, jumps = started(stopped=3 * DAY, ahead=2 * DAY)
    for _ in range(3):
        assert "--accept-clock" in unsure(timekeeper).detail
        hands.pass_by(3_600)
    hands.wall -= 2 * DAY * SECOND - 3_600 * SECOND
    assert unsure(timekeeper).facts["retry_after"] == 10
    hands.wall -= 3_600 * SECOND
    assert timekeeper.now() == hands.wall
    assert jumps == []


def test_the_word_is_good_for_the_clock_of_that_start_alone() -> None:
    """It is told as a jump of its size past what was expected; a later one is refused as ever."""
    timekeeper, hands, jumps = started(stopped=3 * DAY, ahead=2 * DAY, accept=True)
    assert timekeeper.now() == hands.wall
    assert jumps == [2 * DAY * SECOND]
    hands.wall += 2 * DAY * SECOND
    assert "--accept-clock" in unsure(timekeeper).detail


def test_the_word_for_less_than_a_day_changes_nothing() -> None:
    """An operator who leaves the option in place does not switch off the watch."""
    timekeeper, _, _ = started(stopped=60, ahead=3_600, accept=True)
    assert unsure(timekeeper).facts["retry_after"] == 10


@pytest.mark.parametrize("boot_id", ["another", ""])
def test_another_boot_falls_back_to_the_last_time_alive(boot_id: str) -> None:
    """So does a backup on another machine: a day is believed, and more than that needs the word."""
    timekeeper, hands, _ = started(stopped=DAY, boot_id=boot_id)
    assert timekeeper.now() == hands.wall
    timekeeper, _, _ = started(stopped=DAY + 1, boot_id=boot_id)
    assert "last alive" in unsure(timekeeper).detail


def test_a_boot_without_a_name_is_no_other_boot_without_one() -> None:
    """Where the kernel tells none, nothing is known of how long a stop was."""
    nameless = NOTED._replace(boot_id="")
    assert nameless.wall_after(nameless) is None


def test_a_boot_clock_that_went_back_tells_nothing() -> None:
    """No clock of one boot does that, so it is not the same one, whatever its name."""
    assert NOTED._replace(boot=NOTED.boot - 1).wall_after(NOTED) is None
    timekeeper, hands, _ = started(stopped=-1, ahead=3_600)
    assert timekeeper.now() == hands.wall


def test_an_event_after_the_last_note_is_trusted_too() -> None:
    """As of a server that believed a jump and was killed before it noted the new time."""
    timekeeper, hands, jumps = started(stopped=60, ahead=3_600, newest=START + 3_660 * SECOND)
    assert timekeeper.now() == hands.wall
    assert jumps == []


def test_the_machine_names_its_boot() -> None:
    """Always in the same way, or every start would look like another boot's."""
    first, second = SYSTEM_CLOCK.moment(), SYSTEM_CLOCK.moment()
    assert len(first.boot_id) >= 36
    after = second.wall_after(first)
    assert after is not None
    assert first.wall <= after <= first.wall + 60 * SECOND
