"""Logs of up to 16 million entries over HTTP, read and verified by Go; and the same by our own clients."""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.golang import ask
from tests.harness.server import RunningServer, start_server
from tests.harness.tiles import (
    SIGNER,
    Shown,
    Site,
    SparseTree,
    checkpoint_of,
    page,
    site,
)

from indelible.client import PinStore, Retry
from indelible.client.continuity import check_history
from indelible.client.tiled import TiledLog
from indelible.client.transport import Transport
from indelible.merkle.proofs import consistency_proof, inclusion_proof, root_from_source
from indelible.merkle.tiles import tile_hash_source

HUGE = (1 << 24) + 257
SIZES = (0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, HUGE)
EDGES = (0, 1, 254, 255, 256, 65_534, 65_535, 65_536, 1 << 24, HUGE - 1)
CHOSEN = random.Random(257).sample(range(HUGE), 200)  # noqa: S311 - which entries differ, no secret
TREE = SparseTree({at: b"entry %d" % at for at in (*range(300), *EDGES, *CHOSEN)})
SOURCE = tile_hash_source(
    lambda level, start, count: [TREE.node(8 * level, at) for at in range(start, start + count)]
)


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """The first entries of one tree, for each size a log of its own, all with one key."""
    with site() as server:
        for size in SIZES:
            server.logs[f"/{size}"] = Shown(TREE, size, checkpoint_of(TREE, size))
        yield server


def picked(size: int) -> list[int]:
    """Entries to look at: at every boundary, and some anywhere."""
    return [at for at in (*EDGES, *CHOSEN[:12], size - 1) if 0 <= at < size]


def claim(server: Site, size: int) -> dict[str, Any]:
    """What is claimed of the log of one size: our proofs, and that it continues all smaller ones."""
    top = root_from_source(size, SOURCE)
    olds = [old for old in SIZES if 0 < old <= size]
    return {
        "URL": f"{server.url}/{size}",
        "Vkey": SIGNER.verifier.vkey,
        "Note": server.logs[f"/{size}"].note,
        "Olds": [server.logs[f"/{old}"].note for old in SIZES if old <= size],
        "Entries": picked(size),
        "Inclusions": [
            {
                "Index": at,
                "Size": size,
                "Root": top,
                "Leaf": TREE.node(0, at),
                "Proof": inclusion_proof(at, size, SOURCE),
                "Good": True,
            }
            for at in picked(size)
        ],
        "Histories": [
            {
                "OldSize": old,
                "NewSize": size,
                "OldRoot": root_from_source(old, SOURCE),
                "NewRoot": top,
                "Proof": consistency_proof(old, size, SOURCE),
                "Good": True,
            }
            for old in olds
        ],
    }


def test_go_verifies_logs_of_every_size_out_of_their_tiles(verifier: Path, served: Site) -> None:
    """Checkpoints, tiles of four levels, bundles; proofs that Go makes of them hold, and are ours."""
    claims = [claim(served, size) for size in SIZES]
    code, said = ask(verifier, {"Served": claims})
    assert code == 0, said
    judged = sum(len(each["Entries"]) * 4 + len(each["Histories"]) * 3 for each in claims)
    assert int(said.split()[-1]) > judged
    assert any("/tile/3/" in path for path in served.asked)


WRONG = ("tile/0/x065/537.p/1", "tile/1/256.p/1", "tile/2/000", "tile/3/000.p/1", "tile/entries/x065/537.p/1")


@pytest.mark.parametrize("path", WRONG)
def test_go_would_have_noticed_a_wrong_tile(verifier: Path, served: Site, path: str) -> None:
    """One bit in a tile of any level, or in a bundle, fails the same claims."""
    where = f"/{HUGE}/{path}"
    right = page(served.logs[f"/{HUGE}"], path)
    assert right is not None
    served.pages[where] = {where: bytes([*right[:-1], right[-1] ^ 1])}.get
    try:
        code, said = ask(verifier, {"Served": [claim(served, HUGE)]})
    finally:
        del served.pages[where]
    assert code == 1, said


def test_a_client_with_pins_follows_every_size(served: Site, tmp_path: Path) -> None:
    """Up through all sizes and down again, each proved by a few tiles."""
    pins = PinStore(tmp_path)
    transport = Transport(served.url, None, retry=Retry(1), timeout_seconds=30)
    try:
        for size in SIZES:
            log = TiledLog(transport, f"/{size}")
            served.asked.clear()
            check_history(pins, log, log.checkpoint())
            assert len(served.asked) < 16
        whole = TiledLog(transport, f"/{HUGE}")
        for size in reversed(SIZES[:-1]):
            assert check_history(pins, whole, served.logs[f"/{size}"].note).state == "older"
    finally:
        transport.close()
    pin = pins.read(SIGNER.name)
    assert pin is not None
    assert pin.head.size == HUGE


# ---------------------------------------------------------------------- the server


def grow(client: httpx.Client, log: str, events: int) -> None:
    """Append, at most 10,000 events at once."""
    while events:
        part = min(events, 10_000)
        body = b"[" + b",".join([b"1"] * part) + b"]"
        client.post(f"{log}/append_batch", content=body).raise_for_status()
        events -= part


def noted(client: httpx.Client, log: str, size: int) -> bytes:
    """The checkpoint of exactly this size."""
    if size:
        client.get(f"{log}/proof/inclusion", params={"sequence": size}).raise_for_status()
    note = client.get(f"{log}/checkpoint").raise_for_status().content
    assert note.split(b"\n")[1] == b"%d" % size
    return note


def claim_of_server(
    server: RunningServer, client: httpx.Client, log: str, notes: Sequence[bytes], size: int
) -> dict[str, Any]:
    """What the server claims of its log at a size that it had: its own proofs over HTTP, and its tiles."""
    inclusions, histories = [], []
    roots = {int(note.split(b"\n")[1]): note.decode().split("\n")[2] for note in notes}
    for at in sorted({0, size // 2, size - 1}):
        params = {"sequence": at + 1, "size": size}
        proof = client.get(f"{log}/proof/inclusion", params=params).raise_for_status().json()
        hashes = [bytes.fromhex(item) for item in proof["hashes"]]
        leaf = bytes.fromhex(proof["leaf_hash"])
        good = {"Root": roots[size], "Leaf": leaf, "Proof": hashes, "Good": True}
        inclusions.append({"Index": at, "Size": size, **good})
    for old in (old for old in roots if 0 < old <= size):
        answer = client.get(f"{log}/proof/consistency", params={"from": old, "to": size}).raise_for_status()
        hashes = [bytes.fromhex(item) for item in answer.json()["hashes"]]
        good = {"OldRoot": roots[old], "NewRoot": roots[size], "Proof": hashes, "Good": True}
        histories.append({"OldSize": old, "NewSize": size, **good})
    return {
        "URL": f"{server.url}{log}",
        "Authorization": f"Bearer {server.root_key}",
        "Vkey": client.get(f"{log}/keys").json()["keys"][0]["verifier_key"],
        "Note": next(note for note in notes if note.split(b"\n")[1] == b"%d" % size),
        "Olds": [note for note in notes if int(note.split(b"\n")[1]) <= size],
        "Entries": sorted({0, size // 2, size - 1}),
        "Inclusions": inclusions,
        "Histories": histories,
    }


def test_go_verifies_our_server_at_every_size_that_it_published(verifier: Path, tmp_path: Path) -> None:
    """Real appends to 65,537 events: every size that was signed on the way stays provable out of tiles."""
    sizes = [size for size in SIZES if size < HUGE]
    with start_server(tmp_path / "data") as server, server.client() as client:
        log = f"/logs/{client.post('/logs', json={'name': 'acme'}).json()['log_id']}"
        notes = [noted(client, log, 0)]
        for before, size in pairwise(sizes):
            grow(client, log, size - before)
            notes.append(noted(client, log, size))
        claims = [claim_of_server(server, client, log, notes, size) for size in sizes if size]
        code, said = ask(verifier, {"Served": claims})
    assert code == 0, said
    assert int(said.split()[-1]) > 150
