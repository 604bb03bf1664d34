"""Several nodes on one PostgreSQL: what one acknowledged, all know, while nodes are killed."""

import random
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.harness.calls import refused
from tests.harness.history import VIEW, check_history, events_of, made, recorded
from tests.harness.nodes import Nodes
from tests.harness.postgres import backends, cluster, terminate

SECONDS = 6
LOGS = ["one", "two", "three"]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes, for all tests here: each has logs of its own."""
    made = Nodes(tmp_path_factory.mktemp("data"), cluster().create())
    yield made
    made.stop()


@pytest.mark.parametrize("ended", ["nodes", "sessions"])
def test_a_recorded_history_of_three_nodes_holds(nodes: Nodes, ended: str) -> None:
    """One gapless sequence a log, each receipt true and once, no answer older than what was told before it.

    Meanwhile nodes, or their sessions with whatever COMMIT is under way, are ended at random.
    """
    chance = random.Random(7)  # noqa: S311 - the same each time
    logs = [f"{ended}-{name}" for name in LOGS]
    until = threading.Event()

    def end_sessions() -> None:
        while not until.wait(0.15):
            alive = backends(nodes.url)
            terminate(nodes.url, chance.sample(alive, min(5, len(alive))))

    def end_nodes() -> None:
        nodes.keep_killing(chance, until, 0.8)

    ending = threading.Thread(target=end_nodes if ended == "nodes" else end_sessions)
    with recorded(nodes, logs) as recorder:
        ending.start()
        time.sleep(SECONDS)
        until.set()
        ending.join(60)
    assert nodes.ended == []
    check_history(nodes, recorder)


def test_what_one_node_changes_holds_at_the_others_from_the_next_request_on(nodes: Nodes) -> None:
    """Logs, views, keys that are made and revoked, public proofs, idempotency keys, signing keys."""
    with nodes.client(0) as a, nodes.client(1) as b, nodes.client(2) as c:
        made(a, "changed")
        for at in range(20):
            secret = a.post("/keys", json={"label": "l", "scopes": ["read", "append"]}).json()
            own = {"authorization": f"Bearer {secret['secret']}"}
            assert b.get("/logs/changed", headers=own).status_code == 200
            assert c.post("/logs/changed/append", content=b'{"id":"%d"}' % at, headers=own).status_code == 201
            b.delete(f"/keys/{secret['key_id']}")
            for each in (a, c):
                refused(each.get("/logs/changed", headers=own), 401, "unauthenticated")
        log_id = a.get("/logs/changed").json()["log_id"]
        for public in (True, False, True):
            assert a.patch("/logs/changed", json={"public_proofs": public}).status_code == 200
            status = httpx.get(f"{b.base_url}/logs/{log_id}/checkpoint", trust_env=False).status_code
            assert status == (200 if public else 401)
        first = a.post("/logs/changed/append", content=b"1", headers={"idempotency-key": "k"}).json()
        assert b.post("/logs/changed/append", content=b"1", headers={"idempotency-key": "k"}).json() == first
        again = c.post("/logs/changed/append", content=b"2", headers={"idempotency-key": "k"})
        refused(again, 422, "idempotency_key_reused")
        assert b.post("/logs/changed/keys").status_code in {200, 201}
        assert len(c.get("/logs/changed/keys").json()["keys"]) == 2
        assert c.delete(f"/logs/changed/views/{VIEW}").status_code in {200, 204}
        refused(a.get(f"/logs/changed/views/{VIEW}/query"), 404, "not_found")


def test_one_key_used_at_all_nodes_at_once_makes_one_event(nodes: Nodes) -> None:
    """Whoever locks the head first makes it; the others answer with it."""
    clients = [nodes.client(at) for at in range(3)]
    made(clients[0], "twins")
    for number in range(15):
        sequences: list[int] = []
        headers = {"idempotency-key": f"k{number}"}

        def use(client: httpx.Client, headers: dict[str, str], into: list[int]) -> None:
            into.append(client.post("/logs/twins/append", content=b"x", headers=headers).json()["sequence"])

        threads = [threading.Thread(target=use, args=(each, headers, sequences)) for each in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sequences == [number + 1] * 3
    for each in clients:
        each.close()


def test_who_waits_at_one_node_is_woken_by_an_append_at_another(nodes: Nodes) -> None:
    """By a NOTIFY, well before it would look by itself; and where none comes, by looking."""
    with nodes.client(0) as a, nodes.client(1) as b:
        made(a, "waited")
        waits: list[float] = []
        for _ in range(5):
            size = a.get("/logs/waited").json()["head"]["size"]
            pages: list[httpx.Response] = []
            params = {"after_sequence": size, "wait": 20}

            def wait(params: dict[str, int], into: list[httpx.Response]) -> None:
                into.append(b.get("/logs/waited/events", params=params))

            thread = threading.Thread(target=wait, args=(params, pages))
            thread.start()
            time.sleep(0.2)
            began = time.monotonic()
            a.post("/logs/waited/append", content=b"1")
            thread.join(30)
            waits.append(time.monotonic() - began)
            assert len(pages[0].json()["events"]) == 1
        assert sorted(waits)[2] < 0.6


def test_large_batches_at_two_nodes_leave_one_sequence(nodes: Nodes) -> None:
    """Each is in whole and in one run, though both were laid after the same head, beside small appends."""
    with nodes.client(0) as a, nodes.client(1) as b, nodes.client(2) as c:
        made(a, "batches")
        answers: list[httpx.Response] = []

        def batch(client: httpx.Client, name: str) -> None:
            body = b"\n".join(
                b'{"id":"%s-%d","x":"%s"}' % (name.encode(), at, b"y" * 600) for at in range(6_000)
            )
            kind = {"content-type": "application/x-ndjson"}
            answers.append(client.post("/logs/batches/append_batch", content=body, headers=kind))

        threads = [threading.Thread(target=batch, args=(each, name)) for each, name in ((a, "a"), (b, "b"))]
        for thread in threads:
            thread.start()
        small = [c.post("/logs/batches/append", content=b'{"id":"c-%d"}' % at) for at in range(50)]
        for thread in threads:
            thread.join(60)
        assert [answer.status_code for answer in answers] == [201, 201], [each.text[:200] for each in answers]
        history = events_of(c, "batches")
        assert [sequence for sequence, _ in history] == list(range(1, 12_051))
        for answer in answers:
            first = answer.json()["first_sequence"]
            run = [name for _, name in history[first - 1 : first + 5_999]]
            assert run == [f"{run[0][0]}-{at}" for at in range(6_000)]
        assert all(history[each.json()["sequence"] - 1][1].startswith("c-") for each in small)
