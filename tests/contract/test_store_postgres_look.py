"""One number read again and again from the event loop: never an old one, whatever happens to the session."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest
import uvloop
from tests.harness.postgres import backends, cluster, terminate

from indelible.store.base import StoreUnavailable
from indelible.store.postgres_look import Look
from indelible.store.postgres_session import READER, Link

SQL = "SELECT n FROM counted"


class Counted:
    """A database with one number, and how often it was read without the session."""

    def __init__(self) -> None:
        self.url = cluster().create()
        self.database = self.url.rsplit("/", 1)[1]
        self.run("CREATE TABLE counted (n bigint)", "INSERT INTO counted VALUES (0)")
        self.fallbacks = 0
        self.look = Look(Link(self.url), SQL, self.otherwise)

    def run(self, *statements: str) -> None:
        """Change something from outside."""
        for sql in statements:
            cluster().run(sql, self.database)

    def otherwise(self) -> int:
        """Read on a session of its own."""
        self.fallbacks += 1
        with Link(self.url).connect(READER) as session:
            return int(session.execute(SQL).fetchall()[0][0])

    async def count(self) -> int:
        """Make the number one larger, and read it."""
        await asyncio.to_thread(self.run, "UPDATE counted SET n = n + 1")
        return await self.look.read()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Both kinds of loop."""
    made: Callable[[], asyncio.AbstractEventLoop] = request.param
    return made


def test_it_reads_what_was_committed_before_each_call(
    loops: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Every change is seen by the next reading, on one session and without a thread."""

    async def read() -> None:
        counted = Counted()
        assert [await counted.count() for _ in range(20)] == list(range(1, 21))
        assert counted.fallbacks == 0
        assert len(backends(counted.url)) == 1
        counted.look.close()
        assert await counted.count() == 21
        assert counted.fallbacks == 1

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(read())


def test_a_session_that_was_ended_costs_nothing_but_another(
    loops: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Between two readings, and while one is under way."""

    async def read() -> None:
        counted = Counted()
        for expected in range(1, 4):
            assert await counted.count() == expected
            await asyncio.to_thread(lambda: terminate(counted.url, backends(counted.url)))
        with psycopg.connect(counted.url) as locking:
            locking.execute("LOCK TABLE counted IN ACCESS EXCLUSIVE MODE")
            counted.look.close()
            counted.look = Look(Link(counted.url), SQL, counted.otherwise)
            reading = asyncio.ensure_future(counted.look.read())
            while not (others := set(backends(counted.url)) - {locking.info.backend_pid}):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)
            await asyncio.to_thread(terminate, counted.url, list(others))
        assert await reading == 3
        assert await counted.count() == 4
        counted.look.close()

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(read())


def test_a_reading_that_was_given_up_leaves_its_answer_to_nobody(
    loops: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The next one is of the next moment."""

    async def read() -> None:
        counted = Counted()
        assert await counted.count() == 1
        with psycopg.connect(counted.url) as locking:
            locking.execute("LOCK TABLE counted IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(counted.look.read(), 0.05)
        assert await counted.count() == 2
        counted.look.close()

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(read())


def test_a_database_that_is_not_there_is_said_so_by_who_has_other_sessions() -> None:
    """Where none can be opened the other way decides: what it reads is told, or its error."""
    link = Link("postgres://nobody@127.0.0.1:1/none")
    assert asyncio.run(Look(link, SQL, lambda: 1).read()) == 1

    def fail() -> int:
        raise StoreUnavailable("none either")

    with pytest.raises(StoreUnavailable, match="none either"):
        asyncio.run(Look(link, SQL, fail).read())
