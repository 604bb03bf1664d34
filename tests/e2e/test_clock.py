"""The clock of the machine: what happens to appends when it steps back, and when it jumps ahead.

Each scenario runs twice: against the program with a clock that libfaketime moves, and against the same server
in this process with a clock that is given to it, which needs nothing and waits for nothing.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.harness.calls import serving
from tests.harness.faketime import faking
from tests.harness.server import ROOT_KEY, start_server

from indelible.config import Settings
from indelible.model.clock import SYSTEM_CLOCK, Clock
from indelible.model.instants import parse_instant

DAY = 24 * 3600
SECOND = 1_000_000


class Timed(NamedTuple):
    """A server, the hands of its wall clock, a way to let time pass, and a way to start it again."""

    http: httpx.Client
    set_ahead: Callable[[float], None]  # seconds that the wall clock is ahead of the truth from now on
    pass_by: Callable[[float], None]
    restart: Callable[..., httpx.Client]  # with `accept=True` for the operator's word


class Given(NamedTuple):
    """The same, where the clock is given: time passes at once, and the machine can be booted anew."""

    timed: Timed
    reboot: Callable[[], None]


# ---------------------------------------------------------------------- two ways to move a clock


@contextlib.contextmanager
def timed_by_faketime(folder: Path) -> Iterator[Timed]:
    """The program itself, under a clock that is moved."""
    hands = folder / "hands"
    environment = faking(hands)

    def set_ahead(seconds: float) -> None:
        beside = folder / "hands.new"
        beside.write_text(f"{seconds:+.1f}")
        beside.replace(hands)

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(start_server(folder / "data", env=environment))]

        def restart(*, accept: bool = False) -> httpx.Client:
            assert servers[-1].stop() == 0
            word = ("--accept-clock",) if accept else ()
            servers.append(stack.enter_context(start_server(folder / "data", *word, env=environment)))
            return stack.enter_context(servers[-1].client())

        yield Timed(stack.enter_context(servers[0].client()), set_ahead, time.sleep, restart)
        assert servers[-1].stop() == 0


class Hands:
    """A clock that is the machine's, and ahead of it by what a test says."""

    def __init__(self) -> None:
        self.ahead = 0  # µs, of the wall alone
        self.passed = 0  # µs, of both
        self.boots = 1

    def clock(self) -> Clock:
        """As the server takes it."""
        return Clock(
            wall_micros=lambda: SYSTEM_CLOCK.wall_micros() + self.passed + self.ahead,
            boot_micros=lambda: SYSTEM_CLOCK.boot_micros() + self.passed,
            boot_id=lambda: f"boot {self.boots}",
        )

    def set_ahead(self, seconds: float) -> None:
        """Move the wall clock."""
        self.ahead = int(seconds * SECOND)

    def pass_by(self, seconds: float) -> None:
        """Let time pass on both clocks, at once."""
        self.passed += int(seconds * SECOND)

    def reboot(self) -> None:
        """Have what starts from now on start in another boot."""
        self.boots += 1


@contextlib.contextmanager
def served_here(data: Path, clock: Clock, *, accept: bool) -> Iterator[httpx.Client]:
    """Serve on a loop of its own until the block ends, and give a client."""
    settings = Settings(data, port=0, root_key=ROOT_KEY, accept_clock=accept)
    headers = {"authorization": f"Bearer {ROOT_KEY}"}
    with (
        serving(settings, clock) as url,
        httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as http,
    ):
        yield http


@contextlib.contextmanager
def timed_here(folder: Path, hands: Hands | None = None) -> Iterator[Timed]:
    """The server in this process, with a clock that is given to it."""
    hands = hands or Hands()
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(contextlib.ExitStack())

        def restart(*, accept: bool = False) -> httpx.Client:
            running.close()
            return running.enter_context(served_here(folder / "data", hands.clock(), accept=accept))

        yield Timed(restart(), hands.set_ahead, hands.pass_by, restart)


@pytest.fixture(params=["given", pytest.param("libfaketime", marks=pytest.mark.slow)])
def timed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Timed]:
    """Give a server whose clock can be moved, and a log `log` in it."""
    way = timed_here if request.param == "given" else timed_by_faketime
    with way(tmp_path) as made:
        assert made.http.post("/logs", json={"name": "log"}).status_code == 201
        yield made


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Given]:
    """Give a server in this process and a machine to boot, and a log `log`."""
    hands = Hands()
    with timed_here(tmp_path, hands) as made:
        assert made.http.post("/logs", json={"name": "log"}).status_code == 201
        yield Given(made, hands.reboot)


# ---------------------------------------------------------------------- what is promised


def append(http: httpx.Client) -> httpx.Response:
    """Append an event."""
    return http.post("/logs/log/append", json={"type": "t"})


def taken(http: httpx.Client) -> int:
    """Append an event that must be taken, and give its time in microseconds."""
    answer = append(http)
    assert answer.status_code == 201, answer.text
    return parse_instant(answer.json()["time"])


def unsure(http: httpx.Client) -> int:
    """Append an event that must be refused for the clock's sake, and give the seconds of Retry-After."""
    answer = append(http)
    assert (answer.status_code, answer.json()["code"]) == (503, "clock_unsure"), answer.text
    assert answer.json()["effect"] == "none"
    assert int(answer.headers["retry-after"]) == answer.json()["retry_after"]
    return int(answer.headers["retry-after"])


def clamps(http: httpx.Client) -> float:
    """How often a time was held back, as the metrics have it."""
    lines = http.get("/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("indelible_clock_clamps_total ")]
    return float(line.split()[1])


def jumps(http: httpx.Client) -> list[dict[str, Any]]:
    """What `_audit` says of jumps."""
    events = http.get("/logs/_audit/events").json()["events"]
    return [event["payload"] for event in events if event["payload"]["type"] == "clock.jumped"]


def the_jump(http: httpx.Client) -> dict[str, Any]:
    """The one jump that `_audit` tells of, once the server has written it."""
    deadline = time.monotonic() + 10
    while not jumps(http) and time.monotonic() < deadline:
        time.sleep(0.05)
    (jump,) = jumps(http)
    return jump


def test_a_clock_that_steps_back_never_dates_an_event_before_the_last(timed: Timed) -> None:
    """Appends go on with the last time until the clock has caught up; each commit so held is counted."""
    http = timed.http
    first = taken(http)
    before = clamps(http)
    timed.set_ahead(-3600)
    times = [taken(http) for _ in range(3)]
    assert times == [first] * 3
    assert clamps(http) - before >= 3
    assert parse_instant(http.get("/logs/log").json()["head"]["time"]) == first
    timed.set_ahead(-3600)
    http = timed.restart()
    assert taken(http) == first


def test_a_jump_ahead_is_believed_when_it_has_been_steady(timed: Timed) -> None:
    """Appends are refused with the time to wait, reading goes on; then `_audit` has the jump."""
    http = timed.http
    first = taken(http)
    timed.set_ahead(6)
    wait = unsure(http)
    assert 9 <= wait <= 10
    timed.pass_by(5)
    assert 1 <= unsure(http) <= 6  # the seconds that a busy machine takes count too
    assert http.get("/logs/log/events").json()["events"][0]["sequence"] == 1
    assert http.post("/logs", json={"name": "other"}).json()["code"] == "clock_unsure"
    assert jumps(http) == []
    timed.pass_by(5.5)
    assert taken(http) >= first + 6 * SECOND
    jump = the_jump(http)
    assert 5.9 <= jump["ahead_seconds"] <= 6.5
    assert http.get("/readyz").status_code == 200


def test_a_clock_that_goes_on_jumping_is_not_steady(timed: Timed) -> None:
    """Each new jump begins the wait again; back at the truth, appends are taken at once."""
    http = timed.http
    taken(http)
    timed.set_ahead(10)
    unsure(http)
    timed.pass_by(6)
    timed.set_ahead(20)
    assert unsure(http) >= 9
    timed.pass_by(6)
    assert unsure(http) >= 3
    timed.set_ahead(0)
    taken(http)
    assert jumps(http) == []


def test_a_small_step_ahead_is_an_ordinary_correction(timed: Timed) -> None:
    """Up to 5 s: taken, with the new time."""
    first = taken(timed.http)
    timed.set_ahead(4)
    assert taken(timed.http) >= first + 4 * SECOND
    assert jumps(timed.http) == []


def test_two_days_ahead_need_an_operators_word(timed: Timed) -> None:
    """However steady, it stays refused, after a restart too, until a start has the operator's word.

    Then `_audit` tells of the jump, no later event is dated before it, and later starts need no word.
    """
    http = timed.http
    first = taken(http)
    timed.set_ahead(2 * DAY)
    assert unsure(http) == 60
    timed.pass_by(11)
    assert unsure(http) == 60
    assert "restart" in append(http).json()["detail"]
    http = timed.restart()
    assert unsure(http) == 60
    assert "--accept-clock" in append(http).json()["detail"]
    assert http.get("/logs/log/events").json()["events"][0]["sequence"] == 1
    http = timed.restart(accept=True)
    later = taken(http)
    assert later >= first + 2 * DAY * SECOND
    assert 2 * DAY - 60 <= the_jump(http)["ahead_seconds"] <= 2 * DAY + 60
    http = timed.restart()
    assert taken(http) > later
    timed.set_ahead(0)
    latest = taken(http)
    assert later < latest == taken(http)
    assert len(jumps(http)) == 1


def test_a_start_under_a_clock_of_the_future_can_be_set_right(timed: Timed) -> None:
    """Nothing is stored under that clock; at the true time appends go on without a restart."""
    first = taken(timed.http)
    timed.set_ahead(400 * DAY)
    http = timed.restart()
    unsure(http)
    timed.set_ahead(0)
    assert first < taken(http) < first + 600 * SECOND
    assert jumps(http) == []


def test_a_server_that_nobody_appends_to_is_alive(given: Given) -> None:
    """Its starts and its running tell of life in any boot, though its last event is old."""
    timed = given.timed
    first = taken(timed.http)
    timed.pass_by(20 * 3600)
    given.reboot()
    timed.restart()
    timed.pass_by(20 * 3600)
    given.reboot()
    http = timed.restart()
    assert taken(http) >= first + 40 * 3600 * SECOND
    assert jumps(http) == []


def test_a_stop_over_a_weekend_needs_no_word_where_the_machine_stayed_up(given: Given) -> None:
    """Its boot clock tells how long the stop was; after another boot of it, nothing does."""
    timed = given.timed
    first = taken(timed.http)
    timed.pass_by(3 * DAY)
    http = timed.restart()
    assert taken(http) >= first + 3 * DAY * SECOND
    assert jumps(http) == []
    timed.pass_by(3 * DAY)
    given.reboot()
    assert unsure(timed.restart()) == 60
    assert taken(timed.restart(accept=True)) >= first + 6 * DAY * SECOND


def test_a_restart_is_no_way_around_the_watch(timed: Timed) -> None:
    """In the same boot, a clock that was moved during the stop is watched as if the server had run."""
    taken(timed.http)
    timed.set_ahead(3600)
    http = timed.restart()
    assert 1 <= unsure(http) <= 10
    timed.pass_by(10.5)
    taken(http)
    assert 3599 <= the_jump(http)["ahead_seconds"] <= 3601
