"""Attacks on a window of time that was answered: an event is dated into it afterwards."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.harness.calls import serving
from tests.harness.logs import START, Hands

from indelible.client import Client, HistoryChanged, PinStore, Retry
from indelible.client.examine import Examined, examine
from indelible.config import Settings
from indelible.model.instants import format_micros

LOG = "acme"
SECOND = 1_000_000
FROM, TO = format_micros(START), format_micros(START + 60 * SECOND)


@contextmanager
def serve(data: Path, seconds: int) -> Iterator[tuple[Client, Hands]]:
    """Serve a directory under a clock that shows so many seconds after the start, in a boot of its own."""
    hands = Hands(wall=START + seconds * SECOND, boot_id=f"boot {data.name} {seconds}")
    with (
        serving(Settings(data, port=0, no_auth=True), hands.clock()) as url,
        Client(url, retry=Retry(tries=1)) as client,
    ):
        yield client, hands


def append_at(client: Client, hands: Hands, seconds: int, says: str) -> int:
    """Append when the clock shows so many seconds after the start; gives the seconds of the receipt."""
    hands.pass_by(seconds - (hands.wall - START) / SECOND)
    return (client.append(LOG, {"says": says}).time_micros - START) // SECOND


def copied(data: Path, name: str) -> Path:
    """A copy of a deployment that is not served."""
    return Path(shutil.copytree(data, data.with_name(name), ignore=shutil.ignore_patterns("cache")))


def answered(client: Client) -> tuple[bytes, Examined]:
    """The proof of the window, and what `verify` says of it with the log's key."""
    proof = client.range_proof(LOG, from_=FROM, to=TO)
    return proof, examine(proof, None, [client.log_keys(LOG)["keys"][0]["verifier_key"]])


def says(examined: Examined, words: str) -> str:
    """The verdict of the claim that has these words."""
    (claim,) = [claim for claim in examined.claims if words in claim.says]
    return claim.verdict


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three events in the window, at 10, 20 and 30 s."""
    with serve(tmp_path / "data", 1) as (client, hands):
        client.create_log(LOG)
        assert [append_at(client, hands, at, "true") for at in (10, 20, 30)] == [10, 20, 30]
    return tmp_path / "data"


def test_an_event_dated_into_a_window_whose_end_was_open(data: Path) -> None:
    """Attack: the window is answered before anything came after it; the clock is set back, and one is added.

    Found by: nobody needs to. The first answer said itself that its end was not proved and that an event
    could still be dated into it; both heads belong to one history. Whoever holds both proofs sees it.
    """
    asked = copied(data, "asked")  # so that nothing that the question leaves behind hinders the attack
    with serve(asked, 100) as (client, _):
        first, examined = answered(client)
        earlier = client.checkpoint(LOG)
        assert says(examined, "Received in the window: 3 events") == "proved"
        assert says(examined, "could still be dated into it") == "unproved"
    with serve(data, 40) as (client, hands):
        assert append_at(client, hands, 50, "late") == 50
        append_at(client, hands, 100, "after")
        second, examined = answered(client)
        assert says(examined, "Received in the window: 4 events") == "proved"
        assert says(examined, "complete at its end") == "proved"
        pins = PinStore(data.with_name("pins"))
        with Client(client.transport.url, pins=pins) as reader:
            reader.check_history(LOG, earlier)
            assert size_of(first) < size_of(second)
            reader.checkpoint(LOG)  # one history: no conflict


def test_an_event_dated_into_a_window_that_was_proved_complete(data: Path) -> None:
    """Attack: the window was proved complete at both ends, and an event is dated into it all the same.

    Its operator goes back to a copy from before the event that closed it, and sets the clock back.

    Found by: whoever holds the earlier proof (or its head) and sees the later one: the heads are of two
    histories, and the two proofs have two entries for one sequence under heads that one key signed. Not
    found by: somebody with only one of the two proofs; each of them verifies.
    """
    before = copied(data, "before")
    with serve(data, 40) as (client, hands):
        append_at(client, hands, 100, "after")
        first, examined = answered(client)
        assert says(examined, "Received in the window: 3 events") == "proved"
        assert says(examined, "complete at its end") == "proved"
        pins = PinStore(data.with_name("pins"))
        with Client(client.transport.url, pins=pins) as reader:
            reader.range_proof(LOG, from_=FROM, to=TO)
    with serve(before, 40) as (client, hands):
        assert append_at(client, hands, 50, "backdated") == 50
        append_at(client, hands, 110, "after")
        second, examined = answered(client)
        assert says(examined, "Received in the window: 4 events") == "proved"
        assert says(examined, "complete at its end") == "proved"
        with Client(client.transport.url, pins=pins) as reader, pytest.raises(HistoryChanged) as found:
            reader.range_proof(LOG, from_=FROM, to=TO)
        assert found.value.kind == "rewritten"
    assert entries(first)[3] != entries(second)[3]
    assert entries(first)[3][2:18] == entries(second)[3][2:18] == f"{4:016x}"


def entries(proof: bytes) -> list[str]:
    """The entries of a range proof, in hex."""
    found: list[str] = json.loads(proof)["entries"]
    return found


def size_of(proof: bytes) -> int:
    """The size of the head of a range proof."""
    return int(json.loads(proof)["size"])
