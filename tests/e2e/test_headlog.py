"""The deployment's log of heads: what stands in it, who sees what of it, and what a restart finds."""

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.server import RunningServer, start_server
from tests.harness.services import bench
from tests.harness.witnesses import cli, until

from indelible.merkle.tiles import decode_bundle
from indelible.notes.checkpoint import Checkpoint, open_checkpoint
from indelible.notes.keys import Verifier

QUICK = {"INDELIBLE_LIMIT_HEADS_INTERVAL_SECONDS": "0.2", "INDELIBLE_LIMIT_PUBLISH_INTERVAL_SECONDS": "0.1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that lists heads quickly."""
    with start_server(tmp_path_factory.mktemp("heads") / "data", env=QUICK) as running:
        yield running


def top(url: str) -> tuple[Checkpoint, str]:
    """The head of the log of heads, verified, and its key: asked for without a key."""
    keys = httpx.get(f"{url}/deployment/keys").json()["keys"]
    note = httpx.get(f"{url}/deployment/checkpoint").content
    checkpoint, _ = open_checkpoint(note, Verifier.parse(keys[0]["verifier_key"]))
    return checkpoint, keys[0]["verifier_key"]


def head_of(http: httpx.Client, log: str, **params: int) -> dict[str, Any]:
    """The proof that a log's head is listed."""
    answer = http.get(f"/logs/{log}/proof/deployment", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def listed(data: Path) -> list[dict[str, Any]]:
    """All events of the log of heads of a server that has stopped, read from its rows."""
    with sqlite3.connect(data / "indelible.db") as rows:
        (number,) = rows.execute("SELECT key FROM log WHERE name = '_heads'").fetchone()
        chunks = rows.execute("SELECT payload FROM chunk WHERE id >> 40 = ? ORDER BY id", (number,))
        text = "".join(payload.decode() for (payload,) in chunks)
    return [json.loads(line) for line in text.replace("}{", "}\n{").splitlines()]


def test_all_may_keep_what_is_for_all(server: RunningServer) -> None:
    """Checkpoint, tiles and keys say `public` and `*`, and answer 304; any page can read a refusal too."""
    for path, fresh in (
        ("checkpoint", "max-age=2"),
        ("tile/0/000.p/1", "max-age=31536000, immutable"),
        ("keys", "max-age=2"),
    ):
        answer = httpx.get(f"{server.url}/deployment/{path}")
        assert answer.headers["cache-control"] == f"public, {fresh}"
        assert answer.headers["access-control-allow-origin"] == "*"
        again = httpx.get(
            f"{server.url}/deployment/{path}", headers={"If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304
    missing = httpx.get(f"{server.url}/deployment/tile/0/999")
    assert (missing.status_code, missing.headers["access-control-allow-origin"]) == (404, "*")


def test_a_head_is_proved_by_a_file_alone(server: RunningServer, tmp_path: Path) -> None:
    """What `indelible proof --deployment` fetches says which head stands there, and verifies offline."""
    with server.client() as http:
        http.post("/logs", json={"name": "proved"})
        for number in range(3):
            http.post("/logs/proved/append", json={"n": number})
        checkpoint = http.get("/logs/proved/checkpoint").text.split("\n")
    file, key_file = tmp_path / "head.json", tmp_path / "key"
    key_file.write_text(server.root_key)
    fetch = ("proof", "proved", "--deployment", "--min-size", "3", "--output", str(file))
    cli(*fetch, "--url", server.url, "--key-file", str(key_file))
    event = json.loads(json.loads(file.read_text())["event"])
    root = httpx.get(f"{server.url}/logs/proved", headers=bearer(server)).json()["head"]["root"]
    assert event == {"type": "indelible.head", "origin": checkpoint[0], "size": 3, "root": root}
    _, key = top(server.url)
    assert "Everything that the file claims is proved" in cli("verify", str(file), "--key", key)
    changed = file.read_text().replace('\\"size\\":3', '\\"size\\":4')
    assert changed != file.read_text()
    file.write_text(changed)
    assert "the event says something else" in cli("verify", str(file), "--key", key, expect=1)


def bearer(server: RunningServer) -> dict[str, str]:
    """The root key's header."""
    return {"Authorization": f"Bearer {server.root_key}"}


def test_heads_are_listed_by_themselves_and_once(server: RunningServer) -> None:
    """A log that changed is listed within the interval; one that did not is not listed again."""
    with server.client() as http:
        http.post("/logs", json={"name": "steady"})
        http.post("/logs/steady/append", json={})
        assert head_of(http, "steady")["size"] == 1
        http.post("/logs/steady/append", json={})
        until(lambda: head_of(http, "steady")["size"] == 2)
        first = head_of(http, "steady")
        until(lambda: heads_stand_still(server.url))
        assert json.loads(head_of(http, "steady")["event"]) == json.loads(first["event"])


def heads_stand_still(url: str) -> bool:
    """Whether three intervals pass in which nothing is listed: it lists no heads of its own."""
    before = top(url)[0].size
    time.sleep(0.7)
    return top(url)[0].size == before


def test_a_later_head_is_listed_when_it_is_asked_for(server: RunningServer) -> None:
    """`min_size` makes one now; beyond the head it is refused, and an empty log has a head too."""
    with server.client() as http:
        http.post("/logs", json={"name": "asked"})
        assert head_of(http, "asked")["size"] == 0
        for number in range(1, 6):
            http.post("/logs/asked/append", json={})
            assert head_of(http, "asked", min_size=number)["size"] >= number
        refused = http.get("/logs/asked/proof/deployment?min_size=6")
        assert (refused.status_code, refused.json()["code"]) == (409, "beyond_head")
        assert http.get("/logs/asked/proof/deployment?min_size=-1").status_code == 400


def test_its_tree_is_public_and_says_nothing(server: RunningServer) -> None:
    """Tiles without a key: hashes and entries that are salted commitments, by the server's own writer."""
    with server.client() as http:
        log = http.post("/logs", json={"name": "in-public"}).json()
        http.post("/logs/in-public/append", json={"secret": "payload"})
        head_of(http, "in-public", min_size=1)
    size = top(server.url)[0].size
    width = f".p/{size}" if size < 256 else ""
    answer = httpx.get(f"{server.url}/deployment/tile/entries/000{width}")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    entries = decode_bundle(answer.content)
    assert {entry[17:33].hex() for entry in entries} == {"00000000000000000000000000000002"}
    assert log["log_id"].encode() not in answer.content
    leaves = [hashlib.sha256(b"\0" + entry).digest() for entry in entries]
    tile = httpx.get(f"{server.url}/deployment/tile/0/000{width}").content
    assert tile == b"".join(leaves)
    assert httpx.get(f"{server.url}/deployment/tile/0/x001/000").status_code == 404


def test_it_belongs_to_nobody(server: RunningServer) -> None:
    """No key finds it, not even root's, nor its workspace; no tenant's head proves another's."""
    _, key = top(server.url)
    log_id = key.split("+")[0].rpartition("/")[2]
    with server.client() as http:
        for name in ("_heads", log_id):
            for path in ("", "/events", "/checkpoint", "/proof/deployment"):
                assert http.get(f"/logs/{name}{path}").status_code == 404
        names = [row["name"] for row in http.get("/workspaces").json()["workspaces"]]
        assert names == ["default"]
        made = http.post("/keys", json={"label": "k", "scopes": ["read"], "workspace": "_deployment"})
        assert made.status_code == 404
        assert http.post("/workspaces", json={"name": "_deployment"}).status_code == 400
        other = http.post("/workspaces", json={"name": "other"}).json()
        http.post("/logs", json={"name": "mine"})
    with server.client(other["key"]["secret"]) as stranger:
        assert stranger.get("/logs/mine/proof/deployment").status_code == 404
    assert httpx.get(f"{server.url}/logs/mine/proof/deployment").status_code == 401


def test_a_store_from_before_gets_one(tmp_path: Path) -> None:
    """At the next start: a store without it is given one, and the heads that moved before are listed."""
    data = tmp_path / "data"

    async def before() -> str:
        async with bench(data) as made:  # a server's use cases, which makes no log of heads
            state = await made.services.logs.create(made.root, "old")
            await made.services.appends.append(made.root, "old", b"{}")
            return state.info.origin

    origin = asyncio.run(before())
    with sqlite3.connect(data / "indelible.db") as rows:
        assert rows.execute("SELECT count(*) FROM log WHERE name = '_heads'").fetchone() == (0,)
    with start_server(data, "--name", "x.example", env=QUICK) as running:
        until(lambda: top(running.url)[0].size >= 2)
        running.stop()
    assert [head["size"] for head in listed(data) if head["origin"] == origin] == [1]


def test_a_crash_leaves_nothing_unlisted(tmp_path: Path) -> None:
    """Heads of before a crash are listed after it, each one that was published, and none is listed twice."""
    data = tmp_path / "data"
    slow = {"INDELIBLE_LIMIT_HEADS_INTERVAL_SECONDS": "600"}
    with start_server(data, env=slow) as running, running.client() as http:
        for name in ("a", "b", "c"):
            http.post("/logs", json={"name": name})
            http.post(f"/logs/{name}/append", json={})
        assert head_of(http, "a", min_size=1)["size"] == 1
        running.kill()
    with start_server(data, env=QUICK) as running, running.client() as http:
        for name in ("a", "b", "c"):
            until(lambda name=name: head_of(http, name)["size"] == 1)  # type: ignore[misc]  # bound by its default
        origins = {http.get(f"/logs/{name}").json()["origin"]: name for name in ("a", "b", "c")}
        own = top(running.url)[0].origin
        running.stop()
    assert sorted(origins[e["origin"]] for e in listed(data) if e["origin"] in origins) == ["a", "b", "c"]
    assert own not in {e["origin"] for e in listed(data)}
