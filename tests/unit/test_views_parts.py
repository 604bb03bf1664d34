"""The small parts of the views: fair turns, batches, room, the catalogue."""

import threading
import time
from collections.abc import Callable

import pytest

from indelible.model.errors import Problem
from indelible.model.packed import Packed
from indelible.views import catalogue
from indelible.views.batches import count, cut, pieces, to_batch
from indelible.views.fair import FairQueue
from indelible.views.ports import Columns
from indelible.views.room import Room
from indelible.views.turns import Again, Ticket, Turns, Urgency
from indelible.views.yielding import Yielding

WRITERS = [bytes([number]) * 16 for number in range(3)]
EVENTS = Columns(1, [10, 20, 30, 40], Packed.of([b"a", b"bb", b"", b"\xff"]), WRITERS, [2, 0, 2, 0])


def drain(queue: FairQueue[str]) -> list[str]:
    """All items, in the order they come."""
    return [item for item in iter(queue.pop, None) if item is not None]


def test_groups_take_turns() -> None:
    """One workspace with many waiting views does not hold up another with one."""
    queue = FairQueue[str](2, patience=1_000)
    for item in ("a1", "a2", "a3", "b1"):
        queue.push(0, item[0], item)
    assert drain(queue) == ["a1", "b1", "a2", "a3"]


def test_the_urgent_come_first_and_the_patient_still_come() -> None:
    """Urgent items overtake; each `patience`-th turn is for those who were overtaken."""
    queue = FairQueue[str](2, patience=3)
    for number in range(4):
        queue.push(1, "g", f"slow{number}")
        queue.push(0, "g", f"fast{number}")
    assert drain(queue)[:4] == ["fast0", "fast1", "slow0", "fast2"]


def test_a_busy_group_is_passed_over() -> None:
    """What reserve threads ask for: somebody else's turn."""
    queue = FairQueue[str](2)
    queue.push(0, "a", "a1")
    queue.push(1, "b", "b1")
    assert queue.pop({"a"}) == "b1"
    assert queue.pop({"a"}) is None
    assert queue.pop() == "a1"


def test_cut_keeps_events_and_only_their_writers() -> None:
    """Each event keeps its time, payload and writer, wherever the cut falls."""
    part = cut(EVENTS, 1, 4)
    assert (part.first_sequence, part.times) == (2, [20, 30, 40])
    assert list(part.payloads) == [b"bb", b"", b"\xff"]
    assert [part.writers[place] for place in part.writer_of] == [WRITERS[0], WRITERS[2], WRITERS[0]]
    alone = cut(EVENTS, 1, 2)
    assert (alone.writers, alone.writer_of) == ([WRITERS[0]], ())
    assert cut(EVENTS, 0, 4) is EVENTS


@pytest.mark.parametrize(
    ("events", "size", "expected"), [(4, 99, [4]), (3, 99, [3, 1]), (9, 2, [1, 2, 1]), (9, 0, [1, 1, 1, 1])]
)
def test_pieces_keep_both_limits_and_lose_nothing(events: int, size: int, expected: list[int]) -> None:
    """Runs are consecutive, whole together, and a single event always fits."""
    columns = EVENTS._replace(payloads=Packed.of([b"aa", b"b", b"", b"cc"]))
    found = list(pieces(columns, events, size))
    assert [count(piece) for piece in found] == expected
    assert [event for piece in found for event in piece.payloads] == list(columns.payloads)
    assert [piece.first_sequence for piece in found] == [
        1 + sum(map(count, found[:place])) for place in range(len(found))
    ]


def test_no_events_are_no_pieces() -> None:
    """An empty read folds nothing."""
    assert list(pieces(Columns(1, [], Packed.of([]), [], []), 10, 10)) == []


def test_a_batch_names_writers_as_uuids() -> None:
    """The contract of views speaks of UUIDs."""
    batch = to_batch(EVENTS)
    assert batch.writers[1] == "01010101-0101-0101-0101-010101010101"
    assert list(batch.writer_of) == [2, 0, 2, 0]


class Visitor:
    """Somebody who takes room."""

    def __init__(self, last_used: float, *, is_asked: bool = False) -> None:
        self.last_used = last_used
        self.is_asked = is_asked
        self.asked_to_leave = 0

    def leave(self) -> None:
        """Count."""
        self.asked_to_leave += 1


def test_the_least_recently_used_leave_first_and_only_as_many_as_it_takes() -> None:
    """One who is asked stays before one who is not."""
    room = Room(100, lambda _bytes: None)
    old, asked, new = Visitor(1), Visitor(0, is_asked=True), Visitor(3)
    for visitor in (old, asked, new):
        assert room.admit(visitor, 30)
    comer = Visitor(4)
    assert not room.admit(comer, 40)
    assert (old.asked_to_leave, asked.asked_to_leave, new.asked_to_leave) == (1, 0, 0)
    assert not room.admit(comer, 40)
    assert old.asked_to_leave == 1, "who is leaving already is not asked again, nor is another one"
    room.left(old)
    assert room.admit(comer, 40)
    assert room.held_bytes == 100


def test_growth_over_the_limit_makes_somebody_leave() -> None:
    """Also the one that grew, when it is alone."""
    room = Room(100, lambda _bytes: None)
    first, second = Visitor(1), Visitor(2)
    room.admit(first, 10)
    room.admit(second, 10)
    room.holds(second, 95)
    assert (first.asked_to_leave, second.asked_to_leave) == (1, 0)
    room.left(first)
    room.holds(second, 101)
    assert second.asked_to_leave == 1
    assert not room.fits(101)


def test_an_unknown_built_in_view_is_refused_with_the_names_there_are() -> None:
    """The refusal lists what could have been meant."""
    with pytest.raises(Problem) as caught:
        catalogue.builtin("../secrets")
    assert caught.value.code.name == "not_found"
    assert caught.value.facts["builtins"] == catalogue.names()


def test_every_built_in_view_is_a_component() -> None:
    """What the catalogue lists can be read and begins as WebAssembly does."""
    for name in catalogue.names():
        assert catalogue.builtin(name).component[:4] == b"\0asm"


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold in time."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.001)
    return holds()


def test_a_ticket_has_one_turn_at_a_time_and_no_wake_is_lost() -> None:
    """Wakes during a turn bring exactly one more turn, and two threads never run one ticket."""
    inside, most, ran = 0, 0, 0
    guard = threading.Lock()
    entered, go_on = threading.Event(), threading.Event()

    def turn() -> Again | None:
        nonlocal inside, most, ran
        with guard:
            inside, ran = inside + 1, ran + 1
            most = max(most, inside)
        entered.set()
        go_on.wait(5)
        with guard:
            inside -= 1
        return None

    turns = Turns(2, 2)
    turns.start()
    ticket = Ticket("w", turn)
    turns.wake(ticket, Urgency.REPLAY)
    assert entered.wait(5)
    for _ in range(10):
        turns.wake(ticket, Urgency.ANSWER)
    go_on.set()
    assert within(5, lambda: ran == 2 and inside == 0)
    assert turns.stop(5)
    assert (ran, most) == (2, 1)


def test_a_later_turn_comes_when_its_time_has_come() -> None:
    """`Again` with seconds is a turn of its own."""
    times: list[float] = []

    def turn() -> Again | None:
        times.append(time.monotonic())
        return Again(Urgency.FOLLOW, 0.05) if len(times) == 1 else None

    turns = Turns(1, 0)
    turns.start()
    turns.wake(Ticket("w", turn), Urgency.FOLLOW)
    assert within(5, lambda: len(times) == 2)
    assert turns.stop(5)
    assert times[1] - times[0] >= 0.05


def test_a_tenant_that_holds_all_threads_does_not_hold_the_reserve() -> None:
    """Two endless turns of one workspace leave another's turn to run, and a third of their own to wait."""
    release = threading.Event()
    ran: list[str] = []

    def hold() -> None:
        release.wait(10)

    def note(name: str) -> Callable[[], None]:
        return lambda: ran.append(name)

    turns = Turns(2, 1)
    turns.start()
    for _ in range(2):
        turns.wake(Ticket("greedy", hold), Urgency.ANSWER)
    turns.wake(Ticket("greedy", note("greedy")), Urgency.ANSWER)
    turns.wake(Ticket("other", note("other")), Urgency.REPLAY)
    assert within(5, lambda: ran == ["other"])
    release.set()
    assert within(5, lambda: ran == ["other", "greedy"])
    assert turns.stop(5)


def test_no_workspace_has_more_than_half_of_the_threads() -> None:
    """Four threads and nobody else: two turns of one workspace run, and the third waits for one to end."""
    release = threading.Event()
    guard = threading.Lock()
    inside, most, ran = 0, 0, 0

    def hold() -> None:
        nonlocal inside, most, ran
        with guard:
            inside += 1
            most = max(most, inside)
        release.wait(10)
        with guard:
            inside, ran = inside - 1, ran + 1

    turns = Turns(4, 0)
    turns.start()
    for _ in range(4):
        turns.wake(Ticket("greedy", hold), Urgency.ANSWER)
    other = threading.Event()
    turns.wake(Ticket("other", other.set), Urgency.LOOK)
    assert other.wait(5)
    assert within(5, lambda: inside == 2)
    release.set()
    assert within(5, lambda: ran == 4)
    assert turns.stop(5)
    assert most == 2


class Busy(Yielding):
    """A process that always has something else to do."""

    is_busy = True

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause

    def took(self, _seconds: float, _cpu_seconds: float) -> float:
        """Pause as long as was said."""
        return self.pause


def test_beside_live_traffic_one_replay_runs_and_questions_do_not_wait_for_its_pause() -> None:
    """A second replay waits for the first and for its pause; an answer comes meanwhile."""
    release, answered = threading.Event(), threading.Event()
    replays: list[str] = []

    def replay(name: str) -> Callable[[], None]:
        def turn() -> None:
            replays.append(name)
            release.wait(10)

        return turn

    turns = Turns(2, 2, yielding=Busy(pause=3_600))
    turns.start()
    for name in ("a", "b"):
        turns.wake(Ticket(name, replay(name)), Urgency.REPLAY)
    turns.wake(Ticket("c", answered.set), Urgency.ANSWER)
    assert answered.wait(5)
    assert within(5, lambda: replays == ["a"])
    release.set()
    again = threading.Event()
    turns.wake(Ticket("d", again.set), Urgency.FOLLOW)
    assert again.wait(5)
    assert replays == ["a"]
    assert turns.stop(5)


def test_a_replay_goes_on_when_its_pause_is_over() -> None:
    """Nobody needs to wake anything: the threads wait no longer than the pause."""
    turns = Turns(1, 0, yielding=Busy(pause=0.02))
    left = 5

    def turn() -> Again | None:
        nonlocal left
        left -= 1
        return Again(Urgency.REPLAY) if left else None

    turns.start()
    turns.wake(Ticket("w", turn), Urgency.REPLAY)
    assert within(5, lambda: left == 0)
    assert turns.stop(5)


def test_replays_pause_by_what_all_else_uses_and_not_by_what_they_use_themselves() -> None:
    """No pause on a quiet server; beside a core of other work they have a fifth of the time."""
    clock, cpu = 0.0, 0.0
    yielding = Yielding(lambda: clock, lambda: cpu)

    def took(others_cpu: float) -> float:
        nonlocal clock, cpu
        clock, cpu = clock + 0.1, cpu + 0.1 + others_cpu
        return yielding.took(0.1, 0.1)

    assert took(0.0) == 0
    assert not yielding.is_busy
    assert took(0.02) == 0
    assert 0.3 < took(0.1) < 0.5
    assert yielding.is_busy
    assert took(0.0) == 0
