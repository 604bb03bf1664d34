"""What we write is read by Go's golang.org/x/mod/sumdb/tlog and note, and what we refuse they refuse."""

import random
from pathlib import Path
from typing import Any

import httpx
from tests.harness.calls import ROOT_KEY, serving
from tests.harness.golang import ask

from indelible.config import Settings
from indelible.merkle.entry import Entry, encode_entry, entry_leaf_hashes
from indelible.merkle.frontier import EMPTY_FRONTIER, extend, root
from indelible.merkle.hashing import leaf_hash
from indelible.merkle.proofs import HashSource, consistency_proof, inclusion_proof, root_from_source
from indelible.merkle.tiles import TILE_WIDTH, tile_hash_source, tile_path
from indelible.notes.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint, sign_checkpoint
from indelible.notes.cosignature import Cosigner
from indelible.notes.keys import Signer, derive_seed
from indelible.notes.note import add_signatures, format_note, parse_note, sign_note

ORIGIN = "audit.example.com/logs/550e8400-e29b-41d4-a716-446655440000"
WRITER = bytes(16)
ENTRIES = 300
TILED = 70_000


def entries() -> list[bytes]:
    """Encoded entries of a small log."""
    return [encode_entry(Entry(at + 1, 1_000 + at, WRITER, bytes([at % 256]) * 32)) for at in range(ENTRIES)]


def stored(leaves: list[bytes]) -> tuple[dict[int, list[bytes]], bytes]:
    """Hashes by tile level as a store has them, and the root."""
    growth = extend(EMPTY_FRONTIER, leaves)
    levels = {0: leaves}
    for node in growth.stored:
        levels.setdefault(node.level, []).append(node.hash)
    return levels, root(growth.frontier)


def source_of(levels: dict[int, list[bytes]]) -> HashSource:
    """Subtree hashes out of stored ones."""
    return tile_hash_source(lambda level, start, count: levels[level][start : start + count])


def inclusion_claim(index: int, size: int, leaves: list[bytes], source: HashSource) -> dict[str, Any]:
    """A good claim that a leaf is in the tree."""
    proof = inclusion_proof(index, size, source)
    top = root_from_source(size, source)
    return {"Index": index, "Size": size, "Root": top, "Leaf": leaves[index], "Proof": proof, "Good": True}


def consistency_claim(old: int, new: int, source: HashSource) -> dict[str, Any]:
    """A good claim that one tree begins with another."""
    roots = {"OldRoot": root_from_source(old, source), "NewRoot": root_from_source(new, source)}
    return {
        "OldSize": old,
        "NewSize": new,
        **roots,
        "Proof": consistency_proof(old, new, source),
        "Good": True,
    }


def spoiled(claim: dict[str, Any], key: str) -> dict[str, Any]:
    """The same claim with one bit of a root turned, which must be refused."""
    return claim | {key: bytes([claim[key][0] ^ 1]) + claim[key][1:], "Good": False}


def tiled_claims() -> dict[str, Any]:
    """A log of 70,000 leaves as tiles, and proofs out of it."""
    leaves = entry_leaf_hashes(1, 5, WRITER, [at.to_bytes(32, "big") for at in range(TILED)])
    levels, top = stored(leaves)
    source = source_of(levels)
    tiles = {}
    for level, hashes in levels.items():
        for start in range(0, len(hashes), TILE_WIDTH):
            part = hashes[start : start + TILE_WIDTH]
            tiles[tile_path(level, start // TILE_WIDTH, len(part))] = b"".join(part)
    chosen = random.Random(70_000)  # noqa: S311 - which leaves are tried, no secret
    indexes = [0, 255, 256, 65_535, 65_536, TILED - 1, *chosen.sample(range(TILED), 20)]
    sizes = [1, 256, 65_536, TILED - 1, *chosen.sample(range(1, TILED), 10)]
    return {
        "Size": TILED,
        "Root": top,
        "Tiles": tiles,
        "Inclusions": [inclusion_claim(index, TILED, leaves, source) for index in indexes],
        "Histories": [consistency_claim(size, TILED, source) for size in sizes],
    }


def with_turned_bit(data: bytes) -> bytes:
    """The note with one bit of its last signature turned."""
    note = parse_note(data)
    last = note.signatures[-1]
    turned = last._replace(signature=bytes([last.signature[0] ^ 1]) + last.signature[1:])
    return format_note(note._replace(signatures=(*note.signatures[:-1], turned)))


def note_claims() -> list[dict[str, Any]]:
    """Notes that must open, and notes that must not."""
    signer = Signer(ORIGIN, derive_seed(bytes(range(32)), ORIGIN))
    other = Signer("other.example", bytes(32))
    witness = Cosigner("witness.example/w1", bytes([7]) * 32)
    checkpoint = Checkpoint(ORIGIN, 5, bytes(32))
    good = sign_checkpoint(checkpoint, signer)
    cosigned = add_signatures(good, [witness.cosign(format_checkpoint(checkpoint), 1_735_689_600)])
    both = sign_note("first\n\nlast\n", [signer, other])
    vkeys = [signer.verifier.vkey, other.verifier.vkey]
    cases = [
        ("checkpoint", good, vkeys, True),
        ("cosigned", cosigned, vkeys, True),
        ("blank line in the text", both, vkeys, True),
        ("one key known", both, vkeys[1:], True),
        ("nobody known", good, vkeys[1:], False),
        ("changed text", good.replace(b"\n5\n", b"\n6\n"), vkeys, False),
        ("changed signature", with_turned_bit(both), vkeys, False),
        ("no newline at the end", good[:-1], vkeys, False),
        ("control character", good.replace(b"audit", b"aud\tt"), vkeys, False),
    ]
    return [{"Name": name, "Note": note, "Vkeys": known, "Good": ok} for name, note, known, ok in cases]


def all_claims() -> dict[str, Any]:
    """Everything that the program judges."""
    of_small = entries()
    leaves = [leaf_hash(entry) for entry in of_small]
    levels, _ = stored(leaves)
    source = source_of(levels)
    sizes = [*range(1, 40), 127, 128, 129, 255, 256, 257, ENTRIES]
    inclusions = [inclusion_claim(at, size, leaves, source) for size in sizes for at in range(0, size, 7)]
    histories = [consistency_claim(old, new, source) for new in sizes for old in range(1, new + 1, 5)]
    tiled = tiled_claims()
    return {
        "Entries": of_small,
        "Roots": [root_from_source(size, source) for size in range(ENTRIES + 1)],
        "Inclusion": inclusions + [spoiled(claim, "Root") for claim in inclusions],
        "Consistency": histories + [spoiled(claim, "NewRoot") for claim in histories],
        "Notes": note_claims(),
        "Tiled": tiled,
        "Checkpoint": format_checkpoint(Checkpoint(ORIGIN, TILED, tiled["Root"])),
    }


def test_go_agrees_with_every_claim(verifier: Path) -> None:
    """Roots, proofs good and spoiled, tiles, notes and checkpoint text: Go judges each as we do."""
    claims = all_claims()
    code, said = ask(verifier, claims)
    assert code == 0, said
    least = ENTRIES + len(claims["Inclusion"]) + len(claims["Consistency"]) + len(claims["Notes"])
    assert int(said.split()[-1]) > least


def test_go_reads_a_public_log_without_a_key(verifier: Path, tmp_path: Path) -> None:
    """Tiles, checkpoint and keys of a served log that was rotated: Go proves out of them what we do."""
    settings = Settings(tmp_path, port=0, root_key=ROOT_KEY)
    headers = {"authorization": f"Bearer {ROOT_KEY}"}
    with serving(settings) as url, httpx.Client(base_url=url, headers=headers, trust_env=False) as root:
        made = root.post("/logs", json={"name": "public", "public_proofs": True}).json()
        log = f"{url}/logs/{made['log_id']}"
        sizes = [grown(root, log, events) for events in (1, 299, 2_300)]
        assert root.post(f"{log}/keys").status_code == 201
        size = grown(root, log, 7)
        note = httpx.get(f"{log}/checkpoint", trust_env=False).content
        vkeys = [key["verifier_key"] for key in httpx.get(f"{log}/keys", trust_env=False).json()["keys"]]
        inclusions = [inclusion_over_http(root, log, at, size) for at in (0, 255, 256, 2_559, size - 1)]
        histories = [consistency_over_http(log, old, size) for old in sizes]
        text = parse_note(note).text
        top = parse_checkpoint(text).root
        shown: list[tuple[str, list[str], bool]] = [
            ("the old key", vkeys[:1], True),
            ("the new key", vkeys[1:], True),
            ("both", vkeys, True),
        ]
        claims = {
            "Roots": [b""],
            "Notes": [{"Name": name, "Note": note, "Vkeys": ks, "Good": ok} for name, ks, ok in shown],
            "Tiled": {
                "Size": size,
                "Root": top,
                "URL": log,
                "Inclusions": [claim | {"Root": top} for claim in inclusions],
                "Histories": [
                    claim | {"OldRoot": root_over_http(log, claim["OldSize"]), "NewRoot": top}
                    for claim in histories
                ],
            },
            "Checkpoint": text,
        }
        code, said = ask(verifier, claims)
    assert code == 0, said
    assert int(said.split()[-1]) >= 2 * len(inclusions) + 2 * len(histories) + 3


def grown(root: httpx.Client, log: str, events: int) -> int:
    """Append, have the head published, and give its size."""
    lines = "\n".join(f'{{"n":{number}}}' for number in range(events))
    batch = root.post(f"{log}/append_batch", content=lines, headers={"content-type": "application/x-ndjson"})
    size: int = batch.json()["last_sequence"]
    proof = root.get(f"{log}/proof/inclusion", params={"sequence": size})
    assert parse_checkpoint(parse_note(proof.json()["checkpoint"].encode()).text).size == size
    return size


def inclusion_over_http(root: httpx.Client, log: str, index: int, size: int) -> dict[str, Any]:
    """The server's claim that a leaf is in the tree; the root comes with the checkpoint."""
    told = root.get(f"{log}/proof/inclusion", params={"sequence": index + 1, "size": size}).json()
    proof = [bytes.fromhex(each) for each in told["hashes"]]
    return {
        "Index": index,
        "Size": size,
        "Leaf": bytes.fromhex(told["leaf_hash"]),
        "Proof": proof,
        "Good": True,
    }


def consistency_over_http(log: str, old: int, new: int) -> dict[str, Any]:
    """The server's claim, to one without a key, that one tree begins with another."""
    told = httpx.get(f"{log}/proof/consistency", params={"from": old, "to": new}, trust_env=False).json()
    proof = [bytes.fromhex(each) for each in told["hashes"]]
    return {"OldSize": old, "NewSize": new, "Proof": proof, "Good": True}


def root_over_http(log: str, size: int) -> bytes:
    """The root of an older size, out of tiles as they were published for it."""

    def read(level: int, start: int, count: int) -> list[bytes]:
        hashes: list[bytes] = []
        while len(hashes) < count:
            tile, skip = divmod(start + len(hashes), TILE_WIDTH)
            held = (size >> (8 * level)) - tile * TILE_WIDTH
            path = tile_path(level, tile, min(held, TILE_WIDTH))
            data = httpx.get(f"{log}/{path}", trust_env=False).raise_for_status().content
            hashes += [data[at : at + 32] for at in range(skip * 32, len(data), 32)]
        return hashes[:count]

    return root_from_source(size, tile_hash_source(read))


def test_go_would_have_noticed(verifier: Path) -> None:
    """The program fails a wrong root, a changed tile and a note that is claimed bad but opens."""
    claims = all_claims()
    claims["Roots"][17] = bytes(32)
    claims["Notes"][0]["Good"] = False
    claims["Tiled"]["Tiles"]["tile/1/000"] = bytes(8_192)
    code, said = ask(verifier, claims)
    assert code == 1
    assert "root of 17 entries" in said
    assert 'note "checkpoint"' in said
    assert "out of tiles" in said
