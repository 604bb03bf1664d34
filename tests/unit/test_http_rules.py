from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from indelible.http import render, wire
from indelible.http.errors import problem_answer
from indelible.http.guards import check_local, is_direct_from_loopback
from indelible.http.negotiate import choose_type, etag, matches, prefers_proof
from indelible.http.request import RequestHeaders
from indelible.http.table import Reply, Route, Tree
from indelible.model.errors import CODES, Problem
from indelible.model.types import Event, Receipt


def Headers(given: Mapping[str, str]) -> RequestHeaders:  # noqa: N802 - reads as what it makes
    """Request headers, each given once."""
    return RequestHeaders([(name.encode(), value.encode()) for name, value in given.items()])


def scope(client: str = "127.0.0.1:5", authority: str | None = None, scheme: str = "http") -> Any:
    """Return a request's other side as far as the guards look."""
    return SimpleNamespace(client=client, authority=authority, scheme=scheme)


# ---------------------------------------------------------------------- guards


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "127.9.9.9:8000"])
def test_loopback_names_with_our_port_are_served(host: str) -> None:
    """Every way to name this machine is taken, with a page of ours as origin or none."""
    check_local(scope(), Headers({"host": host}), 8000)
    check_local(scope(), Headers({"host": host, "origin": f"http://{host}"}), 8000)
    check_local(scope(), Headers({"host": host, "sec-fetch-site": "same-origin"}), 8000)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "evil.example:8000"},
        {"host": "localhost.evil.example:8000"},
        {"host": "127.0.0.1.evil.example:8000"},
        {"host": "localhost:8001"},
        {"host": "localhost"},
        {"host": "localhost:8000:8000"},
        {"host": "user@localhost:8000"},
        {"host": "192.168.1.5:8000"},
        {"host": "0.0.0.0:8000"},
        {"host": "localhost:8000", "origin": "http://evil.example"},
        {"host": "localhost:8000", "origin": "http://localhost:3000"},
        {"host": "localhost:8000", "origin": "null"},
        {"host": "localhost:8000", "origin": ""},
        {"host": "localhost:8000", "sec-fetch-site": "cross-site"},
        {"host": "localhost:8000", "sec-fetch-site": "same-site"},
    ],
)
def test_rebound_names_and_foreign_pages_are_refused(headers: dict[str, str]) -> None:
    """Without keys, nothing that a page of others can make a browser send is served."""
    with pytest.raises(Problem) as caught:
        check_local(scope(), Headers(headers), 8000)
    assert caught.value.code.name == "foreign_origin"


def test_the_request_line_names_us_too() -> None:
    """An absolute URL in the request line outweighs Host (RFC 9112, 3.2.2), so it is looked at as well."""
    with pytest.raises(Problem):
        check_local(scope(authority="evil.example:8000"), Headers({"host": "localhost:8000"}), 8000)


def test_a_default_port_needs_no_number() -> None:
    """On port 80 and, with TLS, 443, Host carries no port."""
    check_local(scope(), Headers({"host": "localhost"}), 80)
    check_local(scope(scheme="https"), Headers({"host": "localhost"}), 443)


@pytest.mark.parametrize(
    ("client", "headers", "direct"),
    [
        ("127.0.0.1:5", {}, True),
        ("[::1]:5", {}, True),
        ("10.0.0.1:5", {}, False),
        ("127.0.0.1:5", {"x-forwarded-for": "1.2.3.4"}, False),
        ("127.0.0.1:5", {"forwarded": "for=1.2.3.4"}, False),
    ],
)
def test_only_a_direct_client_is_on_this_machine(client: str, headers: dict[str, str], direct: bool) -> None:
    """A proxy on this machine forwards for others, and says so; its clients are not local."""
    assert is_direct_from_loopback(scope(client=client), Headers(headers)) is direct


# ---------------------------------------------------------------------- negotiation


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/*;q=0.2, text/html", "application/json"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ("text/html, */*;q=0.8", "application/json"),
    ],
)
def test_the_best_accepted_type_is_chosen(accept: str | None, chosen: str) -> None:
    """Qualities, wildcards and exclusions count as RFC 9110 has them."""
    assert choose_type(accept, ("application/json", "application/x-ndjson")) == chosen


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "", "application/json;q=x"])
def test_nothing_acceptable_is_refused(accept: str) -> None:
    """A client that takes none of ours is told which there are."""
    with pytest.raises(Problem) as caught:
        choose_type(accept, ("application/json",))
    assert caught.value.code.name == "not_acceptable"


def test_entity_tags_match_by_their_bytes() -> None:
    """A tag changes with the body, and is found in a list, weak or not."""
    tag = etag(b"one")
    assert tag != etag(b"two")
    assert matches(tag, tag)
    assert matches(f'"x", W/{tag}', tag)
    assert matches("*", tag)
    assert not matches('"x"', tag)
    assert not matches(None, tag)


@pytest.mark.parametrize(
    ("prefer", "proof"),
    [(None, False), ("return=proof", True), ('wait=5, return="proof"', True), ("return=minimal", False)],
)
def test_a_proof_is_given_when_preferred(prefer: str | None, proof: bool) -> None:
    """Prefer: return=proof is found among other preferences."""
    assert prefers_proof(prefer) is proof


# ---------------------------------------------------------------------- routes


async def _nothing(*_: Any) -> Any:
    return None


def route(method: str, template: str) -> Route:
    """Return a route that does nothing."""
    return Route(method, template, method + template, "", _nothing, (Reply(200, "", {}),), "")


TREE = Tree(
    [
        route("GET", "/"),
        route("POST", "/logs"),
        route("GET", "/logs/{log}"),
        route("GET", "/logs/{log}/events/{sequence}/raw"),
        route("GET", "/logs/{log}/tile/{path...}"),
    ]
)


@pytest.mark.parametrize(
    ("path", "template", "values"),
    [
        ("/", "/", ()),
        ("/logs", "/logs", ()),
        ("/logs/a", "/logs/{log}", ("a",)),
        ("/logs/logs", "/logs/{log}", ("logs",)),
        ("/logs/a/events/5/raw", "/logs/{log}/events/{sequence}/raw", ("a", "5")),
        ("/logs/a/tile/0/x001/067.p/8", "/logs/{log}/tile/{path...}", ("a", "0/x001/067.p/8")),
    ],
)
def test_paths_find_their_route(path: str, template: str, values: tuple[str, ...]) -> None:
    """Words, names and a rest that has slashes are told apart, and the values come in order."""
    routes, found = TREE.find(path)
    assert [one.template for one in routes.values()] == [template]
    assert found == values


@pytest.mark.parametrize("path", ["", "/x", "/logs/", "/logs//tile/1", "/logs/a/", "/logs/a/events/5", "//"])
def test_other_paths_find_nothing(path: str) -> None:
    """A path that is not exactly ours is no route: no trailing slash, no empty name."""
    routes, _ = TREE.find(path)
    assert routes == {}


def test_two_routes_for_one_call_are_a_mistake() -> None:
    """The table cannot say two things about one method and path."""
    with pytest.raises(ValueError, match="two routes"):
        Tree([route("GET", "/logs/{log}"), route("GET", "/logs/{name}")])


# ---------------------------------------------------------------------- problems


def test_a_problem_says_what_its_code_says() -> None:
    """The document carries the table's status, title, retry and effect, and the facts beside them."""
    answer = problem_answer(Problem("sequence_mismatch", "read the head again", head=7, status=200), "r1")
    document = msgspec.json.decode(answer.body)
    assert answer.status == 409
    assert dict(answer.headers)["content-type"] == "application/problem+json"
    assert document == {
        "type": "/docs#sequence_mismatch",
        "title": CODES["sequence_mismatch"].title,
        "status": 409,
        "code": "sequence_mismatch",
        "detail": "read the head again",
        "retryable": False,
        "effect": "none",
        "request_id": "r1",
        "head": 7,
    }


def test_headers_follow_the_status() -> None:
    """Clients that look only at headers learn how to authenticate, when to retry and what is allowed."""
    assert dict(problem_answer(Problem("unauthenticated", ""), "").headers)["www-authenticate"] == "Bearer"
    assert dict(problem_answer(Problem("saturated", "", retry_after=2.5), "").headers)["retry-after"] == "3"
    assert dict(problem_answer(Problem("stopping", ""), "").headers)["retry-after"] == "1"
    assert "retry-after" not in dict(problem_answer(Problem("read_only", ""), "").headers)
    assert dict(problem_answer(Problem("method_not_allowed", "", allow="GET"), "").headers)["allow"] == "GET"


# ---------------------------------------------------------------------- rendering


def event(payload: bytes) -> Event:
    """Return an event with a payload."""
    return Event(3, 1_700_000_000_000_001, bytes(15) + b"\1", bytes(range(16)), payload)


def test_the_quick_receipt_is_the_wire_type() -> None:
    """The template that writes receipts on the hot path agrees with the type that OpenAPI describes."""
    receipt = Receipt(1, 1_700_000_000_000_001, bytes(range(32)), bytes(range(16)), bytes(16))
    quick = msgspec.json.decode(render.receipt_json(receipt, 'a"b'), type=wire.ReceiptOut)
    assert quick == wire.ReceiptOut(
        sequence=1,
        time="2023-11-14T22:13:20.000001Z",
        leaf_hash=bytes(range(32)).hex(),
        salt=bytes(range(16)).hex(),
        writer="00000000-0000-0000-0000-000000000000",
        origin='a"b',
    )


def test_json_payloads_are_read_as_json_and_others_as_base64() -> None:
    """Bytes that are no JSON in UTF-8 come as base64 alone, with `bytes` every event has both."""
    parsed = msgspec.json.decode(wire.encode(render.event(event(b'{"a": 1.0}'), exact=False)))
    assert parsed["payload"] == {"a": 1.0}
    assert "payload_base64" not in parsed
    for payload in (b"\xff", b"hello", b'"\xff"', b'"\x01"', b"[" * 100_000, b'{"a":1,}'):
        other = msgspec.json.decode(wire.encode(render.event(event(payload), exact=False)))
        assert "payload" not in other
        assert msgspec.json.decode(f'"{other["payload_base64"]}"', type=bytes) == payload
    both = msgspec.json.decode(wire.encode(render.event(event(b"[1]"), exact=True)))
    assert (both["payload"], both["payload_base64"]) == ([1], "WzFd")


def test_an_event_is_one_line_of_a_stream() -> None:
    """Line ends between a payload's tokens do not end the event's line; the values stay what they are."""
    lines = render.lines([event(b'{\r\n "a":\n "x\\ny"}'), event(b"1")], exact=False).split(b"\n")
    assert lines[2:] == [b""]
    assert msgspec.json.decode(lines[0])["payload"] == {"a": "x\ny"}
    assert msgspec.json.decode(lines[1])["payload"] == 1
