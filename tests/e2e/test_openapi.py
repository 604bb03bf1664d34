"""The description that is served: valid, complete, and true of the server that serves it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.harness.calls import ROOT_KEY, serving

from indelible.config import Settings
from indelible.http.openapi import codes_of
from indelible.http.routes import all_routes
from indelible.model.errors import CODES

HEADERS = {"authorization": f"Bearer {ROOT_KEY}"}
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
METHODS = {"get", "post", "patch", "put", "delete"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a server that has a log with events."""
    with serving(Settings(tmp_path_factory.mktemp("data"), port=0, root_key=ROOT_KEY)) as base:
        with httpx.Client(base_url=base, headers=HEADERS, trust_env=False) as client:
            client.post("/logs", json={"name": "a-log"}).raise_for_status()
            client.post("/logs/a-log/append_batch", json=[{"n": 1}, "two", 3]).raise_for_status()
        yield base


@pytest.fixture(scope="module")
def document(url: str) -> dict[str, Any]:
    """Give the document as it is served."""
    found: dict[str, Any] = httpx.get(f"{url}/openapi.json", trust_env=False).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give path, method and operation of each call."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_route_is_described(document: dict[str, Any]) -> None:
    """The document has each route of the table once, and no other."""
    routes = {(route.template.replace("...", ""), route.method.lower()) for route in all_routes(lambda: None)}  # type: ignore[arg-type,return-value]  # nothing is asked for
    assert {(path, method) for path, method, _ in operations(document)} == routes
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_the_document_is_well_formed(document: dict[str, Any]) -> None:
    """What OpenAPI 3.1 asks of a document's structure holds, and every reference leads somewhere."""
    assert document["openapi"].startswith("3.1.")
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    for path, method, operation in operations(document):
        assert method in METHODS
        named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert named == {piece[1:-1] for piece in path.split("/") if piece.startswith("{")}
        identities = [(p["name"], p["in"]) for p in operation["parameters"]]
        assert len(identities) == len(set(identities))
        assert operation["responses"]
        for status, response in operation["responses"].items():
            assert 200 <= int(status) < 600
            assert response["description"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas


def references(node: Any) -> Iterator[str]:
    """Give every $ref below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_refusal_is_described(document: dict[str, Any]) -> None:
    """Each code that a route names stands under its status, and is a code of the table."""
    for route in all_routes(lambda: None):  # type: ignore[arg-type,return-value]  # nothing is asked for
        assert set(route.codes) <= set(CODES)
        operation = document["paths"][route.template.replace("...", "")][route.method.lower()]
        for code in codes_of(route):
            response = operation["responses"][str(CODES[code].status)]
            assert "application/problem+json" in response["content"]


def test_every_code_of_the_table_is_given_somewhere(document: dict[str, Any]) -> None:
    """A code that no call names would be dead, or undescribed; three belong to the frame around all calls."""
    named = {code for route in all_routes(lambda: None) for code in codes_of(route)}  # type: ignore[arg-type,return-value]  # nothing is asked for
    assert set(CODES) - named == {"method_not_allowed", "headers_too_large"}
    assert document["components"]["schemas"]["ProblemOut"]["properties"]["code"]["enum"] == list(CODES)


@pytest.mark.slow
def test_what_is_served_is_what_is_described(url: str, document: dict[str, Any]) -> None:
    """No generated request, right or wrong, is answered 500, or by what the description does not have."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    generated = settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation: Any = found.ok()
        modes = [GenerationMode.POSITIVE]
        raw = operation.definition.raw
        asked = [each for each in raw["parameters"] if each["in"] == "query"]
        if asked or (raw["security"] and {} not in raw["security"]):
            modes.append(GenerationMode.NEGATIVE)  # there is something to get wrong
        for mode in modes:
            cases = operation.as_strategy(generation_mode=mode)
            holds: Any = generated(given(case=cases)(hold_to_the_description))
            holds()


def hold_to_the_description(case: Any) -> None:
    """Send a case, half of the time to a log that is there, and check the answer."""
    if case.path_parameters and len(case.path_parameters.get("log", "")) % 2:
        case.path_parameters["log"] = "a-log"
    response = case.call(headers=HEADERS, timeout=30)
    case.validate_response(response, checks=CHECKS)
