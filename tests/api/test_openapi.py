import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error, positive_data_acceptance

from api.fake_node import FakeNode, client_of
from nexus.api.application import CALLS, Application
from nexus.api.calls import Call
from nexus.api.openapi import document
from nexus.config import split_address
from nexus.errors import ConstraintError, RefusedStatementError, StatementError

DOCUMENT = document(CALLS)

EXAMPLES = int(os.environ.get("API_EXAMPLES", "20"))

# Their no is a 503.
ROLE_CHECKS = {"/health/master", "/health/replica"}

# For JSON Schema 5.0 is an integer; here it is a REAL, refused.
INTEGERS = {"min_offset", "sql_id", "step", "expires_s", "grace_s", "sync_quorum"}

# They end only with their node.
ENDLESS = {"/cluster/events"}

# What is wrong with the statement is told by the status, not in a result.
OF_ONE_STATEMENT = {"/v1/execute"}


def schema_of(node: FakeNode) -> Any:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    node.tokens.keeps = False  # else whoever has none is let in no more
    schema.app = Application(node)
    schema.config.generation.update(modes=list(GenerationMode))
    return schema


def is_address(value: Any) -> bool:
    try:
        return not isinstance(value, str) or bool(split_address(value))
    except ValueError:
        return False


def has_float(value: Any, names: set[str]) -> bool:
    if isinstance(value, list):
        return any(has_float(each, names) for each in value)
    return isinstance(value, dict) and any(
        (name in names and isinstance(each, float)) or has_float(each, names)
        for name, each in value.items()
    )


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return found.union(*map(references, value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return schema_of(FakeNode(tmp_path_factory.mktemp("master")))


@pytest.mark.hypothesis
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("call", CALLS, ids=[call.name for call in CALLS])
def test_every_request_is_answered_as_described(
    schema: Any, tmp_path: Path, call: Call, mode: GenerationMode
) -> None:
    if call.path in ENDLESS:
        schema = schema_of(FakeNode(tmp_path))
        schema.app.stop()
    operation = schema[call.path][call.method]
    typed = [each for each in call.parameters if each.schema["type"] != "string"]
    if mode.is_negative and not (typed or call.body):
        mode = GenerationMode.POSITIVE  # There is nothing to get wrong.
    excluded: list[Any] = [not_a_server_error] if call.path in ROLE_CHECKS else []
    excluded += [positive_data_acceptance] if call.path in OF_ONE_STATEMENT else []

    @settings(
        max_examples=EXAMPLES if call.failure is None else EXAMPLES // 4,  # large
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: schemathesis.Case[Any]) -> None:
        if isinstance(case.body, dict):
            assume(not has_float(case.body, INTEGERS))
            # For JSON Schema any text is an address.
            assume(is_address(case.body.get("master_addr")))
        case.call_and_validate(excluded_checks=excluded)

    fuzz()


@pytest.mark.parametrize(
    "error",
    [
        StatementError("near x: syntax error", index=1),
        ConstraintError("UNIQUE failed", index=0),
        RefusedStatementError("ATTACH", index=0),
    ],
)
def test_every_refusal_of_the_node_is_described(
    tmp_path: Path, error: Exception
) -> None:
    node = FakeNode(tmp_path)
    node.error = error
    case = schema_of(node)["/sql"]["POST"].Case(body={"statements": [{"sql": "x"}]})

    case.call_and_validate(excluded_checks=[positive_data_acceptance])


def test_the_document_is_valid() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_every_reference_leads_somewhere() -> None:
    known = {
        f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]
    }

    assert references(DOCUMENT) <= known


def test_every_path_parameter_is_described() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            named = {each["name"] for each in operation.get("parameters", [])}
            assert set(re.findall(r"{(\w+)}", path)) <= named


async def test_the_node_serves_its_description(node: FakeNode) -> None:
    async with client_of(node) as client:
        served = await client.get("/openapi.json")

    assert served.json() == msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    assert served.json()["openapi"] == "3.1.0"


def test_every_consistency_is_described() -> None:
    request = DOCUMENT["components"]["schemas"]["SqlRequest"]["properties"]
    assert request["consistency"]["enum"] == ["local", "session", "strong"]
