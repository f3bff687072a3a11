import pytest

from nexus import errors
from nexus.api import refusals
from nexus.api.problems import problem_response
from nexus.api.statuses import TABLE
from nexus.errors import NexusError


def every_error() -> list[type[NexusError]]:
    return [
        kind
        for module in (errors, refusals)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, NexusError)
    ]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_row_of_its_own(kind: type[NexusError]) -> None:
    row = TABLE[kind]

    assert 400 <= row.status < 600
    assert row.title
    assert row.what_to_do.endswith(".")


@pytest.mark.parametrize("kind", [k for k in every_error() if TABLE[k].status == 503])
def test_every_503_says_when_to_come_back(kind: type[NexusError]) -> None:
    response = problem_response(kind("detail"))

    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Content-Type"] == "application/problem+json"
