"""Attacks by whoever runs the server and has its files and its master secret: who finds them, who cannot.

Each test does to a real store what its docstring says, serves it, sees that the server itself and a client
without memory notice nothing, and then that whoever remembers a head does.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.harness.calls import serving
from tests.harness.operating import quiet

from indelible.client import Client, HistoryChanged, PinStore, Retry, verify_checkpoint
from indelible.client.errors import Change
from indelible.client.monitor import Watch
from indelible.client.transport import Transport
from indelible.config import Settings
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from indelible.notes.keys import Signer, derive_seed
from indelible.notes.note import parse_note
from indelible.operate.backup import back_up
from indelible.operate.restore import restore

LOG = "acme"


class Served:
    """A served copy of the deployment."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Client(url, retry=Retry(tries=1))

    def append(self, *words: str) -> None:
        """Append an event for each word, and have the head published."""
        self.client.append_batch(LOG, [{"type": "x", "says": word} for word in words])
        head = self.client.log(LOG).head
        assert head is not None
        self.client.inclusion(LOG, head.size)

    def note(self) -> bytes:
        """The checkpoint, as a client without memory takes it: signed with the log's key, and all is well."""
        note = self.client.checkpoint(LOG)
        (key,) = self.client.log_keys(LOG)["keys"]
        verify_checkpoint(note, key["verifier_key"])
        assert httpx.get(f"{self.url}/readyz").json()["details"]["refused_logs"] == 0
        return note

    def seen_by(self, pins: PinStore) -> bytes:
        """The checkpoint, as a client that remembers heads takes it."""
        with Client(self.url, pins=pins, retry=Retry(tries=1)) as client:
            return client.checkpoint(LOG)

    def watched_by(self, pins: PinStore) -> str | None:
        """What a monitor of this log finds: None where all is consistent."""
        log = self.client.log(LOG).log_id
        watch = Watch(Transport(f"{self.url}/logs/{log}", None, retry=Retry(1), timeout_seconds=30), pins)
        (check,) = watch.round()
        watch.close()
        return check.code


@contextmanager
def serve(data: Path) -> Iterator[Served]:
    """Serve a directory until the block ends."""
    with serving(Settings(data, port=0, no_auth=True)) as url:
        served = Served(url)
        try:
            yield served
        finally:
            served.client.close()


def copied(data: Path, name: str) -> Path:
    """A copy of a deployment that is not served, as its operator can make one at any time."""
    return Path(shutil.copytree(data, data.with_name(name), ignore=shutil.ignore_patterns("cache")))


def size_of(note: bytes) -> int:
    """How many events a checkpoint covers."""
    return parse_checkpoint(parse_note(note).text).size


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A deployment whose log has no events yet."""
    with serve(tmp_path / "data") as served:
        served.client.create_log(LOG)
    return tmp_path / "data"


@pytest.fixture
def data(empty: Path) -> Path:
    """The same with ten events, all published; a copy of it before them stays beside it."""
    copied(empty, "empty")
    with serve(empty) as served:
        served.append(*map(str, range(10)))
        assert size_of(served.note()) == 10
    return empty


@pytest.fixture
def pins(tmp_path: Path) -> PinStore:
    """What somebody outside remembers."""
    return PinStore(tmp_path / "pins")


def refused(look: Callable[[PinStore], object], pins: PinStore, kind: Change) -> None:
    """The history must have changed in this way, with evidence, and again at every later look."""
    for _ in range(2):
        with pytest.raises(HistoryChanged) as found:
            look(pins)
        assert found.value.kind == kind
        assert found.value.evidence is not None
        text = found.value.evidence.read_bytes()
        assert found.value.pinned in text
        assert found.value.seen in text


@pytest.mark.parametrize(("more", "kind"), [(5, "fork"), (8, "rewritten"), (2, "rollback")])
def test_two_histories_served_to_two_clients(data: Path, pins: PinStore, more: int, kind: Change) -> None:
    """Attack: one backup restored twice under one master secret and origin, and gone on with differently.

    Found by: a client (or monitor) that has seen one of them and is shown the other, whatever its size. Not
    found by: two readers who each see one history only and never compare heads.
    """
    other = copied(data, "other")
    with serve(data) as one, serve(other) as two:
        one.append(*"abcde")
        two.append(*"ABCDEFGHI"[:more])
        assert size_of(one.note()) == 15
        assert size_of(two.note()) == 10 + more
        one.seen_by(pins)
        alone = PinStore(pins.folder / "another reader")
        two.seen_by(alone)
        two.seen_by(alone)  # who sees one history only finds nothing
        refused(two.seen_by, pins, kind)
        assert two.watched_by(pins) == f"history_changed_{kind}"
        one.seen_by(pins)  # the history that was pinned goes on being good
        assert one.watched_by(pins) is None


def test_the_tail_cut_and_the_published_objects_cut_too(data: Path, pins: PinStore) -> None:
    """Attack: rows set back to an older state, and the checkpoint outside the database replaced to fit.

    Found by: a pinned client and a monitor. Not found by: the server at its start, whose own memory the
    operator edited, nor a client that sees the log for the first time.
    """
    before = copied(data, "before")
    with serve(data) as served:
        served.append(*"abcde")
        served.seen_by(pins)
    for name in ("indelible.db", "indelible.db-wal", "indelible.db-shm"):
        (data / name).unlink(missing_ok=True)
        if (before / name).exists():
            shutil.copyfile(before / name, data / name)
    shutil.rmtree(data / "objects")
    shutil.copytree(before / "objects", data / "objects")
    with serve(data) as served:
        assert size_of(served.note()) == 10
        refused(served.seen_by, pins, "rollback")
        assert served.watched_by(pins) == "history_changed_rollback"
        served.append(*"ABCDEFGH")  # growing past the pinned size does not hide it
        refused(served.seen_by, pins, "rewritten")


def test_a_history_recomputed_and_signed_with_the_stolen_master_secret(data: Path, pins: PinStore) -> None:
    """Attack: every event rewritten, every hash and every signature made anew, under the same origin.

    Found by: a pinned client and a monitor, and whoever holds a head or a proof from before. Not found by
    anybody else: each signature is right and each hash fits.
    """
    with serve(data) as served:
        true = served.note()
        served.seen_by(pins)
    forged = data.with_name("empty")
    assert (forged / "master-secret").read_bytes() == (data / "master-secret").read_bytes()
    with serve(forged) as served:
        served.append(*(f"forged {number}" for number in range(12)))
        assert size_of(served.note()) == 12
        refused(served.seen_by, pins, "rewritten")
        assert served.watched_by(pins) == "history_changed_rewritten"
        assert size_of(true) == 10


def test_a_shorter_log_signed_with_the_right_key(data: Path, pins: PinStore) -> None:
    """Attack: whoever has the master secret signs a head of fewer events, a true beginning, and shows that.

    Found by: a pinned client, when the rest is really gone (the test above). Where the rest is still shown
    it is an older head as a cache may have it: accepted, and what was pinned stays pinned, so that the
    events after it cannot be taken away later.
    """
    with serve(data) as served:
        served.append(*"abcde")
        head = parse_checkpoint(parse_note(served.note()).text)
        served.seen_by(pins)
        signer = Signer(head.origin, derive_seed((data / "master-secret").read_bytes(), head.origin))
        older = sign_checkpoint(Checkpoint(head.origin, 10, root_at(data, 10)), signer)
        with Client(served.url, pins=pins) as client:
            sighting = client.check_history(LOG, older)
        assert sighting is not None
        assert (sighting.state, sighting.pin.head.size) == ("older", 15)
        forged = sign_checkpoint(Checkpoint(head.origin, 10, bytes(32)), signer)
        with Client(served.url, pins=pins) as client, pytest.raises(HistoryChanged) as found:
            client.check_history(LOG, forged)
        assert found.value.kind == "rewritten"


def root_at(data: Path, size: int) -> bytes:
    """The root of the log's beginning, out of its own store."""
    from indelible.log.prove import Prover  # noqa: PLC0415 - here alone
    from indelible.log.read import EventReader  # noqa: PLC0415 - same
    from indelible.store.sqlite import SqliteStore  # noqa: PLC0415 - same

    store = SqliteStore(copied(data, f"look-{size}"))
    try:
        (info,) = [log for log in store.reader.logs(None, "0", 100) if log.name == LOG]
        return Prover(store.reader, EventReader(store.reader)).root_at(info.key, size)
    finally:
        store.close()


def test_an_old_backup_gone_on_with_after_its_marker_was_taken_away(data: Path, pins: PinStore) -> None:
    """Attack: an old backup is restored, which is read-only, and its marker is deleted so that it goes on.

    Found by: a pinned client and a monitor, which saw what came after the backup. Not found by: the server,
    whose only word on it was that marker, once its published objects are the backup's own.
    """
    backup = data.with_name("backup")
    back_up(data, backup, include_secrets=True, progress=quiet)
    with serve(data) as served:
        served.append(*"abcde")
        served.seen_by(pins)
    copy = data.with_name("copy")
    restored = restore(backup, copy, master_secret=None, published=None, progress=quiet)
    assert restored.read_only
    (copy / "restored").unlink()
    with serve(copy) as served:
        refused(served.seen_by, pins, "rollback")
        served.append(*"ABCDEFG")
        assert size_of(served.note()) == 17
        refused(served.seen_by, pins, "rewritten")
        assert served.watched_by(pins) == "history_changed_rewritten"


def test_a_whole_deployment_put_in_the_place_of_another(data: Path, pins: PinStore, tmp_path: Path) -> None:
    """Attack: not the log is changed, but another one, with a key of its own, is served at its URL and name.

    Found by: a monitor, which remembers what stood at a URL, and whoever gives the log's key or id. Not found
    by: a client that asks by name and takes a new origin for a first sight, of which it tells.
    """
    told: list[str] = []
    by_name = PinStore(pins.folder / "by name", lambda pin: told.append(pin.head.origin))
    with serve(data) as served:
        url = served.url
        watch = Watch(Transport(f"{url}/logs/{LOG}", None, retry=Retry(1), timeout_seconds=30), pins)
        assert [check.state for check in watch.round()] == ["first"]
        watch.close()
        served.seen_by(by_name)
    port = int(url.rsplit(":", 1)[1])
    with serving(Settings(tmp_path / "another", port=port, no_auth=True)) as again:
        assert again == url
        other = Served(url)
        other.client.create_log(LOG)
        other.append("a", "b")
        watch = Watch(Transport(f"{url}/logs/{LOG}", None, retry=Retry(1), timeout_seconds=30), pins)
        assert [check.code for check in watch.round()] == ["history_changed_replaced"]
        watch.close()
        other.seen_by(by_name)
        other.client.close()
    assert len(set(told)) == 2
