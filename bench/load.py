"""Load from wrk: a closed loop over keep-alive connections, in C, so that it takes little of the machine."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_SCRIPT = Path(__file__).with_suffix(".lua")


class Load(NamedTuple):
    """A load: what is posted where, over how many connections, for how long, with a key each or none."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    connections: int
    seconds: float
    keyed: bool = False


class Result(NamedTuple):
    """What came of a load: answers with 2xx, others, connections that broke, and latencies in ms."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int

    @property
    def per_second(self) -> float:
        """Answers with 2xx a second."""
        return (self.requests - self.refused) / self.seconds


def require_wrk() -> None:
    """Say what is missing, before anything is measured."""
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk: apt-get install wrk, and run this again.")


@contextmanager
def running(load: Load) -> Iterator["subprocess.Popen[bytes]"]:
    """Put a load on while the block runs; give its process to `result` inside of it."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(load.body)
        body.flush()
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{max(1, round(load.seconds))}s", "-s", _SCRIPT]
        command += [word for name, value in load.headers.items() for word in ("-H", f"{name}: {value}")]
        command += ["--timeout", "60s", load.url, "--", body.name]
        command += [f"{os.urandom(8).hex()}-"] if load.keyed else []
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE) as process:
            yield process


def result(process: "subprocess.Popen[bytes]") -> Result:
    """Wait for the end of a load, and read what wrk says of it."""
    said = process.communicate()[0].decode()
    lines = [line for line in said.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        raise RuntimeError(f"wrk failed: {said}")
    return Result(**json.loads(lines[0]))


def rounds(load: Load, count: int) -> list[Result]:
    """Put a load on several times, each for its share of the time; slowest first.

    A machine that others share is slower for seconds at a time: the middle of several says more than one.
    """
    each = load._replace(seconds=load.seconds / count)
    return sorted((run(each) for _ in range(count)), key=lambda one: one.per_second)


def run(load: Load) -> Result:
    """Put a load on, and return what came of it."""
    with running(load) as process:
        return result(process)
