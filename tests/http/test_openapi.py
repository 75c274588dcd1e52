"""The OpenAPI document holds: generated requests, good and bad, find no fault and no answer outside of it."""

import os
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.http.app import routed
from infra.http.commands import CommandBody
from infra.http.customers import Lookup
from infra.http.tokens import NewToken
from tests.http.samples import organisation, person, ticket
from tests.http.stack import Running

EXAMPLES = 200 if os.environ.get("LETHE_TORTURE") == "1" else 3

schemathesis.openapi.format("phone", st.just("+44 20 7946 0000"))
schemathesis.openapi.format("country", st.sampled_from(["DE", "KR", "fr"]))
schemathesis.openapi.format("currency", st.sampled_from(["EUR", "JPY", "usd"]))


CONFIG = schemathesis.Config.from_dict(
    {"generation": {"max-examples": EXAMPLES}, "phases": {"coverage": {"enabled": False}}}
)
DOCUMENT: Any = schemathesis.openapi.from_dict(routed().openapi(), config=CONFIG)
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def records(server: Running) -> dict[str, str]:
    """A record of each kind that the generated requests reach."""
    bodies = {
        "customers": organisation(),
        "leads": {"source": "fair"},
        "tickets": ticket(),
        "members": {"name": "Amina Keller"},
        "subscribers": {"name": f"mirror-{uuid4().hex[:12]}", "purpose": "support"},
    }
    with server.client() as client:
        made = {kind: client.post(f"/v1/{kind}", json=body).json()["id"] for kind, body in bodies.items()}
        made["subjects"] = client.post("/v1/customers", json=person()).json()["subject_id"]
    return made


@DOCUMENT.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says(
    case: Any, server: Running, api: httpx.Client, records: dict[str, str]
) -> None:
    kind = case.operation.path.split("/")[2:3]
    id = (case.path_parameters or {}).get("id")
    if kind and kind[0] in records and isinstance(id, str) and sum(id.encode()) % 2:
        # Every other id names a record that there is: else nothing beyond a 404 would be tried.
        case.path_parameters["id"] = records[kind[0]]
    for waiting in ("at_least", "wait"):
        (case.query or {}).pop(waiting, None)
    case.call_and_validate(
        base_url=server.url, headers={"Authorization": api.headers["Authorization"]}, checks=CHECKS
    )


def operations() -> list[tuple[str, dict[str, Any]]]:
    paths = routed().openapi()["paths"]
    return [(f"{verb} {path}", it) for path, verbs in paths.items() for verb, it in verbs.items()]


@pytest.mark.parametrize(("name", "operation"), operations(), ids=[name for name, _ in operations()])
def test_every_operation_is_described_with_its_refusals(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"].strip()
    if "/v1/" in name and "security" in operation:  # what needs none stands in test_access.OPEN
        assert {"401", "403", "503"} <= operation["responses"].keys()
        assert operation["security"] == [{"token": []}]


def bodies() -> list[type[BaseModel]]:
    return [*subclasses(CommandBody), NewToken, Lookup]


def subclasses(kind: type[BaseModel]) -> list[type[BaseModel]]:
    return [it for child in kind.__subclasses__() for it in (child, *subclasses(child))]


@pytest.mark.parametrize("body", bodies(), ids=lambda it: it.__name__)
def test_the_examples_of_every_body_are_accepted(body: type[BaseModel]) -> None:
    properties = body.model_json_schema()["properties"]
    examples = {name: example_of(schema) for name, schema in properties.items()}
    assert {name for name, example in examples.items() if example is MISSING} == set()
    body.model_validate(examples)


MISSING = object()


def example_of(schema: dict[str, Any]) -> Any:
    for it in (schema, *schema.get("anyOf", ())):
        if it.get("examples"):
            return it["examples"][0]
    return MISSING
