"""What the events of a served log say, checked against the entries that commit to it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.harness.tiles import SIGNER, START, Site, entries_of, shown, site

from indelible.client import Retry
from indelible.client.claims import Claim
from indelible.client.examine_live import examine_live
from indelible.client.tiled import TiledLog
from indelible.client.transport import Transport
from indelible.merkle.entry import commitment
from indelible.model.instants import format_micros

COUNT = 300
SALT = bytes(range(16))
ENTRIES = entries_of(COUNT, lambda at, entry: entry._replace(commitment=commitment(SALT, b"payload %d" % at)))


def line(at: int, **changes: Any) -> bytes:
    """An event as `/events` streams it, with its exact bytes, and changes."""
    event = {
        "sequence": at + 1,
        "time": format_micros(START + at * 1_000_000),
        "writer": "00000000-0000-0000-0000-000000000000",
        "salt": SALT.hex(),
        "payload_base64": base64.b64encode(b"payload %d" % at).decode(),
    }
    return json.dumps({**event, **changes}).encode() + b"\n"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Site, TiledLog]]:
    """A site with the log, and the log as it is read."""
    with site() as server:
        server.logs["/log"] = shown(ENTRIES)
        transport = Transport(server.url, None, retry=Retry(tries=1), timeout_seconds=10)
        yield server, TiledLog(transport, "/log")
        transport.close()


def claims(served: tuple[Site, TiledLog], lines: list[bytes]) -> tuple[Claim, ...]:
    """What is found when the events are these."""
    server, log = served
    path = "/log/events?bytes=true"
    server.pages[path] = {path: b"".join(lines)}.get
    return examine_live(log, [SIGNER.verifier.vkey], None, payloads=True).claims


def test_events_that_are_what_was_logged_are_proved(served: tuple[Site, TiledLog]) -> None:
    """All of them; those beyond the head that is examined are left alone."""
    lines = [line(at) for at in range(COUNT + 5)]
    found = claims(served, lines)
    assert {claim.verdict for claim in found} == {"proved"}
    assert found[-1].says == f"What each of the {COUNT} events says is what was committed, byte for byte."


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "bytes": ({"payload_base64": base64.b64encode(b"payload 99").decode()}, "its bytes or its salt"),
    "salt": ({"salt": bytes(16).hex()}, "its bytes or its salt"),
    "border of salt and bytes": ({"salt": SALT.hex() + "70"}, "malformed"),
    "time": ({"time": format_micros(START)}, "its time is another"),
    "writer": ({"writer": "550e8400-e29b-41d4-a716-446655440000"}, "its writer is another"),
    "no time": ({"time": "yesterday"}, "malformed"),
    "no bytes": ({"payload_base64": "*"}, "malformed"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_an_event_that_is_another_is_named(served: tuple[Site, TiledLog], case: str) -> None:
    """Whatever of it was changed, by its sequence."""
    change, words = CHANGES[case]
    found = claims(served, [line(at, **(change if at == 270 else {})) for at in range(COUNT)])
    assert found[-1].verdict == "refuted"
    assert found[-1].says.startswith("Event 271 as it is read is not the one logged: ")
    assert words in found[-1].says


def test_an_event_that_is_not_shown_is_named(served: tuple[Site, TiledLog]) -> None:
    """Its entry is in the tree, and the stream ends before it."""
    found = claims(served, [line(at) for at in range(270)])
    assert (found[-1].verdict, found[-1].says[:10]) == ("refuted", "Event 271 ")
