"""What a 201 rests on, seen from outside: the system calls of a real server, and disks that fail it.

`kill -9` proves nothing of a disk, since the page cache outlives the process. So the order of system calls
is looked at, and their errors are injected.
"""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.harness.disks import small_disk
from tests.harness.server import RunningServer, ServerEndedError, start_server
from tests.harness.tracing import need_strace

_CALL = re.compile(r"^\d+\s+(?P<at>\d+\.\d+) (?P<name>\w+)\((?P<rest>.*)$")


def new_log(http: httpx.Client, name: str) -> str:
    """A log's id."""
    return str(http.post("/logs", json={"name": name}).json()["log_id"])


# ---------------------------------------------------------------------- the order of system calls


def test_the_log_of_pages_is_synced_between_its_write_and_the_201(tmp_path: Path) -> None:
    """For each append: write to the WAL, then an fdatasync of it that returned 0, then the answer's bytes."""
    need_strace()
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync"
    before = ("strace", "-f", "-ttt", "-y", "-s", "20000", "-e", calls, "-o", str(trace))
    with start_server(tmp_path / "data", before=before) as server, server.client() as http:
        log = new_log(http, "traced")
        receipts = [
            http.post(f"/logs/{log}/append", content=b"payload-%d." % number).json() for number in range(12)
        ]
        stop_traced(server)
    steps = list(interesting(trace))
    for number, receipt in enumerate(receipts):
        mark, leaf = f"payload-{number}.", receipt["leaf_hash"]
        written = next(i for i, (name, text) in enumerate(steps) if name == "wal" and mark in text)
        answered = next(i for i, (name, text) in enumerate(steps) if name == "send" and leaf in text)
        between = [name for name, _ in steps[written:answered]]
        last_write = max(i for i, name in enumerate(between) if name == "wal")
        assert "sync" in between[last_write:], f"append {number} was answered before its bytes were synced"


def stop_traced(server: RunningServer) -> None:
    """Strace hands a signal on to nobody: the server itself is asked, by the process that it traces."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), 15)
    server.process.wait(60)


def interesting(trace: Path) -> Iterator[tuple[str, str]]:
    """The trace's completed calls in order: `wal` writes, `sync`s of it that returned 0, and `send`s."""
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        process = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[process] = line.removesuffix("<unfinished ...>")
            if "-wal>" in line and "sync(" not in line:
                yield "wal", line  # a write counts from its beginning
            if re.search(r" (sendto|sendmsg|writev?)\(", line):
                yield "send", line
            continue
        whole = line
        if "resumed>" in line:
            whole = begun.pop(process, "") + line.split("resumed>", 1)[1]
        if re.search(r" (fdatasync|fsync)\(", whole):
            if "-wal>" in whole and whole.rstrip().endswith("= 0"):
                yield "sync", whole
        elif "resumed>" not in line:
            yield ("wal" if "-wal>" in whole else "send"), whole


# ---------------------------------------------------------------------- a disk whose sync fails


@pytest.mark.parametrize("when", [1, 2, 5])
def test_an_append_whose_sync_fails_is_never_a_2xx_and_the_server_stops(tmp_path: Path, when: int) -> None:
    """EIO from fdatasync, injected while serving: no success is told, and the process ends by itself."""
    need_strace()
    with start_server(tmp_path / "data") as server, server.client() as http:
        log = new_log(http, "eio")
        acknowledged = [http.post(f"/logs/{log}/append", content=b"before").json()["sequence"]]
        inject = f"inject=fdatasync,fsync:error=EIO:when={when}+"
        command = ["strace", "-f", "-p", str(server.process.pid), "-e", inject, "-o", "/dev/null"]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert tracer.stderr is not None
        assert b"attached" in tracer.stderr.readline()
        outcomes: list[int] = []

        def append(number: int) -> None:
            try:
                answer = http.post(f"/logs/{log}/append", content=b"during-%d" % number)
            except httpx.TransportError:
                return
            outcomes.append(answer.status_code)
            if answer.status_code == 201:
                acknowledged.append(answer.json()["sequence"])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(append, range(40)))
        assert server.wait(40) not in {0, -9}
        tracer.wait(30)
        tracer.stderr.close()
        # Before the injected call there were at most `when - 1` syncs, each of one group of at most 4.
        assert outcomes.count(201) <= (when - 1) * 4
        assert set(outcomes) <= {201, 503}
    with start_server(tmp_path / "data") as server, server.client() as http:
        events = http.get(f"/logs/{log}/events").json()["events"]
        assert set(acknowledged) <= {event["sequence"] for event in events}


# ---------------------------------------------------------------------- a disk that is full


def test_a_full_disk_is_507_or_an_end_and_never_a_lost_event(tmp_path: Path) -> None:
    """Files may not grow: appends are refused, or the server stops; all that was told is there."""
    launcher = ("sh", "-c", 'ulimit -f 4096; exec "$@"', "sh")  # blocks of 512 bytes: 2 MiB a file
    with start_server(tmp_path / "data") as server, server.client() as http:
        log = new_log(http, "full")
        assert server.stop() == 0
    told = []
    with start_server(tmp_path / "data", before=launcher) as server, server.client() as http:
        for number in range(200):
            body = b"%d " % number + b"x" * 60_000
            try:
                answer = http.post(f"/logs/{log}/append", content=body)
            except httpx.TransportError:
                break
            if answer.status_code != 201:
                assert answer.status_code in {503, 507}
                break
            told.append((answer.json()["sequence"], body[:10]))
        else:
            pytest.fail("the disk was never full")
    assert told
    with start_server(tmp_path / "data") as server, server.client() as http:
        for sequence, begin in told:
            assert http.get(f"/logs/{log}/events/{sequence}/raw").content[:10] == begin
        assert http.post(f"/logs/{log}/append", content=b"goes on").status_code == 201


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB in memory."""
    with small_disk(tmp_path / "disk", mib=24) as place:
        yield place


def test_a_full_file_system_refuses_and_recovers_without_a_restart(disk: Path) -> None:
    """ENOSPC: 507 while it is full; reading goes on; when there is room again appends do."""
    ballast = disk / "ballast"
    with start_server(disk / "data") as server, server.client() as http:
        log = new_log(http, "full")
        told = [http.post(f"/logs/{log}/append", content=b"first").json()["sequence"]]
        ballast.write_bytes(b"x" * (12 << 20))
        statuses = []
        for number in range(200):
            answer = http.post(f"/logs/{log}/append", content=b"%d " % number + b"x" * 200_000)
            statuses.append(answer.status_code)
            if answer.status_code != 201:
                assert answer.json()["code"] == "disk_full", answer.text
                break
            told.append(answer.json()["sequence"])
        assert statuses[-1] == 507
        assert http.get(f"/logs/{log}/events/1/raw").content == b"first"
        ballast.unlink()
        answer = http.post(f"/logs/{log}/append", content=b"after")
        assert answer.status_code == 201, answer.text
        assert answer.json()["sequence"] == told[-1] + 1
        assert server.stop() == 0


# ---------------------------------------------------------------------- one directory, one server


def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    """It says why and ends; the first goes on."""
    with start_server(tmp_path / "data") as server, server.client() as http:
        log = new_log(http, "mine")
        with pytest.raises(ServerEndedError, match="in use by another process"):
            start_server(tmp_path / "data")
        assert http.post(f"/logs/{log}/append", content=b"x").status_code == 201
        assert server.stop() == 0


def test_stopping_finishes_what_was_accepted(tmp_path: Path) -> None:
    """SIGTERM under load: every append is answered or its connection refused, and what was told is there."""
    told: list[tuple[int, bytes]] = []
    bad: list[int] = []
    with start_server(tmp_path / "data") as server, server.client() as http:
        log = new_log(http, "stopped")
        ended = threading.Event()

        def client(name: int) -> None:
            for number in range(100_000):
                if ended.is_set():
                    return
                body = b"%d-%d" % (name, number)
                try:
                    answer = http.post(f"/logs/{log}/append", content=body)
                except httpx.TransportError:
                    return
                if answer.status_code == 201:
                    told.append((answer.json()["sequence"], body))
                elif answer.status_code != 503:
                    bad.append(answer.status_code)

        with ThreadPoolExecutor(6) as pool:
            for name in range(6):
                pool.submit(client, name)
            while len(told) < 300:
                time.sleep(0.01)
            assert server.stop() == 0
            ended.set()
    assert not bad
    with start_server(tmp_path / "data") as server, server.client() as http:
        query = {"bytes": "true"}
        with http.stream(
            "GET", f"/logs/{log}/events", params=query, headers={"Accept": "application/x-ndjson"}
        ) as answer:
            stored = {json.loads(line)["sequence"] for line in answer.iter_lines()}
        assert {sequence for sequence, _ in told} <= stored
        assert len({sequence for sequence, _ in told}) == len(told)
        note = http.get(f"/logs/{log}/checkpoint").text
        assert int(note.split("\n")[1]) == len(stored)
