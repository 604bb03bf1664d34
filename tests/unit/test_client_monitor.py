"""Watching logs that are served as tiles: what each look says, and what is remembered after it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.tiles import ORIGIN, SIGNER, Shown, Site, entries_of, shown, site

from indelible.client import PinStore, Retry
from indelible.client.monitor import Check, Watch
from indelible.client.transport import Transport
from indelible.notes.keys import Signer, Verifier

ENTRIES = entries_of(700)
OTHERS = entries_of(700, lambda at, entry: entry._replace(writer=b"w" * 16) if at == 0 else entry)


class Watched:
    """A site with a deployment at `/d`, and watches over it that share their pins."""

    def __init__(self, server: Site, folder: Path) -> None:
        self.site = server
        self.pins = PinStore(folder / "pins")
        self.transports: dict[str, Transport] = {}

    def look(self, path: str = "/d", *trusted: Verifier, entries: bool = True) -> list[Check]:
        """One round over what stands at a path."""
        if path not in self.transports:
            retry = Retry(tries=1)
            self.transports[path] = Transport(self.site.url + path, None, retry=retry, timeout_seconds=10)
        watch = Watch(self.transports[path], self.pins, trusted=trusted, entries=entries)
        return list(watch.round())

    def states(self, path: str = "/d") -> list[str]:
        """The states of a round."""
        return [check.state for check in self.look(path)]

    def deploy(self, **logs: Shown) -> None:
        """Let the deployment list these logs and no others."""
        self.site.logs = {f"/d/logs/{name}": what for name, what in logs.items()}
        listed = [{"log_id": name, "name": name, "origin": origin(what)} for name, what in logs.items()]
        for end, part in (("", listed[:2]), ("?after=2", listed[2:])):
            more = "2" if not end and len(listed) > 2 else None
            body = json.dumps({"logs": part, "next": more}).encode()
            self.site.pages[f"/d/logs{end}"] = {f"/d/logs{end}": body}.get


def origin(what: Shown) -> str:
    """The origin in a checkpoint."""
    return what.note.split(b"\n")[0].decode()


def log_of(number: int, entries: list[bytes], size: int | None = None) -> Shown:
    """A log of its own, by its number."""
    return shown(entries, size, Signer(f"x.example/logs/{number}", bytes([number]) * 32))


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    """A site for all tests."""
    with site() as made:
        yield made


@pytest.fixture
def watched(server: Site, tmp_path: Path) -> Iterator[Watched]:
    """An empty site, and pins that remember nothing."""
    server.logs, server.pages, server.redirects, server.statuses = {}, {}, {}, {}
    made = Watched(server, tmp_path)
    yield made
    for transport in made.transports.values():
        transport.close()


def test_a_log_is_watched_as_it_grows(watched: Watched) -> None:
    """First, same, newer with its new entries read, older from a cache."""
    watched.site.logs["/l"] = shown(ENTRIES, 300)
    url = f"{watched.site.url}/l"
    assert watched.look("/l") == [Check(url, "first", ORIGIN, 300)]
    assert watched.states("/l") == ["same"]
    watched.site.logs["/l"] = shown(ENTRIES, 700)
    assert watched.look("/l") == [Check(url, "newer", ORIGIN, 700, 400)]
    watched.site.logs["/l"] = shown(ENTRIES, 700)._replace(note=shown(ENTRIES, 10).note)
    assert watched.look("/l") == [Check(url, "older", ORIGIN, 10)]


def test_new_entries_that_break_the_rules_are_wrong_until_they_are_not(watched: Watched) -> None:
    """The head is consistent and signed; the pin does not move over entries that are out of place."""
    watched.site.logs["/l"] = shown(ENTRIES, 300)
    watched.look("/l")
    swapped = [*ENTRIES[:400], ENTRIES[401], ENTRIES[400], *ENTRIES[402:]]
    watched.site.logs["/l"] = shown(swapped)
    for _ in range(2):
        (check,) = watched.look("/l")
        assert (check.state, check.code) == ("wrong", "not_proved")
        assert "place of event 401" in str(check.detail)
    (heads_only,) = watched.look("/l", entries=False)
    assert (heads_only.state, heads_only.entries) == ("newer", 0)


def test_all_logs_of_a_deployment_are_watched(watched: Watched) -> None:
    """Over pages; new ones join; one that changed does not keep the others from being looked at."""
    logs = {str(number): log_of(number, ENTRIES, 10 * number) for number in range(1, 5)}
    watched.deploy(**logs)
    assert watched.states() == ["first"] * 4
    watched.deploy(**logs | {"2": log_of(2, OTHERS, 50), "5": log_of(5, ENTRIES, 1)})
    checks = watched.look()
    assert [check.state for check in checks] == ["same", "conflict", "same", "same", "first"]
    assert checks[1].code == "history_changed_rewritten"
    assert checks[1].evidence is not None
    assert checks[1].evidence.exists()


def test_a_log_that_is_not_listed_any_more_is_missed(watched: Watched) -> None:
    """Hiding a log does not end its watch: no answer, and its own look at it each time."""
    logs = {str(number): log_of(number, ENTRIES, 10) for number in (1, 2)}
    watched.deploy(**logs)
    watched.look()
    watched.deploy(**{"1": logs["1"]})
    checks = watched.look()
    assert [check.state for check in checks] == ["same", "unanswered"]
    assert checks[1].url.endswith("/logs/2")


def test_another_log_in_the_place_of_one_is_a_conflict(watched: Watched) -> None:
    """A whole new deployment with a new key is a first sight for a client, and not for whoever remembers."""
    watched.site.logs["/l"] = shown(ENTRIES, 10)
    watched.look("/l")
    watched.site.logs["/l"] = log_of(9, OTHERS, 500)
    (check,) = watched.look("/l")
    assert (check.state, check.code, check.origin) == ("conflict", "history_changed_replaced", ORIGIN)
    for path in watched.pins.folder.glob("*.pin"):  # somebody accepts it
        path.unlink()
    assert watched.states("/l") == ["first"]
    assert watched.states("/l") == ["same"]


def test_the_log_over_all_logs_is_watched_where_there_is_one(watched: Watched) -> None:
    """`/deployment/checkpoint` joins the logs that are listed, and is missed when it goes."""
    watched.deploy(**{"1": log_of(1, ENTRIES, 10)})
    assert watched.states() == ["first"]
    watched.site.logs["/d/deployment"] = shown(ENTRIES, 20)
    assert watched.states() == ["same", "first"]
    watched.site.logs["/d/deployment"] = shown(ENTRIES, 21)
    assert watched.states() == ["same", "newer"]
    del watched.site.logs["/d/deployment"]
    assert watched.states() == ["same", "unanswered"]


def test_keys_from_elsewhere_are_asked_for_each_log(watched: Watched) -> None:
    """A log without a key among those given is wrong, as is one that is signed with another."""
    watched.site.logs["/l"] = shown(ENTRIES, 10)
    (unknown,) = watched.look("/l", Signer("other.example", bytes(32)).verifier)
    assert (unknown.state, "none of the keys given" in str(unknown.detail)) == ("wrong", True)
    assert watched.look("/l", Signer(ORIGIN, bytes(32)).verifier)[0].state == "wrong"
    assert watched.look("/l", SIGNER.verifier)[0].state == "first"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"hello", "not_found"),  # no checkpoint, and no list of logs beside it
        (b"x" * (1 << 19), "unexpected_answer"),
    ],
)
def test_what_is_no_log_is_no_answer(watched: Watched, answer: bytes, code: str) -> None:
    """Whatever stands there, in one check, bounded."""
    watched.site.pages["/l/checkpoint"] = lambda _path: answer
    (check,) = watched.look("/l")
    assert (check.state, check.code) == ("unanswered", code)


def test_a_known_log_that_shows_no_checkpoint_is_wrong(watched: Watched) -> None:
    """Once a log stood at a URL, nothing else is taken for one."""
    watched.site.logs["/l"] = shown(ENTRIES, 10)
    watched.look("/l")
    watched.site.pages["/l/checkpoint"] = lambda _path: b"hello"
    assert watched.states("/l") == ["wrong"]
    watched.site.statuses["/l/checkpoint"] = 503
    assert watched.look("/l")[0].code == "saturated"
    watched.site.redirects["/l/checkpoint"] = "/d/checkpoint"
    assert watched.look("/l")[0].code == "unexpected_answer"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"logs":[{}]}', b'{"logs":1}', b"[" * 100_000])
def test_what_is_no_list_of_logs_is_no_answer(watched: Watched, body: bytes) -> None:
    """A deployment is believed only in its own shape."""
    watched.site.pages["/d/logs"] = lambda _path: body
    (check,) = watched.look()
    assert (check.state, check.code) == ("unanswered", "unexpected_answer")


def test_a_list_without_an_end_is_given_up(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that pages for ever is left at the limit."""
    body = json.dumps({"logs": [{"log_id": "1", "origin": "x"}] * 3, "next": "1"}).encode()
    watched.site.pages["/d/logs"] = watched.site.pages["/d/logs?after=1"] = lambda _path: body
    limits = type("Few", (), {"monitored_logs": 7, "checked_answer_bytes": 1 << 20})
    monkeypatch.setattr("indelible.client.monitor.DEFAULT_LIMITS", limits)
    (check,) = watched.look()
    assert "more than 7 logs" in str(check.detail)
