"""`indelible doctor`: every condition that it knows, made in a real data directory."""

import asyncio
import json
import shutil
import stat
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.server import start_server

from indelible.app import Server
from indelible.cli import main
from indelible.config import Settings
from indelible.model.clock import SYSTEM_CLOCK, Clock
from indelible.model.limits import GIB
from indelible.operate.backup import back_up
from indelible.operate.doctor import (
    Check,
    examine,
    judge_clock,
    judge_fsync,
    judge_room,
    judge_sqlite,
    main_state,
)
from indelible.operate.restore import restore
from indelible.store.base import StoreRefused

HOUR = 3_600_000_000


def quiet(_what: str, _done: int, _of: int) -> None:
    """Show no progress."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory that was served: a log with 30 events, published."""
    data = tmp_path_factory.mktemp("served") / "data"
    with start_server(data) as server, server.client() as http:
        assert http.post("/logs", json={"name": "log"}).status_code == 201
        for number in range(30):
            assert http.post("/logs/log/append", json={"n": number}).status_code == 201
        assert server.stop() == 0
    return data


@pytest.fixture
def data(served: Path, tmp_path: Path) -> Path:
    """Give a copy of it that the test may change."""
    copy = Path(shutil.copytree(served, tmp_path / "data"))
    copy.chmod(0o700)
    return copy


def examined(data: Path) -> dict[str, Check]:
    """The checks by their names."""
    checks = list(examine(data))
    assert [check.name for check in checks] == [
        "deployment", "sqlite", "permissions", "master secret", "room", "fsync", "database", "clock",
        "published heads", "copy", "archive", "object lock",
    ]  # fmt: skip
    return {check.name: check for check in checks}


def not_ok(data: Path) -> dict[str, str]:
    """What is not as it should be, the room and speed of this machine's disk aside."""
    return {
        name: check.state
        for name, check in examined(data).items()
        if check.state != "ok" and name not in {"room", "fsync"}
    }


def change(data: Path, statement: str) -> None:
    """Run a statement on the database."""
    connection = apsw.Connection(str(data / "indelible.db"))
    connection.execute(statement)
    connection.close()


def files(data: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a directory with its mode, but for what SQLite keeps beside the database."""
    return {
        str(path.relative_to(data)): (path.stat().st_mode, path.read_bytes())
        for path in data.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_sound_directory_only_lacks_a_copy_of_its_secret(data: Path, tmp_path: Path) -> None:
    """Nothing is changed by looking; a backup with secrets ends the one remark."""
    before = files(data)
    assert not_ok(data) == {"master secret": "look"}
    assert files(data) == before
    back_up(data, tmp_path / "without", include_secrets=False, progress=quiet)
    assert not_ok(data) == {"master secret": "look"}
    back_up(data, tmp_path / "with", include_secrets=True, progress=quiet)
    assert not_ok(data) == {}


def test_beside_a_running_server_it_says_the_same(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It takes no lock, and the server goes on."""
    with start_server(data) as server, server.client() as http:
        assert http.post("/logs/log/append", json={"n": 31}).status_code == 201
        assert not_ok(data) == {"master secret": "look"}
        assert http.post("/logs/log/append", json={"n": 32}).status_code == 201
        assert main(["doctor", "--data", str(data), "--json"]) == 0
        assert server.stop() == 0
    said = json.loads(capsys.readouterr().out)
    assert said["state"] in {"look", "bad"}  # bad: this machine's disk may be full
    assert said["checks"][0]["name"] == "deployment"


@pytest.mark.parametrize("name", ["master-secret", "indelible.db"])
def test_what_others_can_read_is_bad(data: Path, name: str) -> None:
    """Named with what to do; and the other checks still speak."""
    (data / name).chmod(0o644)
    checks = examined(data)
    assert checks["permissions"].state == "bad"
    assert name in checks["permissions"].says
    assert "chmod 600" in checks["permissions"].says
    assert checks["database"].state == "ok"
    data.chmod(0o755)
    (data / name).chmod(0o600)
    assert examined(data)["permissions"].state == "look"
    assert stat.S_IMODE(data.stat().st_mode) == 0o755


def test_a_missing_or_wrong_master_secret_is_bad(data: Path) -> None:
    """Both for itself and for the heads that can't be checked without it."""
    secret = (data / "master-secret").read_bytes()
    (data / "master-secret").write_bytes(bytes(32))
    assert not_ok(data) == {"master secret": "bad", "published heads": "bad"}
    assert "not the one" in examined(data)["master secret"].says
    (data / "master-secret").unlink()
    assert not_ok(data) == {"master secret": "bad", "published heads": "bad"}
    (data / "master-secret").write_bytes(secret)
    (data / "master-secret").chmod(0o600)
    assert not_ok(data) == {"master secret": "look"}


def test_a_log_that_does_not_match_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A head rolled back behind the published one: bad, with the log and what was found; JSON stays JSON."""
    change(data, "DELETE FROM head WHERE log = (SELECT key FROM log WHERE name = 'log')")
    checks = examined(data)
    assert checks["published heads"].state == "bad"
    assert checks["published heads"].says.startswith("1 of the logs")
    assert "; log (" in checks["published heads"].says
    capsys.readouterr()
    assert main(["doctor", "--data", str(data), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "bad"


def test_a_changed_payload_at_the_end_is_found(data: Path) -> None:
    """The last events of each log are recomputed."""
    change(data, "UPDATE chunk SET payload = CAST(zeroblob(length(payload)) AS BLOB)")
    says = examined(data)["published heads"].says
    assert "do not match their commitments" in says


def test_a_damaged_database_is_bad_and_no_crash(data: Path) -> None:
    """Broken pages: the database is bad; a file that is no database is refused in one sentence."""
    content = bytearray((data / "indelible.db").read_bytes())
    for page in range(3, len(content) // 16_384):
        content[page * 16_384 : page * 16_384 + 64] = b"\xff" * 64
    (data / "indelible.db").write_bytes(content)
    assert examined(data)["database"].state == "bad"
    (data / "indelible.db").write_bytes(b"nothing of the kind" * 1_000)
    with pytest.raises(StoreRefused, match="damaged or no database"):
        list(examine(data))


def test_an_event_from_the_future_deserves_a_look(tmp_path: Path) -> None:
    """Written by a server whose clock was an hour ahead."""
    ahead = Clock(wall_micros=lambda: SYSTEM_CLOCK.wall_micros() + HOUR, boot_micros=SYSTEM_CLOCK.boot_micros)

    async def serve() -> None:
        server = Server(Settings(tmp_path / "data", port=0, no_auth=True), ahead)
        await server.start()
        await server.stop()

    asyncio.run(serve())
    check = examined(tmp_path / "data")["clock"]
    assert check.state == "look"
    assert "ahead of this clock" in check.says


def test_a_clock_far_past_the_last_time_alive_deserves_a_look() -> None:
    """As the next start will refuse it; so do events of the future. A day's stop is none of these."""
    day, now = 24 * HOUR, 1_700_000_000_000_000
    assert judge_clock(now, now, now)[0] == "ok"
    assert judge_clock(now, now - 9 * day, now - day)[0] == "ok"
    assert judge_clock(now, 0, 0)[0] == "ok"
    state, says = judge_clock(now, now - 9 * day, now - 2 * day)
    assert state == "look"
    for words in ("2023-11-14T22:13:20", "2023-11-12T22:13:20", "--accept-clock"):
        assert words in says
    assert judge_clock(now, now - 9 * day, now - 2 * day, now - day)[0] == "ok"  # the machine stayed up
    assert judge_clock(now, now - 9 * day, now - 4 * day, now - 2 * day)[0] == "look"


def test_a_restored_copy_deserves_a_look(data: Path, tmp_path: Path) -> None:
    """Until it goes on."""
    back_up(data, tmp_path / "backup", include_secrets=True, progress=quiet)
    places: dict[str, Any] = {"master_secret": None, "progress": quiet}
    restore(tmp_path / "backup", tmp_path / "copy", published=None, **places)
    assert not_ok(tmp_path / "copy") == {"master secret": "look", "copy": "look"}
    restore(tmp_path / "backup", tmp_path / "going-on", published=data / "objects", **places)
    assert not_ok(tmp_path / "going-on") == {"master secret": "look"}


def test_what_is_no_data_directory_is_refused(tmp_path: Path) -> None:
    """And nothing is made there by looking."""
    with pytest.raises(StoreRefused, match="holds no store"):
        list(examine(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (judge_room(GIB // 2, GIB * 100), "bad"),
        (judge_room(GIB * 5, GIB * 100), "look"),
        (judge_room(GIB * 50, GIB * 100), "ok"),
        (judge_fsync(0.0005), "ok"),
        (judge_fsync(0.05), "look"),
        (judge_sqlite("3.40.1"), "bad"),
        (judge_sqlite("3.51.3"), "ok"),
        (judge_sqlite("4.0.0"), "ok"),
    ],
)
def test_what_is_measured_is_judged(verdict: tuple[str, str], state: str) -> None:
    """Room, speed and version, at values on both sides of each bound."""
    assert verdict[0] == state
    assert verdict[1]


def test_the_worst_state_is_the_state_of_all() -> None:
    """One bad check is enough."""
    look, bad, fine = Check("x", "look", ""), Check("x", "bad", ""), Check("x", "ok", "")
    assert [main_state(checks) for checks in ([fine], [fine, look], [bad, look, fine], [])] == [
        "ok", "look", "bad", "ok",
    ]  # fmt: skip
