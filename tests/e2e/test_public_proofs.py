"""Proofs that need no key: who sees what, what caches and pages may do with it, and what stays hidden."""

import hashlib
import uuid
from collections.abc import Iterator

import httpx
import pytest
from tests.harness.calls import ROOT_KEY, refused, serving

from indelible.config import Settings
from indelible.merkle.proofs import verify_consistency
from indelible.notes.checkpoint import open_checkpoint, parse_checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.note import parse_note

SHOWN = ("checkpoint", "keys", "tile/0/000.p/5", "tile/entries/000.p/5", "proof/consistency?from=2")
HIDDEN = (
    "",
    "/events",
    "/events/1",
    "/events/1/raw",
    "/events/1/proof",
    "/proof/inclusion?sequence=1",
    "/proof/range",
    "/views",
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a server with keys."""
    with serving(Settings(tmp_path_factory.mktemp("data"), port=0, root_key=ROOT_KEY)) as base:
        yield base


@pytest.fixture
def root(url: str) -> Iterator[httpx.Client]:
    """Give a client with the root key."""
    headers = {"authorization": f"Bearer {ROOT_KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as made:
        yield made


@pytest.fixture
def stranger(url: str) -> Iterator[httpx.Client]:
    """Give a client without a key."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as made:
        yield made


def made(root: httpx.Client, *, public: bool, events: int = 5) -> str:
    """A log with events under a published head; its path by its id."""
    body = {"name": f"log-{uuid.uuid4().hex[:12]}-x", "public_proofs": public}
    answer = root.post("/logs", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["public_proofs"] is public
    path = f"/logs/{answer.json()['log_id']}"
    grown(root, path, events)
    return path


def grown(root: httpx.Client, path: str, events: int) -> None:
    """Append, and have the head published."""
    if events:
        lines = "\n".join(f'{{"n":{number}}}' for number in range(events))
        batch = root.post(
            f"{path}/append_batch", content=lines, headers={"content-type": "application/x-ndjson"}
        )
        assert batch.status_code == 201, batch.text
        size = batch.json()["last_sequence"]
        assert root.get(f"{path}/proof/inclusion", params={"sequence": size}).status_code == 200


def same_refusal(one: httpx.Response, other: httpx.Response) -> None:
    """Two refusals that tell nothing apart but the request's id."""
    documents = [answer.json() | {"request_id": ""} for answer in (one, other)]
    assert documents[0] == documents[1]
    assert one.status_code == other.status_code
    names = [{name for name, _ in answer.headers.items()} for answer in (one, other)]
    assert names[0] == names[1]


# ---------------------------------------------------------------------- who sees what


def test_a_stranger_checks_a_public_log(root: httpx.Client, stranger: httpx.Client) -> None:
    """Checkpoint, keys, tiles and consistency without a key, by id; and all of it verifies."""
    path = made(root, public=True)
    note = stranger.get(f"{path}/checkpoint").content
    (key,) = stranger.get(f"{path}/keys").json()["keys"]
    head, _ = open_checkpoint(note, Verifier.parse(key["verifier_key"]))
    leaves = stranger.get(f"{path}/tile/0/000.p/5").content
    bundle = stranger.get(f"{path}/tile/entries/000.p/5").content
    entries = [bundle[at + 2 : at + 67] for at in range(0, len(bundle), 67)]
    assert [hashlib.sha256(b"\0" + entry).digest() for entry in entries] == [
        leaves[at : at + 32] for at in range(0, len(leaves), 32)
    ]
    grown(root, path, 4)
    proof = stranger.get(f"{path}/proof/consistency", params={"from": 5}).json()
    newer = parse_checkpoint(parse_note(proof["checkpoint"].encode()).text)
    assert newer.size == 9
    verify_consistency(5, 9, head.root, newer.root, [bytes.fromhex(each) for each in proof["hashes"]])


def test_events_salts_and_ranges_stay_behind_the_key(root: httpx.Client, stranger: httpx.Client) -> None:
    """Every other call on a public log asks for a key; so does every call by its name."""
    path = made(root, public=True)
    name = root.get(path).json()["name"]
    for rest in HIDDEN:
        refused(stranger.get(f"{path}{rest}"), 401, "unauthenticated")
    for shown in SHOWN:
        assert stranger.get(f"{path}/{shown}").status_code == 200, shown
        refused(stranger.get(f"/logs/{name}/{shown}"), 401, "unauthenticated")
    for method, call in [("POST", "keys"), ("POST", "append"), ("PATCH", "")]:
        answer = stranger.request(method, f"{path}/{call}".rstrip("/"), json={"public_proofs": False})
        refused(answer, 401, "unauthenticated")


def test_a_log_that_is_not_public_answers_as_one_that_is_not_there(
    root: httpx.Client, stranger: httpx.Client
) -> None:
    """Without a key, and with a key of another workspace: the same status, words and headers."""
    private, nowhere = made(root, public=False), f"/logs/{uuid.uuid4()}"
    other = root.post("/workspaces", json={"name": f"w-{uuid.uuid4().hex[:8]}"}).json()["key"]["secret"]
    for shown in SHOWN:
        answers = [stranger.get(f"{path}/{shown}") for path in (private, nowhere)]
        refused(answers[0], 401, "unauthenticated")
        same_refusal(*answers)
        answers = [
            stranger.get(f"{path}/{shown}", headers={"authorization": f"Bearer {other}"})
            for path in (private, nowhere)
        ]
        refused(answers[0], 404, "not_found")
        same_refusal(*answers)


def test_a_key_of_another_workspace_sees_what_everybody_sees(
    root: httpx.Client, stranger: httpx.Client
) -> None:
    """A public log by its id with a foreign key, or one without `read`; a wrong key is refused."""
    path = made(root, public=True)
    foreign = root.post("/workspaces", json={"name": f"w-{uuid.uuid4().hex[:8]}"}).json()["key"]["secret"]
    writer = root.post("/keys", json={"label": "w", "scopes": ["append"]}).json()["secret"]
    for secret in (foreign, writer):
        for shown in SHOWN:
            answer = stranger.get(f"{path}/{shown}", headers={"authorization": f"Bearer {secret}"})
            assert answer.status_code == 200, answer.text
    wrong = stranger.get(f"{path}/checkpoint", headers={"authorization": "Bearer wrong"})
    refused(wrong, 401, "unauthenticated")


def test_access_is_given_and_taken_back_and_audit_has_it(root: httpx.Client, stranger: httpx.Client) -> None:
    """PATCH by an admin, from the next request on; what is so already is not written again."""
    path = made(root, public=False)
    before = root.get(path).json()
    head = root.get("/logs/_audit").json()["head"]["size"]
    for public in (True, True, False, False, True):
        changed = root.patch(path, json={"public_proofs": public})
        assert changed.status_code == 200
        assert changed.json() == {**before, "public_proofs": public}
        assert root.get(path).json() == changed.json()
        listed = {each["log_id"]: each["public_proofs"] for each in root.get("/logs").json()["logs"]}
        assert listed[before["log_id"]] is public
        status = stranger.get(f"{path}/checkpoint").status_code
        assert status == (200 if public else 401)
        assert stranger.get(f"{path.upper().replace('/LOGS', '/logs')}/checkpoint").status_code == status
    events = root.get("/logs/_audit/events", params={"after_sequence": head}).json()["events"]
    told = [each["payload"] for each in events if each["payload"]["type"] == "log.access_changed"]
    assert [each["public_proofs"] for each in told] == [True, False, True]
    assert {each["resource"]["id"] for each in told} == {before["log_id"]}


def test_only_an_admin_changes_access_and_keys(root: httpx.Client) -> None:
    """Every other scope together is not enough, and a foreign log is not there."""
    path = made(root, public=False)
    scopes = ["append", "read", "query", "deploy"]
    secret = root.post("/keys", json={"label": "all but admin", "scopes": scopes}).json()["secret"]
    weak = {"authorization": f"Bearer {secret}"}
    refused(root.patch(path, json={"public_proofs": True}, headers=weak), 403, "forbidden")
    refused(root.post(f"{path}/keys", headers=weak), 403, "forbidden")
    refused(root.patch(f"/logs/{uuid.uuid4()}", json={"public_proofs": True}), 404, "not_found")
    refused(root.post(f"/logs/{uuid.uuid4()}/keys"), 404, "not_found")
    for body in ({}, {"public_proofs": 1}, {"public_proofs": None}, {"public_proofs": True, "name": "x"}):
        refused(root.patch(path, json=body), 400, "malformed_json")
    assert len(root.get(f"{path}/keys").json()["keys"]) == 1


# ---------------------------------------------------------------------- caches and pages


def test_public_answers_may_be_kept_and_read_by_any_page(root: httpx.Client, stranger: httpx.Client) -> None:
    """`public` and any origin on a public log, with a key or without; `private` and no origin elsewhere."""
    public, private = made(root, public=True), made(root, public=False)
    name = root.get(public).json()["name"]
    for shown in SHOWN:
        for client in (stranger, root):
            answer = client.get(f"{public}/{shown}", headers={"origin": "https://a.example"})
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cache-control"].startswith("public, max-age=")
            again = client.get(f"{public}/{shown}", headers={"if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["access-control-allow-origin"] == "*"
            assert again.headers["cache-control"] == answer.headers["cache-control"]
            assert again.headers["etag"] == answer.headers["etag"]
            head = client.head(f"{public}/{shown}")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["etag"] == answer.headers["etag"]
        for path in (private, f"/logs/{name}"):
            answer = root.get(f"{path}/{shown}", headers={"origin": "https://a.example"})
            assert answer.headers["cache-control"].startswith("private, ")
            assert "access-control-allow-origin" not in answer.headers
    for_ever = [stranger.get(f"{public}/{shown}").headers["cache-control"] for shown in SHOWN]
    assert ["immutable" in each for each in for_ever] == [False, False, True, True, False]


def test_what_a_public_log_refuses_is_not_kept_and_can_be_read_by_pages(
    root: httpx.Client, stranger: httpx.Client
) -> None:
    """A tile that is not there yet may be there soon: `no-store`, and a page sees that it is a 404."""
    path = made(root, public=True)
    for missing in ("tile/0/000", "tile/0/000.p/6", "tile/1/000.p/1", "tile/0/0", "tile/entries/000"):
        answer = stranger.get(f"{path}/{missing}")
        refused(answer, 404, "not_found")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"


def test_every_partial_tile_of_every_published_size_stays(root: httpx.Client, stranger: httpx.Client) -> None:
    """Those of sizes long past too, also after the full tile is there; and each is the tree's own prefix."""
    path = made(root, public=True, events=0)
    sizes = []
    for events in (1, 254, 1, 3, 253, 40):
        grown(root, path, events)
        sizes.append(parse_checkpoint(parse_note(stranger.get(f"{path}/checkpoint").content).text).size)
    assert sizes == [1, 255, 256, 259, 512, 552]
    everything = b"".join(
        stranger.get(f"{path}/tile/0/{name}").content for name in ("000", "001", "002.p/40")
    )
    for size in sizes:
        full, width = divmod(size, 256)
        if width:
            tile = stranger.get(f"{path}/tile/0/{full:03}.p/{width}").content
            assert tile == everything[full * 8192 : full * 8192 + width * 32]
            bundle = stranger.get(f"{path}/tile/entries/{full:03}.p/{width}").content
            assert len(bundle) == 67 * width
        if full:
            tile = stranger.get(f"{path}/tile/1/000.p/{full}").content
            assert len(tile) == 32 * full
            assert stranger.get(f"{path}/tile/1/000.p/2").content.startswith(tile)
