"""Reading a store of which rows are gone: it is said; no endless loop, no other events in their place."""

import asyncio
from pathlib import Path

import apsw
import pytest
from tests.harness.logs import START, World

from indelible.log.read import Span


@pytest.fixture
def torn(tmp_path: Path) -> World:
    """A log of events 1 to 30 in chunks of ten, the second of which is gone; times are seconds apart."""

    async def build() -> None:
        world = World(tmp_path)
        world.committer.start()
        info = world.add_log("a")
        for chunk in range(3):
            await world.put(info, *[b"%d" % (chunk * 10 + at) for at in range(10)])
            world.hands.pass_by(1)
        await world.stop()

    asyncio.run(build())
    database = apsw.Connection(str(tmp_path / "indelible.db"))
    database.execute("DELETE FROM chunk WHERE id = 1 << 40 | 11")
    database.close()
    return World(tmp_path)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("span", [Span(1, 30), Span(5, 25), Span(11, 20), Span(15, 15), Span(15, 22)])
def test_a_gap_is_an_error_in_both_directions(torn: World, span: Span, reverse: bool) -> None:
    """What stands before the gap comes, then LookupError; the neighbours never stand in for what is gone."""
    found: list[int] = []
    events = torn.events.events(1, span, reverse=reverse)
    with pytest.raises(LookupError, match="not all there"):
        found.extend(event.sequence for event in events)
    expected = [n for n in range(span.first, span.last + 1) if n <= 10 or n > 20]
    whole = [n for n in expected if (n > 20) == reverse]
    assert found == (whole[::-1] if reverse else whole)
    torn.store.close()


def test_single_events_pages_and_columns_tell_of_the_gap(torn: World) -> None:
    """One event is None; more than one is an error, not a shorter answer."""
    assert torn.events.event(1, 10) is not None
    assert torn.events.event(1, 15) is None
    assert torn.events.chunk(1, 15) is None
    with pytest.raises(LookupError):
        torn.events.page(1, Span(5, 30), 100, 1 << 20)
    with pytest.raises(LookupError):
        torn.events.columns(1, Span(5, 30), 100, 1 << 20)
    torn.store.close()


def test_the_search_by_time_ends(torn: World) -> None:
    """A bisection that meets the gap says so; one that does not is right."""
    for second in range(5):
        micros = START + second * 1_000_000
        try:
            found = torn.events.first_at_or_after(1, 30, micros)
        except LookupError:
            continue
        assert found in {1, 11, 21, 31}
    torn.store.close()
