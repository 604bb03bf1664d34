"""The HTTP contract around the calls on logs: keys, the frame of every call, views."""

import base64
import hashlib
from pathlib import Path

import httpx
import pytest
from tests.harness.calls import refused, serving

from indelible.config import Settings

# ---------------------------------------------------------------------- keys


def test_a_key_does_what_its_scopes_say(client: httpx.Client, log: str, url: str) -> None:
    """A secret is shown once, works at once, does no more than it may, and ends with its revocation."""
    made = client.post("/keys", json={"label": "writer", "scopes": ["append"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    secret = made.json()["secret"]
    listed = client.get("/keys").json()["keys"]
    assert made.json()["key_id"] in [key["key_id"] for key in listed]
    assert all("secret" not in key for key in listed)
    with httpx.Client(
        base_url=url, headers={"authorization": f"Bearer {secret}"}, timeout=30, trust_env=False
    ) as writer:
        receipt = writer.post(f"{log}/append", content=b"1").json()
        assert receipt["writer"] == made.json()["writer"]
        refused(writer.get(f"{log}/events"), 403, "forbidden")
        assert client.delete(f"/keys/{made.json()['key_id']}").json()["revoked"] is not None
        refused(writer.post(f"{log}/append", content=b"1"), 401, "unauthenticated")


def test_a_workspace_is_isolated(client: httpx.Client, log: str, url: str) -> None:
    """Another workspace's key sees neither the log nor that there is one."""
    made = client.post("/workspaces", json={"name": "acme-" + log[-6:]}).json()
    headers = {"authorization": f"Bearer {made['key']['secret']}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as other:
        theirs = other.get(log)
        nobody = other.get("/logs/never-made")
        refused(theirs, 404, "not_found")
        strip = {"request_id"}
        assert {k: v for k, v in theirs.json().items() if k not in strip} == {
            k: v for k, v in nobody.json().items() if k not in strip
        }
        refused(other.get("/workspaces"), 403, "forbidden")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer x", "Basic cm9vdDpyb290", "Bearer \u00e9"]
)
def test_no_valid_key_is_401(url: str, authorization: str | None) -> None:
    """Whatever stands in Authorization, only a valid key is let in, and the answer says how."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as stranger:
        answer = stranger.get("/logs")
        refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


# ---------------------------------------------------------------------- the frame


def test_paths_and_methods_that_are_not_ours(client: httpx.Client, log: str) -> None:
    """404 for a path, 405 with Allow for a method, and no CORS preflight for anyone."""
    refused(client.get("/nope"), 404, "not_found")
    answer = client.put(log)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, PATCH"
    preflight = client.options(
        f"{log}/append", headers={"origin": "http://evil.example", "access-control-request-method": "POST"}
    )
    refused(preflight, 405, "method_not_allowed")
    assert not [name for name in preflight.headers if name.startswith("access-control-")]


def test_there_is_no_call_that_changes_an_event(client: httpx.Client, log: str) -> None:
    """No method on an event or on a log but reading it; PATCH of a log takes who may see its proofs alone."""
    client.post(f"{log}/append", content=b"1")
    for path in (log, f"{log}/events", f"{log}/events/1", f"{log}/events/1/raw"):
        for method in ("PUT", "PATCH", "DELETE", "POST"):
            if (method, path) != ("PATCH", log):
                refused(client.request(method, path), 405, "method_not_allowed")
    for member in ("name", "origin", "erasable", "head", "created"):
        body = {"public_proofs": False, member: None}
        refused(client.patch(log, json=body), 400, "malformed_json")


def test_head_is_get_without_its_body(client: httpx.Client, log: str) -> None:
    """HEAD answers what GET would, and nothing more."""
    answer = client.head(log)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(client.get(log).content)
    streamed = client.head(f"{log}/events", headers={"accept": "application/x-ndjson"})
    assert (streamed.status_code, streamed.content) == (200, b"")


def test_a_request_id_is_taken_or_made(client: httpx.Client) -> None:
    """A sane id of the caller's comes back; anything else is replaced."""
    assert client.get("/healthz", headers={"x-request-id": "abc-123"}).headers["x-request-id"] == "abc-123"
    odd = client.get("/healthz", headers={"x-request-id": "a b"}).headers["x-request-id"]
    assert odd not in {"", "a b"}
    assert odd != client.get("/healthz").headers["x-request-id"]


def test_types_that_are_not_served_are_406(client: httpx.Client, log: str) -> None:
    """A client that takes only what we do not have is told what there is."""
    answer = client.get(log, headers={"accept": "application/xml"})
    assert refused(answer, 406, "not_acceptable")["offered"] == ["application/json"]


def test_monitors_need_no_key(url: str) -> None:
    """Health, readiness, metrics from this machine, the description and its pages are open."""
    with httpx.Client(base_url=url, trust_env=False) as stranger:
        assert stranger.get("/healthz").json() == {"healthy": True}
        assert stranger.get("/readyz").json()["ready"] is True
        assert "indelible_http_requests_total" in stranger.get("/metrics").text
        refused(stranger.get("/metrics", headers={"x-forwarded-for": "1.2.3.4"}), 401, "unauthenticated")
        for path in ("/", "/docs"):
            page = stranger.get(path)
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            policy = page.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            style = page.text.split("<style>")[1].split("</style>")[0]
            digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
            assert digest in policy
            assert "<script" not in page.text
            assert "http://" not in page.text.replace("http://$", "")


def test_metrics_are_for_root(client: httpx.Client, url: str) -> None:
    """A key that is not root's does not read metrics, even on this machine."""
    assert client.get("/metrics").status_code == 200
    secret = client.post("/keys", json={"label": "m", "scopes": ["read"]}).json()["secret"]
    with httpx.Client(base_url=url, trust_env=False) as other:
        answer = other.get("/metrics", headers={"authorization": f"Bearer {secret}"})
        refused(answer, 403, "forbidden")


def test_without_keys_only_this_machine_is_served(tmp_path: Path) -> None:
    """--no-auth answers loopback names, and refuses a rebound name and a foreign page."""
    with (
        serving(Settings(tmp_path, port=0, no_auth=True)) as base,
        httpx.Client(base_url=base, trust_env=False) as client,
    ):
        made = client.post("/logs", content=b'{"name": "open"}')
        assert made.status_code == 201
        receipt = client.post("/logs/open/append", content=b"1").json()
        assert receipt["writer"] == "00000000-0000-0000-0000-000000000000"
        for headers in (
            {"host": "evil.example"},
            {"origin": "http://evil.example"},
            {"sec-fetch-site": "cross-site"},
        ):
            refused(client.post("/logs/open/append", content=b"2", headers=headers), 403, "foreign_origin")
        assert client.get("/logs/open").json()["head"]["size"] == 1


# ---------------------------------------------------------------------- views


def test_the_four_calls(client: httpx.Client) -> None:
    """A log, an event, a view and a question, sent as `curl -d` sends them, answer as the design says."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    log_id = client.post("/logs", content=b'{"name": "four-calls"}', headers=form).json()["log_id"]
    event = b'{"type": "record.updated", "actor": "user_8f3a", "resource": "invoice_2291"}'
    assert client.post(f"/logs/{log_id}/append", content=event, headers=form).status_code == 201
    view = f"/logs/{log_id}/views/compliance-report"
    deployed = client.post(view, content=b'{"builtin": "compliance-report"}', headers=form)
    assert deployed.status_code == 201, deployed.text
    assert (deployed.json()["version"], deployed.json()["state"]) == (1, "replaying")
    again = client.post(view, content=b'{"builtin": "compliance-report"}', headers=form)
    assert (again.status_code, again.json()["version"]) == (200, 1)
    answer = client.post(f"{view}/query?after=2025-01-01&before=2099-12-31", headers=form)
    assert answer.status_code == 200, answer.text
    assert list(answer.json())[:3] == ["changes_by_resource", "actions_by_actor", "cover"]
    assert answer.json()["cover"]["events_folded"] == 1
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["indelible-sequence"] == "1"
    assert answer.headers["indelible-view"] == f"compliance-report@1 sha256:{deployed.json()['sha256']}"
    by_get = client.get(f"{view}/query?after=2025-01-01&before=2099-12-31").json()
    assert by_get["changes_by_resource"] == answer.json()["changes_by_resource"]
    refused(client.get(f"{view}/query?after=2025-01-01&after=2025-01-02"), 400, "repeated_parameter")
    refused(client.get(f"{view}/query?after=7"), 400, "ambiguous_after")
    refused(client.get(f"{view}/query?actor=%ff"), 400, "malformed")
    assert [one["name"] for one in client.get(f"/logs/{log_id}/views").json()["views"]] == [
        "compliance-report"
    ]
    assert client.delete(view).status_code == 204
    refused(client.get(view), 404, "not_found")


def test_what_is_deployed_must_be_a_view(client: httpx.Client, log: str) -> None:
    """Bytes that begin like a component but are none are 422; other bytes are not this call's JSON."""
    component = b"\0asm\x0d\0\1\0" + b"\xff" * 20
    refused(client.post(f"{log}/views/bad", content=component), 422, "not_a_view")
    refused(client.post(f"{log}/views/bad", content=b"\x7fELF"), 400, "malformed_json")
    both = {"builtin": "compliance-report", "sha256": "0" * 64}
    refused(client.post(f"{log}/views/bad", json=both), 400, "malformed_json")
    assert client.get(f"{log}/views").json() == {"views": []}
