"""What is read from a server that is not trusted is bounded: in bytes, in time, and to where it was asked."""

import time
from collections.abc import Iterator

import pytest
from tests.harness.tiles import Site, site

from indelible.client import Problem, Retry, UnexpectedAnswer, Unreachable
from indelible.client.reading import split_lines
from indelible.client.transport import Transport


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Site, Transport]]:
    """A site and a connection to it, for all tests."""
    with site() as server:
        transport = Transport(server.url, "secret", retry=Retry(tries=1), timeout_seconds=0.4)
        yield server, transport
        transport.close()


def test_a_body_may_be_as_long_as_the_limit_and_no_longer(served: tuple[Site, Transport]) -> None:
    """One byte more is refused."""
    server, transport = served
    server.pages["/x"] = lambda _path: b"x" * 100
    assert len(transport.fetch("/x", most_bytes=100)) == 100
    with pytest.raises(UnexpectedAnswer, match="more than 99 bytes"):
        transport.fetch("/x", most_bytes=99)


def test_a_redirect_is_not_followed(served: tuple[Site, Transport]) -> None:
    """Else the key would go where nobody sent it."""
    server, transport = served
    server.redirects["/moved"] = f"{server.url}/x"
    server.asked.clear()
    with pytest.raises(UnexpectedAnswer, match="leads to another place"):
        transport.fetch("/moved", most_bytes=100)
    assert server.asked == ["/moved"]


def test_a_body_that_dribbles_is_given_up(served: tuple[Site, Transport]) -> None:
    """Each byte comes in time, and all of them do not."""
    server, transport = served
    server.pages["/slow"] = lambda _path: b"x" * 1_000
    server.dribble.add("/slow")
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="too slowly"):
        transport.fetch("/slow", most_bytes=1_000)
    assert time.monotonic() - begun < 10


def test_a_page_of_another_program_is_a_refusal_by_its_status(served: tuple[Site, Transport]) -> None:
    """A static server's 404 is `not_found`, however long its page is beside what was asked for."""
    with pytest.raises(Problem) as refused:
        served[1].fetch("/nowhere", most_bytes=1)
    assert refused.value.code.name == "not_found"


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of events cannot fill the memory of whoever reads it."""
    given = iter([b"x" * 60] * 10)
    monkeypatch.setattr("indelible.client.reading._LINE_BYTES", 100)
    with pytest.raises(UnexpectedAnswer, match="more than 100 bytes"):
        list(split_lines(given))
    assert len(list(given)) == 8
