"""`indelible monitor`, `verify URL` and the pins of other commands: the program, against real servers."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from tests.harness.monitoring import environment, grow, run
from tests.harness.operating import PROGRAM
from tests.harness.server import ROOT_KEY, RunningServer, start_server
from tests.harness.tiles import ORIGIN, SIGNER, entries_of, shown, site

ENTRIES = entries_of(40)
OTHERS = entries_of(40, lambda at, entry: entry._replace(writer=b"w" * 16) if at == 0 else entry)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[RunningServer]:
    """A server with keys, and a log `acme` of 300 events."""
    with start_server(tmp_path / "data") as server:
        with server.client() as client:
            client.post("/logs", json={"name": "acme"}).raise_for_status()
        grow(server, "acme", 300)
        yield server


def test_a_deployment_is_watched_once(served: RunningServer, tmp_path: Path) -> None:
    """First all logs that the key may read, then what is new; a key is needed, and goes to one server."""
    key = {"INDELIBLE_KEY": ROOT_KEY}
    first = run(tmp_path, "monitor", served.url, "--once", "--json", **key)
    assert first.returncode == 0, first.stdout + first.stderr
    checks = [json.loads(line) for line in first.stdout.splitlines()]
    assert [check["state"] for check in checks] == ["first"] * 3  # acme, _audit, and the log of heads
    notices = [json.loads(line) for line in first.stderr.splitlines()]
    assert {notice["origin"] for notice in notices} == {check["origin"] for check in checks}
    grow(served, "acme", 20)
    again = run(tmp_path, "monitor", served.url, "--once", "--json", **key)
    (newer,) = [check for check in map(json.loads, again.stdout.splitlines()) if check["size"] == 320]
    assert (newer["state"], newer["entries"], again.stderr) == ("newer", 20, "")
    without = run(tmp_path, "monitor", served.url, "--once")
    assert without.returncode == 3
    assert "unauthenticated" in without.stdout
    two = run(tmp_path, "monitor", served.url, "http://127.0.0.2:1", "--once", **key)
    assert two.returncode == 2
    assert "one server" in two.stderr


def test_the_commands_that_see_a_checkpoint_share_the_pins(served: RunningServer, tmp_path: Path) -> None:
    """`log show`, `proof` and `append --proof`: one first sight among them, and no look by other commands."""
    key = {"INDELIBLE_KEY": ROOT_KEY, "INDELIBLE_URL": served.url}
    assert run(tmp_path, "log", "list", **key).stderr == ""
    assert run(tmp_path, "proof", "acme", "3", "--no-pins", **key).stderr == ""
    assert not (tmp_path / "pins").exists()
    listed = run(tmp_path, "log", "show", "acme", "--json", **key)
    assert json.loads(listed.stderr)["notice"] == "first_sight"
    assert json.loads(listed.stdout)["checkpoint"].split("\n")[1] == "300"
    for words in (
        ("append", "acme", "--event", "{}", "--proof"),
        ("proof", "acme", "301", "--output", "x"),
        ("proof", "acme", "--first", "5", "--last", "9"),
        ("log", "show", "acme"),
    ):
        done = run(tmp_path, *words, **key)
        assert (done.returncode, done.stderr) == (0, ""), words
    (pin,) = (tmp_path / "pins").glob("*.pin")
    assert b"\n301\n" in pin.read_bytes()


def test_a_whole_log_is_verified_where_it_is_served(served: RunningServer, tmp_path: Path) -> None:
    """Exit 0 with the key from elsewhere, 6 without; with --payloads each event; 1 with another log's key."""
    vkey = httpx.get(f"{served.url}/logs/acme/keys", headers={"authorization": f"Bearer {ROOT_KEY}"}).json()[
        "keys"
    ][0]["verifier_key"]
    (tmp_path / "root").write_text(ROOT_KEY)
    url = f"{served.url}/logs/acme/checkpoint"
    words = ("verify", url, "--key-file", "root")
    without = run(tmp_path, *words)
    assert without.returncode == 6, without.stdout + without.stderr
    done = run(tmp_path, *words, "--key", vkey, "--payloads", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    claims = json.loads(done.stdout)["claims"]
    assert [claim["verdict"] for claim in claims] == ["proved"] * 5
    assert "What each of the 300 events says" in claims[-1]["says"]
    plain = run(tmp_path, *words, "--key", vkey)
    assert plain.stdout.splitlines()[-1] == "Everything that the log claims is proved."
    other = SIGNER.verifier.vkey.replace(ORIGIN, vkey.split("+")[0])
    assert run(tmp_path, *words, "--key", other).returncode == 1
    assert run(tmp_path, "verify", f"{served.url}/logs/nowhere", "--key-file", "root").returncode == 1
    assert run(tmp_path, "verify", "https://", "--no-pins").returncode == 2


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def line_with(output: IO[str], state: str, seconds: float = 30) -> dict[str, Any]:
    """Read lines until one has this state."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check: dict[str, Any] = json.loads(output.readline())
        if check["state"] == state:
            return check
    raise AssertionError(f"no look was {state}")


def test_a_monitor_stays_up_over_restarts_and_ends_with_sigterm(tmp_path: Path) -> None:
    """A server that is away is no answer; what it has later continues what was seen; SIGTERM is exit 0."""
    port = str(free_port())
    data = tmp_path / "data"
    with start_server(data, "--port", port) as server:
        with server.client() as client:
            client.post("/logs", json={"name": "acme"}).raise_for_status()
        grow(server, "acme", 3)
        words = ["monitor", f"{server.url}/logs/acme", "--interval", "1s", "--json"]
        process = subprocess.Popen(
            [*PROGRAM, *words],
            env=environment(tmp_path, INDELIBLE_KEY=ROOT_KEY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert line_with(process.stdout, "first")["size"] == 3
            assert server.stop() == 0
            assert line_with(process.stdout, "unanswered")["code"] == "unreachable"
            with start_server(data, "--port", port) as again:
                grow(again, "acme", 2)
                assert line_with(process.stdout, "newer")["size"] == 5
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0, process.stderr.read()
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def test_a_conflict_ends_the_monitor_with_a_code_of_its_own(tmp_path: Path) -> None:
    """7 and a file, once or for ever; the next run finds it again, until the pin is deleted."""
    with site() as server:
        server.logs["/log"] = shown(ENTRIES, 10)
        assert run(tmp_path, "monitor", f"{server.url}/log", "--once").returncode == 0
        server.logs["/log"] = shown(OTHERS, 20)
        for words in (("--once",), ("--interval", "1s"), ("--once", "--json")):
            done = run(tmp_path, "monitor", f"{server.url}/log", *words)
            assert done.returncode == 7, done.stdout + done.stderr
        (file,) = (tmp_path / "pins").glob("*.conflict-1")
        assert json.loads(done.stdout)["evidence"] == str(file)
        verified = run(tmp_path, "verify", f"{server.url}/log", "--json")
        assert verified.returncode == 7
        told = json.loads(verified.stderr)
        assert (told["code"], told["kind"], told["evidence"]) == ("history_changed", "rewritten", str(file))
        (pin,) = (tmp_path / "pins").glob("*.pin")
        pin.unlink()
        assert run(tmp_path, "monitor", f"{server.url}/log", "--once").returncode == 0


def test_keeping_going_shows_the_conflict_in_metrics(tmp_path: Path) -> None:
    """The other log is watched on, and Prometheus sees sizes, times, failures by code and the conflict."""
    with site() as server:
        server.logs |= {"/a": shown(ENTRIES, 10), "/b": shown(OTHERS, 20)}
        urls = [f"{server.url}/a", f"{server.url}/b"]
        words = ["monitor", *urls, "--interval", "1s", "--json", "--keep-going", "--metrics-port", "0"]
        with subprocess.Popen(
            [*PROGRAM, *words],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                where = process.stderr.readline().removeprefix("metrics on ").strip()
                found = line_with(process.stdout, "conflict")  # one origin, two histories
                assert found["url"] == urls[1]
                line_with(process.stdout, "same")
                line_with(process.stdout, "conflict")
                shows = httpx.get(where).text
            finally:
                process.terminate()
            assert process.wait(10) == 0
    assert f'indelible_monitor_head_size{{log="{urls[0]}"}} 10.0' in shows
    assert f'indelible_monitor_conflict{{log="{urls[1]}"}} 1.0' in shows
    assert f'code="history_changed_rewritten",log="{urls[1]}"' in shows
    assert f'indelible_monitor_consistent_timestamp_seconds{{log="{urls[0]}"}}' in shows
    assert 'indelible_monitor_checks_total{state="same"}' in shows


@pytest.mark.parametrize(
    "words",
    [
        ("--interval", "0s"),
        ("--interval", "soon"),
        ("--key", "no+key", "--once"),
        ("--key-file", "missing", "--once"),
    ],
)
def test_a_monitor_typed_wrong_is_told_in_a_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    """No traceback, and a code that is none of those of a look."""
    done = run(tmp_path, "monitor", "http://127.0.0.1:1/logs/x", *words)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_damaged_pin_says_what_to_do(tmp_path: Path) -> None:
    """It is an error, and no first sight."""
    with site() as server:
        server.logs["/log"] = shown(ENTRIES, 10)
        assert run(tmp_path, "monitor", f"{server.url}/log", "--once").returncode == 0
        (pin,) = (tmp_path / "pins").glob("*.pin")
        pin.write_bytes(pin.read_bytes()[:-5])
        done = run(tmp_path, "monitor", f"{server.url}/log", "--once")
        assert (done.returncode, "is damaged" in done.stderr) == (1, True)
