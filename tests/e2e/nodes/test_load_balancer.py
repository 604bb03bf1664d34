"""nginx before three nodes, with the configuration that docs/deploy.md gives."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from tests.harness.nodes import Nodes
from tests.harness.postgres import cluster
from tests.harness.server import ROOT_KEY
from tests.harness.tls import make_certificate

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
DEPLOYING = Path(__file__).parents[3] / "docs" / "deploy.md"
AROUND = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    log_format told '$request $upstream_addr';
    access_log {folder}/access.log told;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{block}
}}
"""


class Balanced(NamedTuple):
    """A client of the load balancer, the nodes behind it, and what it wrote of each request."""

    http: httpx.Client
    nodes: Nodes
    log: Path


def configuration(folder: Path, nodes: Nodes, port: int) -> str:
    """The page's block, with the addresses of these nodes in the place of its own."""
    found = re.search(r"```nginx\n(.*?)```", DEPLOYING.read_text(), re.DOTALL)
    assert found
    block = found[1].replace("listen 8443", f"listen 127.0.0.1:{port}")
    block = block.replace(" cert.pem", f" {folder}/cert.pem").replace(" key.pem", f" {folder}/key.pem")
    for at, server in enumerate(nodes.servers):
        assert server is not None
        block = block.replace(f"10.0.0.{at + 1}:8000", server.url.removeprefix("http://"))
    assert "10.0.0" not in block
    user = "user root;" if os.getuid() == 0 else ""  # whose folder it is
    return user + AROUND.format(folder=folder, block=block)


@pytest.fixture
def balanced(tmp_path: Path) -> Iterator[Balanced]:
    """Three nodes behind nginx."""
    if not Path(NGINX).exists():
        pytest.skip("needs nginx: apt-get install nginx-light")
    nodes = Nodes(tmp_path / "d", cluster().create())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    certificate, _ = make_certificate(tmp_path)
    (tmp_path / "nginx.conf").write_text(configuration(tmp_path, nodes, port))
    process = subprocess.Popen([NGINX, "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")])
    try:
        trust = ssl.create_default_context(cafile=certificate)
        bearer = {"authorization": f"Bearer {ROOT_KEY}"}
        with httpx.Client(base_url=f"https://localhost:{port}", verify=trust, headers=bearer) as http:
            _listens(port, process)
            yield Balanced(http, nodes, tmp_path / "access.log")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        nodes.stop()


def _listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def upstreams(log: Path, path: str) -> set[str]:
    """Which nodes were asked for a path."""
    lines = log.read_text().splitlines()
    return {line.rpartition(" ")[2] for line in lines if f" {path}" in line}


def test_a_log_stays_at_its_node_and_goes_on_at_another_when_that_is_killed(balanced: Balanced) -> None:
    """Calls through it answer as those to a node; no acknowledged event is lost when its node ends."""
    http, nodes, log = balanced
    for name in ("a", "b", "c", "d", "e", "f"):
        assert http.post("/logs", json={"name": name}).status_code == 201
        for number in range(3):
            assert http.post(f"/logs/{name}/append", json={"n": number}).json()["sequence"] == number + 1
        assert len(upstreams(log, f"/logs/{name}/append")) == 1
    assert len(upstreams(log, "/logs/")) > 1
    lines = b"\n".join(b'{"pad":"%s"}' % (b"p" * 1_600) for _ in range(9_900))
    batch = http.post("/logs/a/append_batch", content=lines, headers={"content-type": "application/x-ndjson"})
    assert batch.json()["last_sequence"] == 9_903, batch.text
    (own,) = upstreams(log, "/logs/a/append")
    at = next(n for n, s in enumerate(nodes.servers) if s is not None and s.url.endswith(own))
    nodes.kill(at)
    told = http.get("/logs/a")  # asked again at another node by nginx
    assert (told.status_code, told.json()["head"]["size"]) == (200, 9_903)
    assert (
        http.post("/logs/a/append", json={"n": 4}, headers={"idempotency-key": "k"}).json()["sequence"]
        == 9_904
    )
    with http.stream("GET", "/logs/a/events", params={"limit": "1000", "after_sequence": 9_900}) as answer:
        answer.read()
        assert len(answer.json()["events"]) == 4
