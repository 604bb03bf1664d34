"""What the tests of the calls share: a server with keys, a client with the root key, a log."""

import hashlib
from collections.abc import Iterator

import httpx
import pytest
from tests.harness.calls import ROOT_KEY, serving
from tests.harness.postgres import cluster

from indelible.config import Settings


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a server with keys, on either engine."""
    database = None if request.param == "sqlite" else cluster().create()
    data = tmp_path_factory.mktemp("data")
    with serving(Settings(data, port=0, root_key=ROOT_KEY, database=database)) as base:
        yield base


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """Give a client with the root key."""
    headers = {"authorization": f"Bearer {ROOT_KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as made:
        yield made


@pytest.fixture
def log(client: httpx.Client, request: pytest.FixtureRequest) -> str:
    """Give the URL path of a log of this test's own."""
    name = "log-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    answer = client.post("/logs", json={"name": name})
    assert answer.status_code == 201
    return f"/logs/{name}"
