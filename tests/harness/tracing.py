"""System calls of a running server, recorded or made to fail, with strace."""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\(")


def need_strace() -> None:
    """Skip where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace: apt-get install strace")
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("needs the right to trace processes: sysctl kernel.yama.ptrace_scope=0")


@contextmanager
def traced(pid: int, expression: str, output: str = "/dev/null") -> Iterator[None]:
    """Trace a process and its threads, with names of files, until it ends or the block does."""
    command = ["strace", "-f", "-y", "-p", str(pid), "-e", expression, "-o", output]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    assert b"attached" in tracer.stderr.readline()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(30)
        tracer.stderr.close()


def calls_by_thread(trace: Path, folder: Path) -> dict[str, int]:
    """Of each system call on files in a folder, how many the thread made that made most of them.

    That is how far an injection's `when` can reach, which strace counts by thread.
    """
    counted: Counter[tuple[str, str]] = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if found and str(folder) in line:
            counted[found["name"], found["thread"]] += 1
    most: dict[str, int] = {}
    for (name, _), count in counted.items():
        most[name] = max(count, most.get(name, 0))
    return most
