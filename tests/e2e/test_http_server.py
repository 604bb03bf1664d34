"""The server's life: binding, TLS, finishing what was accepted, and staying quiet about it."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvloop
from tests.harness.tls import make_certificate

from indelible.http.app import HttpApp
from indelible.http.server import HttpServer, Listening


class Status:
    """A status that is well."""

    def healthy(self) -> bool:
        """Say so."""
        return True


class SlowLogs:
    """Logs that take half a second to list."""

    def authenticate(self, _authorization: str | None) -> Any:
        """Let everyone in."""
        return SimpleNamespace(workspace=1)

    async def list(self, *_: Any, **__: Any) -> Any:
        """Take half a second."""
        await asyncio.sleep(0.5)
        return [], None


def app(**services: Any) -> HttpApp:
    """Return an application over a few services."""
    given: Any = SimpleNamespace(arrivals=None, status=Status(), **services)
    return HttpApp(given)


def run(test: Callable[[HttpServer], Awaitable[None]]) -> None:
    """Run a test with a server on a loop of its own, and stop that server."""

    async def main() -> None:
        server = HttpServer()
        try:
            await test(server)
        finally:
            await server.stop(5)

    uvloop.run(main())


def test_port_0_is_a_free_port_that_answers() -> None:
    """The port that start returns is real, and answers from that moment on."""

    async def test(server: HttpServer) -> None:
        listening = await server.start(app(), port=0)
        assert listening.port > 0
        assert listening.url == f"http://127.0.0.1:{listening.port}"
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as client:
            assert (await client.get("/healthz")).json() == {"healthy": True}

    run(test)


def test_a_taken_port_is_an_error() -> None:
    """A second server on the port fails at its start, where it would else take half of the requests."""

    async def test(server: HttpServer) -> None:
        listening = await server.start(app(), port=0)
        with pytest.raises(OSError, match="in use"):
            await HttpServer().start(app(), port=listening.port)

    run(test)


def test_ipv6_loopback_is_served() -> None:
    """An IPv6 address is bound and its URL has brackets."""

    async def test(server: HttpServer) -> None:
        try:
            listening = await server.start(app(), host="::1", port=0)
        except OSError:
            pytest.skip("needs IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0")
        assert listening.url.startswith("http://[::1]:")
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as client:
            assert (await client.get("/healthz")).status_code == 200

    run(test)


def test_a_stop_finishes_what_was_accepted() -> None:
    """A request that is being served is answered before the server ends, and nothing is accepted after."""

    async def test(server: HttpServer) -> None:
        slow = SlowLogs()
        listening = await server.start(app(access=slow, logs=slow), port=0)
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as client:
            request = asyncio.create_task(client.get("/logs"))
            await asyncio.sleep(0.2)
            assert await server.stop(5) is True
            assert (await request).status_code == 200
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as late:
            with pytest.raises(httpx.ConnectError):
                await late.get("/healthz")

    run(test)


def test_a_stop_does_not_wait_for_idle_connections() -> None:
    """A client that keeps its connection open does not hold the server up."""

    async def test(server: HttpServer) -> None:
        listening = await server.start(app(), port=0)
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as client:
            await client.get("/healthz")
            _, silent = await asyncio.open_connection(listening.host, listening.port)
            started = time.monotonic()
            assert await server.stop(5) is True
            assert time.monotonic() - started < 2
            silent.close()
            await silent.wait_closed()

    run(test)


def test_a_stop_ends_when_its_grace_does() -> None:
    """What takes longer than the grace is left behind, and stop says so."""

    async def test(server: HttpServer) -> None:
        slow = SlowLogs()
        listening = await server.start(app(access=slow, logs=slow), port=0)
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as client:
            request = asyncio.create_task(client.get("/logs"))
            await asyncio.sleep(0.1)
            assert await server.stop(0.1) is False
            await request

    run(test)


def test_the_terminal_is_ours(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing of the library beneath is printed at start, while serving, or at the end."""

    async def test(server: HttpServer) -> None:
        listening = await server.start(app(), port=0)
        async with httpx.AsyncClient(base_url=listening.url, trust_env=False) as client:
            await client.get("/healthz")

    run(test)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


# ---------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for localhost and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_tls_serves_the_same(certificate: tuple[Path, Path]) -> None:
    """With two files the server speaks TLS 1.2 or later, and HTTP/1.1 inside."""

    async def test(server: HttpServer) -> None:
        listening = await server.start(app(), port=0, tls_cert=certificate[0], tls_key=certificate[1])
        assert listening.scheme == "https"
        context = ssl.create_default_context(cafile=str(certificate[0]))
        url = f"https://localhost:{listening.port}"
        async with httpx.AsyncClient(base_url=url, verify=context, trust_env=False) as client:
            answer = await client.get("/healthz")
            assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")

    run(test)


@pytest.mark.parametrize(
    "given", [("cert.pem", None), (None, "key.pem"), ("key.pem", "cert.pem"), ("x", "y")]
)
def test_tls_files_are_checked_at_start(
    certificate: tuple[Path, Path], given: tuple[str | None, str | None]
) -> None:
    """Half a pair, files that do not fit or are not there end the start with words, not a panic below."""
    folder = certificate[0].parent
    cert, key = (None if name is None else folder / name for name in given)

    async def test(server: HttpServer) -> None:
        with pytest.raises(ValueError, match="TLS"):
            await server.start(app(), port=0, tls_cert=cert, tls_key=key)

    run(test)


def test_no_keys_means_loopback() -> None:
    """Without keys an address that others can reach is refused before anything listens."""
    services: Any = SimpleNamespace(arrivals=None, status=Status())
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.com"):  # noqa: S104 - refused, not bound
        with pytest.raises(ValueError, match="loopback"):
            HttpApp(services, no_auth=True, host=host)
    HttpApp(services, no_auth=True, host="localhost")
    assert Listening("::1", 5, "http").url == "http://[::1]:5"
