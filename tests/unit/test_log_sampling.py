"""The server's own look at what it stored: which events it takes, what it says, what it costs."""

import asyncio
import itertools
import shutil
from pathlib import Path

import apsw
import pytest
import structlog
from tests.harness.logs import World

from indelible import telemetry
from indelible.log.sampling import Choose, Sampler
from indelible.model.limits import DEFAULT_LIMITS, Limits

COUNTERS = ("indelible_fsck_events_total", "indelible_fsck_differences_total")


def build(path: Path, form: bytes) -> None:
    """An empty log, and one of 300 events in chunks of 1, 2, 260 and 37, the last one not published."""

    async def work() -> None:
        world = World(path)
        world.committer.start()
        world.add_log("empty")
        log = world.add_log("a")
        for count in (1, 2, 260):
            await world.put(log, *[form % at for at in range(count)])
        await world.publisher.at_least(log, 263)
        await world.put(log, *[b"later"] * 37)
        await world.stop()

    asyncio.run(work())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a store that was stopped."""
    build(tmp_path, b"%d")
    return tmp_path


def sampler(world: World, choose: Choose, limits: Limits = DEFAULT_LIMITS) -> Sampler:
    """A sampler whose choices the test makes."""
    return Sampler(world.store.reader, world.objects, world.keys, world.events, world.prover, limits, choose)


def always(log: int, sequence: int) -> Choose:
    """Choices that lead to one event of one log, over and over."""
    choices = itertools.cycle([log - 1, sequence - 1])
    return lambda _below: next(choices)


def change(store: Path, statement: str) -> None:
    """Change the stopped store."""
    database = apsw.Connection(str(store / "indelible.db"))
    database.execute(statement)
    assert database.changes() > 0
    database.close()


def test_a_look_takes_a_whole_chunk_and_finds_nothing_where_nothing_differs(store: Path) -> None:
    """Each published event can be chosen; its chunk is checked; an empty log is passed over."""
    world = World(store)
    asked: list[int] = []

    def choose(below: int) -> int:
        asked.append(below)
        return [0, 1, 2][len(asked) - 1]

    assert sampler(world, choose).look() == (2, [])
    assert asked == [2, 2, 263]  # the empty log, the other, one of its published events
    assert sampler(world, always(2, 263)).look() == (260, [])
    assert sampler(world, always(1, 1)).look() == (0, [])
    world.store.close()


CHANGES = {
    "payload": ("UPDATE chunk SET payload = 'x' WHERE id = 2 << 40 | 1", 1, "chunk"),
    "payload of the same length": ("UPDATE chunk SET payload = x'30ff' WHERE id = 2 << 40 | 2", 2, "payload"),
    "leaf": ("UPDATE chunk SET leaves = zeroblob(64) WHERE id = 2 << 40 | 2", 2, "leaf"),
    "node": ("UPDATE tile SET hashes = zeroblob(32)", 260, "node"),
    "dropped": ("DELETE FROM chunk WHERE id = 2 << 40 | 2", 3, "gap"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_look_at_a_changed_event_says_what_differs(store: Path, case: str) -> None:
    """From the payload to the root of the published head: each link that does not hold is named."""
    statement, sequence, kind = CHANGES[case]
    change(store, statement)
    world = World(store)
    findings = sampler(world, always(2, sequence)).look().findings
    assert findings
    assert kind in {finding.kind for finding in findings}
    assert all(finding.log.name == "a" for finding in findings)
    world.store.close()


def test_a_history_with_its_own_hashes_right_is_not_the_published_one(store: Path, tmp_path: Path) -> None:
    """The last link is the checkpoint outside the database: hashes that fit each other are not enough."""
    other = tmp_path / "other"
    other.mkdir()
    build(other, b"other %d")
    shutil.rmtree(other / "objects")
    shutil.copytree(store / "objects", other / "objects")
    world = World(other)
    (finding,) = sampler(world, always(2, 1)).look().findings
    assert (finding.sequence, finding.kind) == (1, "node")
    assert "published tree of 263 events" in finding.found
    world.store.close()


def run(made: Sampler, monkeypatch: pytest.MonkeyPatch, looks: int) -> list[float]:
    """Run for so many looks without waiting between them; gives the pauses that were asked for."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == looks:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(made.run())
    return pauses


def test_what_differs_is_counted_told_once_and_shown(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics, one line at error with log and sequence however often it is met, and the list of /readyz."""
    change(store, "UPDATE chunk SET payload = x'30ff' WHERE id = 2 << 40 | 2")
    before = [telemetry.REGISTRY.get_sample_value(name) or 0 for name in COUNTERS]
    world = World(store)
    made = sampler(world, always(2, 2))
    with structlog.testing.capture_logs() as lines:
        run(made, monkeypatch, 5)
    after = [telemetry.REGISTRY.get_sample_value(name) or 0 for name in COUNTERS]
    assert after[0] - before[0] == made.events == 10
    assert after[1] - before[1] == made.differences == 1
    (line,) = lines
    assert (line["log_level"], line["sequence"], line["name"]) == ("error", 3, "a")
    assert [finding.sequence for finding in made.findings()] == [3]
    world.store.close()


def test_a_rate_of_zero_looks_at_nothing(store: Path) -> None:
    """Off is off: the task ends at once."""
    world = World(store)
    made = sampler(world, always(2, 1), Limits(fsck_events_per_second=0))
    asyncio.run(asyncio.wait_for(made.run(), 5))
    assert made.events == 0
    world.store.close()


def test_the_rate_bounds_what_is_looked_at(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 260 events at 100 a second comes a pause of 2.6 s; after one event, a second at least."""
    world = World(store)
    choices = iter([1, 262, 1, 0])
    made = sampler(world, lambda _below: next(choices), Limits(fsck_events_per_second=100))
    assert run(made, monkeypatch, 2) == [2.6, 1.0]
    world.store.close()
