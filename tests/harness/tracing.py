"""Tracing processes, where that can be done."""

import shutil
import subprocess

import pytest


def need_strace() -> None:
    """Skip where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace: apt-get install strace")
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("needs the right to trace processes: sysctl kernel.yama.ptrace_scope=0")
