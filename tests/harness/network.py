"""Networks of a test's own, whose cables can be pulled: packets are lost then, and no end is told of it.

A process that is killed is no model of a machine that is lost: its kernel still answers for it. These are
Linux's network namespaces; this machine's own network is left as it is.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

MISSING = "needs the right to make a network, and iproute2: run as root"
HERE = "10.77.0.1"
"""The address of whoever works in `apart`, for the machines beside it."""
_CLONE_NEWNET = 0x40000000

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """Do `work` on a thread that sees no network but a loopback of its own; so do all that it starts.

    The test is left out where none can be made.
    """

    def begin() -> T:
        if shutil.which("ip") is None or ctypes.CDLL(None).unshare(_CLONE_NEWNET) != 0:
            pytest.skip(MISSING)
        loopback(up=True)
        return work()

    with ThreadPoolExecutor(1, "apart") as thread:
        return thread.submit(begin).result()


def loopback(*, up: bool) -> None:
    """Let loopback carry packets, or lose all of them. Inside of `apart` only."""
    _ip("link", "set", "lo", "up" if up else "down")


class Switch:
    """Machines beside this one on one network, each with a cable. Inside of `apart` only."""

    def __init__(self) -> None:
        self._cables: dict[str, str] = {}
        _ip("link", "add", "switch", "type", "bridge")
        _ip("addr", "add", f"{HERE}/24", "dev", "switch")
        _ip("link", "set", "switch", "up")

    def plug(self, name: str) -> str:
        """Add a machine; returns its address."""
        number = len(self._cables) + 1
        address, cable, space = f"10.77.0.{number + 1}", f"cable{number}", self._space(name)
        self._cables[name] = cable
        _ip("netns", "add", space)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", cable, "master", "switch", "up")
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        _ip("-n", space, "link", "set", "lo", "up")
        return address

    def on(self, name: str) -> list[str]:
        """What is put before a command, so that it runs on a machine."""
        return ["ip", "netns", "exec", self._space(name)]

    def pull(self, name: str) -> None:
        """Pull a machine's cable: it goes on, and nobody hears of it."""
        _ip("link", "set", self._cables[name], "down")

    def put_back(self, name: str) -> None:
        """Put a cable back."""
        _ip("link", "set", self._cables[name], "up")

    def remove(self) -> None:
        """Forget all machines; what runs on them is ended before."""
        for name in self._cables:
            _ip("netns", "del", self._space(name))

    @staticmethod
    def _space(name: str) -> str:
        return f"indelible-{os.getpid()}-{name}"


@contextmanager
def switch() -> Iterator[Switch]:
    """A switch that is removed at the end."""
    made = Switch()
    try:
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True)
