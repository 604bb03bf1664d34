"""Versions of views on several nodes: what one rolls back answers at all, and the past is the same there."""

import random
import re
from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from tests.e2e.test_views_served import guest, put
from tests.harness.nodes import Nodes
from tests.harness.postgres import cluster, eventually


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes on one database and one folder of objects."""
    made = Nodes(tmp_path_factory.mktemp("data"), cluster().create())
    yield made
    made.stop()


@pytest.fixture
def clients(nodes: Nodes) -> Iterator[list[httpx.Client]]:
    """A client of each node."""
    opened = [nodes.client(at) for at in range(3)]
    yield opened
    for each in opened:
        each.close()


def ask(client: httpx.Client, log: str, **params: str) -> tuple[str, bytes]:
    """Which version answered, and what."""
    found = client.get(f"/logs/{log}/views/v/query", params=params)
    assert found.status_code == 200, found.text
    body = re.sub(rb'"asked_at": ?"[^"]*"', b"", found.content)
    return found.headers["indelible-view"].split()[0], body


def deployed(clients: list[httpx.Client], log: str, versions: int) -> None:
    """A log with events, and a view that has had some versions, deployed at one node after the other."""
    assert clients[0].post("/logs", json={"name": log}).status_code == 201
    grow(clients[0], log, 500)
    for number in range(1, versions + 1):
        client = clients[number % 3]
        assert put(client, log, "v", guest("tally-c"), **{"fail-at": 10**9 + number}).status_code == 201
        eventually(partial(_answers_with, client, log, number), seconds=30)


def _answers_with(client: httpx.Client, log: str, number: int) -> bool:
    return bool(client.get(f"/logs/{log}/views/v").json()["version"] == number)


def grow(client: httpx.Client, log: str, events: int) -> None:
    """Append."""
    body = "\n".join(f'{{"n":{number}}}' for number in range(events))
    headers = {"content-type": "application/x-ndjson"}
    assert client.post(f"/logs/{log}/append_batch", content=body, headers=headers).status_code == 201


def test_what_one_node_rolls_back_answers_at_all_from_then_on(
    clients: list[httpx.Client],
) -> None:
    """At random nodes, back and forth; every node answers with that version, and lists the same versions."""
    deployed(clients, "rolled", 3)
    rolls = random.Random(5)  # noqa: S311 - the same each time
    for _ in range(12):
        version = rolls.randint(1, 3)
        done = rolls.choice(clients).post("/logs/rolled/views/v/rollback", json={"version": version})
        assert (done.status_code, done.json()["version"]) == (200, version)
        grow(rolls.choice(clients), "rolled", 3)
        answers = {ask(client, "rolled") for client in clients}
        assert {found for found, _ in answers} == {f"v@{version}"}
        assert len(answers) == 1
    listed = {client.get("/logs/rolled/views/v/versions").text for client in clients}
    assert len(listed) == 1
    made = put(clients[1], "rolled", "v", guest("tally-c"), **{"fail-at": 10**9 + 4})
    assert made.status_code == 201
    found = clients[2].get("/logs/rolled/views/v/versions").json()["versions"]
    assert [each["version"] for each in found] == [4, 3, 2, 1]


def test_the_past_is_the_same_at_every_node(clients: list[httpx.Client]) -> None:
    """Of each version, wherever it was deployed, rolled back or appended to."""
    deployed(clients, "past", 2)
    said = ask(clients[0], "past")[1]
    grow(clients[1], "past", 70)
    assert clients[2].post("/logs/past/views/v/rollback").json()["version"] == 1
    for at, client in enumerate(clients):
        assert ask(client, "past", at="500") == ("v@1", said), at
        assert ask(client, "past", at="500", version="2") == ("v@2", said), at
        assert ask(client, "past", version="2")[1] == ask(client, "past")[1], at


def test_a_view_that_one_node_deletes_is_gone_at_all_with_its_snapshots(
    nodes: Nodes, clients: list[httpx.Client]
) -> None:
    """No node leaves one behind, whoever followed it; and none takes those of another view."""
    deployed(clients, "deleted", 2)
    for client in clients:
        ask(client, "deleted")
    view_id = clients[0].get("/logs/deleted/views/v").json()["view_id"]
    folder = nodes._data / "objects" / "views" / view_id
    assert clients[1].delete("/logs/deleted/views/v").status_code == 204
    for client in clients:
        assert client.get("/logs/deleted/views/v/query").status_code == 404
        assert client.post("/logs/deleted/views/v/rollback").status_code == 404
    eventually(lambda: not any(path.is_file() for path in folder.rglob("*")), seconds=30)
