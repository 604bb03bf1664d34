"""The HTTP contract against the whole server: what is sent, and what comes back."""

import base64
import hashlib
import json
import threading
from typing import Any

import httpx
import pytest
from tests.harness.calls import refused

# ---------------------------------------------------------------------- logs


def test_a_log_is_created_and_found(client: httpx.Client) -> None:
    """The first call answers log_id and name first; the log is found by either."""
    answer = client.post("/logs", content=b'{"name": "tenant-acme-audit"}')
    assert answer.status_code == 201
    made = answer.json()
    assert list(made)[:2] == ["log_id", "name"]
    assert made["name"] == "tenant-acme-audit"
    assert made["origin"].endswith(f"/logs/{made['log_id']}")
    assert made["head"] == {"size": 0, "root": hashlib.sha256().hexdigest(), "time": None}
    assert client.get(f"/logs/{made['log_id']}").json() == made
    assert client.get("/logs/tenant-acme-audit").json() == made
    document = refused(client.post("/logs", json={"name": "tenant-acme-audit"}), 409, "name_taken")
    assert document["log_id"] == made["log_id"]


def test_logs_are_listed_in_pages(client: httpx.Client) -> None:
    """Following `next` gives every log once."""
    for name in ("page-a", "page-b", "page-c"):
        client.post("/logs", json={"name": name})
    found: list[str] = []
    after = "page-"
    while after is not None:
        page = client.get("/logs", params={"after": after, "limit": 1}).json()
        found += [one["name"] for one in page["logs"]]
        after = page["next"]
    assert [name for name in found if name.startswith("page-")] == ["page-a", "page-b", "page-c"]
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"nam": "x"}', b'{"name": 5}', b'{"name": "\xff"}', b"[" * 50_000]
)
def test_a_body_that_is_not_the_call_s_json_is_refused(client: httpx.Client, body: bytes) -> None:
    """Every wrong body of our own calls is 400, never a guess and never a crash."""
    refused(client.post("/logs", content=body), 400, "malformed_json")


# ---------------------------------------------------------------------- appends


def test_an_append_keeps_the_exact_bytes(client: httpx.Client, log: str) -> None:
    """Whatever Content-Type is sent, the event is the body; the receipt recomputes its leaf."""
    payload = b'{"type": "record.updated",\r\n "actor": "user_8f3a", "n": 1.0}'
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post(f"{log}/append", content=payload, headers=form)
    assert answer.status_code == 201
    assert answer.content.endswith(b"}\n")
    receipt = answer.json()
    assert list(receipt) == ["sequence", "time", "leaf_hash", "salt", "writer", "origin"]
    assert receipt["sequence"] == 1
    assert client.get(f"{log}/events/1/raw").content == payload
    commitment = hashlib.sha256(bytes.fromhex(receipt["salt"]) + payload).digest()
    event = client.get(f"{log}/events/1").json()
    assert event["payload"] == json.loads(payload)
    assert (event["time"], event["writer"], event["salt"]) == tuple(
        receipt[name] for name in ("time", "writer", "salt")
    )
    entry = b"".join(
        [
            b"\1",
            (1).to_bytes(8, "big"),
            _micros(receipt["time"]).to_bytes(8, "big"),
            bytes.fromhex(receipt["writer"].replace("-", "")),
            commitment,
        ]
    )
    assert hashlib.sha256(b"\0" + entry).hexdigest() == receipt["leaf_hash"]


def _micros(time: str) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415 - the one test that reads times by other means

    moment = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)


def test_a_retry_with_its_key_is_answered_again(client: httpx.Client, log: str) -> None:
    """The same key and bytes give the first answer, marked; other bytes are 422; nothing is doubled."""
    key = {"idempotency-key": "k1"}
    first = client.post(f"{log}/append", content=b"1", headers=key)
    again = client.post(f"{log}/append", content=b"1", headers=key)
    assert again.content == first.content
    assert again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    refused(client.post(f"{log}/append", content=b"2", headers=key), 422, "idempotency_key_reused")
    assert client.get(log).json()["head"]["size"] == 1


def test_an_expectation_is_checked(client: httpx.Client, log: str) -> None:
    """Expected-Sequence lets one of two writers win; the other learns the head."""
    assert client.post(f"{log}/append", content=b"1", headers={"expected-sequence": "0"}).status_code == 201
    answer = client.post(f"{log}/append", content=b"1", headers={"expected-sequence": "0"})
    assert refused(answer, 409, "sequence_mismatch")["head"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        [("expected-sequence", "-1")],
        [("expected-sequence", "one")],
        [("expected-sequence", "1"), ("expected-sequence", "1")],
        [("idempotency-key", "a"), ("idempotency-key", "b")],
        [("idempotency-key", "caf\u00e9".encode())],
    ],
)
def test_a_header_that_decides_is_never_guessed_at(client: httpx.Client, log: str, headers: Any) -> None:
    """An unreadable or doubled key or expectation is refused, since dropping it could double an event."""
    refused(client.post(f"{log}/append", content=b"1", headers=headers), 400, "malformed")
    assert client.get(log).json()["head"]["size"] == 0


def test_encodings_and_empty_events_are_refused(client: httpx.Client, log: str) -> None:
    """Compressed bodies are not events, and neither is nothing."""
    gzip = {"content-encoding": "gzip"}
    refused(client.post(f"{log}/append", content=b"1", headers=gzip), 415, "unsupported_media_type")
    refused(client.post(f"{log}/append"), 400, "empty_event")
    plain = {"content-encoding": "identity"}
    assert client.post(f"{log}/append", content=b"1", headers=plain).status_code == 201


def test_an_append_can_bring_its_proof(client: httpx.Client, log: str) -> None:
    """Prefer: return=proof adds a tlog-proof, and says that it did."""
    answer = client.post(f"{log}/append", content=b"1", headers={"prefer": "return=proof"})
    assert answer.headers["preference-applied"] == "return=proof"
    assert answer.json()["proof"].startswith("c2sp.org/tlog-proof@v1\n")


@pytest.mark.parametrize(
    ("query", "kind", "body", "events"),
    [
        ("", "application/x-ndjson", b'{"a":1}\r\n\n[2]\n', [b'{"a":1}', b"[2]"]),
        ("", "application/json", b'[ {"a": 1} , 2]', [b'{"a": 1}', b"2"]),
        ("", "application/x-www-form-urlencoded", b"[1,2]", [b"1", b"2"]),
        ("?delimiter=%0A", "text/plain", b"one\n\xff\n", [b"one", b"\xff"]),
        ("?delimiter=%2B%00", "text/plain", b"one+\0two+", [b"one", b"two+"]),
    ],
)
def test_a_batch_is_cut_as_its_type_says(
    client: httpx.Client, log: str, query: str, kind: str, body: bytes, events: list[bytes]
) -> None:
    """Each framing keeps the exact bytes of its events, and the batch has one time."""
    answer = client.post(f"{log}/append_batch{query}", content=body, headers={"content-type": kind})
    assert answer.status_code == 201, answer.text
    receipt = answer.json()
    assert (receipt["first_sequence"], receipt["last_sequence"], receipt["count"]) == (
        1,
        len(events),
        len(events),
    )
    assert [client.get(f"{log}/events/{n + 1}/raw").content for n in range(len(events))] == events
    found = client.get(f"{log}/events").json()["events"]
    assert {event["time"] for event in found} == {receipt["time"]}


def test_a_batch_can_bring_all_receipts(client: httpx.Client, log: str) -> None:
    """With receipts=true each event's salt and leaf are there, those that reading gives."""
    answer = client.post(f"{log}/append_batch?receipts=true", content=b"[1,2,3]").json()
    assert len(answer["leaf_hashes"]) == 3
    found = client.get(f"{log}/events").json()["events"]
    assert [event["salt"] for event in found] == answer["salts"]


def test_a_bad_batch_leaves_nothing(client: httpx.Client, log: str) -> None:
    """All or nothing: one bad line refuses the whole batch, and says which line."""
    lines = {"content-type": "application/x-ndjson"}
    answer = client.post(f"{log}/append_batch", content=b"1\nnope\n3\n", headers=lines)
    assert refused(answer, 400, "malformed_json")["line"] == 2
    refused(client.post(f"{log}/append_batch", content=b"a,b"), 415, "unsupported_media_type")
    assert client.get(log).json()["head"]["size"] == 0


# ---------------------------------------------------------------------- events


def test_events_are_read_in_pages_both_ways(client: httpx.Client, log: str) -> None:
    """Following `next` gives every event once, oldest or newest first."""
    client.post(f"{log}/append_batch", json=list(range(25)))
    for order, expected in (("asc", list(range(25))), ("desc", list(range(24, -1, -1)))):
        found: list[int] = []
        after: int | None = None
        while True:
            params: dict[str, str | int] = {"order": order, "limit": 10}
            if after is not None:
                params["after_sequence"] = after
            page = client.get(f"{log}/events", params=params).json()
            found += [event["payload"] for event in page["events"]]
            after = page["next"]
            if after is None:
                break
        assert found == expected


def test_events_stream_as_lines(client: httpx.Client, log: str) -> None:
    """NDJSON gives the whole log, a line an event, the same members as a page."""
    client.post(f"{log}/append_batch", json=list(range(3_000)))
    answer = client.get(f"{log}/events", headers={"accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert [event["payload"] for event in events] == list(range(3_000))
    assert events[0] == client.get(f"{log}/events", params={"limit": 1}).json()["events"][0]


def test_bytes_are_given_where_asked_for_or_needed(client: httpx.Client, log: str) -> None:
    """payload_base64 stands where a payload is no JSON, and on all with bytes=true."""
    for payload in (b"{}", b"\xff\x00"):
        client.post(f"{log}/append", content=payload)
    plain = client.get(f"{log}/events").json()["events"]
    assert plain[0]["payload"] == {}
    assert "payload_base64" not in plain[0]
    assert base64.b64decode(plain[1]["payload_base64"]) == b"\xff\x00"
    exact = client.get(f"{log}/events", params={"bytes": "true"}).json()["events"]
    assert [base64.b64decode(event["payload_base64"]) for event in exact] == [b"{}", b"\xff\x00"]


def test_a_long_poll_is_woken_by_an_append(client: httpx.Client, log: str, url: str) -> None:
    """A reader that waits gets the next event as it is committed, long before its time is over."""
    headers = dict(client.headers)

    def wait() -> httpx.Response:
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as other:
            return other.get(f"{log}/events", params={"after_sequence": 0, "wait": 20})

    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(wait()))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    client.post(f"{log}/append", content=b'"next"')
    thread.join(10)
    assert [event["payload"] for event in answers[0].json()["events"]] == ["next"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/events?limit=0", "invalid_parameter"),
        ("/events?order=up", "invalid_parameter"),
        ("/events?limit=1&limit=2", "repeated_parameter"),
        ("/events?lmit=1", "unknown_parameter"),
        ("/events?from=yesterday", "invalid_parameter"),
        ("/events?from=%ff", "malformed"),
        ("/proof/inclusion", "invalid_parameter"),
        ("/append?x=1", "unknown_parameter"),
    ],
)
def test_parameters_are_never_dropped(client: httpx.Client, log: str, path: str, code: str) -> None:
    """A misspelt, doubled or unreadable parameter is refused by name."""
    method = "POST" if path.startswith("/append") else "GET"
    refused(client.request(method, log + path, content=b"1" if method == "POST" else None), 400, code)


# ---------------------------------------------------------------------- proofs


def test_proofs_tiles_and_checkpoint_are_served(client: httpx.Client, log: str) -> None:
    """The tile holds the log's leaves, and the proofs carry the checkpoint they are for."""
    receipts = [client.post(f"{log}/append", content=b"%d" % n).json() for n in range(3)]
    proof = client.get(f"{log}/proof/inclusion", params={"sequence": 2}).json()
    assert proof["leaf_hash"] == receipts[1]["leaf_hash"]
    assert (proof["sequence"], proof["index"]) == (2, 1)
    assert proof["checkpoint"].splitlines()[0] == receipts[0]["origin"]
    size = proof["size"]
    consistency = client.get(f"{log}/proof/consistency", params={"from": 1, "to": size}).json()
    assert (consistency["from"], consistency["to"]) == (1, size)
    tile = client.get(f"{log}/tile/0/000.p/{size}")
    assert tile.status_code == 200, tile.text
    assert tile.headers["content-type"] == "application/octet-stream"
    assert tile.content == b"".join(bytes.fromhex(one["leaf_hash"]) for one in receipts[:size])
    assert "immutable" in tile.headers["cache-control"]
    assert len(client.get(f"{log}/tile/entries/000.p/{size}").content) == size * 67
    note = client.get(f"{log}/checkpoint")
    assert note.headers["content-type"] == "text/plain; charset=utf-8"
    again = client.get(f"{log}/tile/0/000.p/{size}", headers={"if-none-match": tile.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{log}/keys").json()["keys"]
