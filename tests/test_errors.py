"""Every error can be told from the others, by type and by code."""

import inspect

import pytest

from nexus import errors
from nexus.errors import NexusError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, NexusError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_has_a_code_of_its_own_and_says_what_it_means(
    kind: type[NexusError],
) -> None:
    assert "code" in vars(kind)
    assert [other for other in KINDS if other.code == kind.code] == [kind]
    assert kind.__doc__


def test_the_tree_in_the_docstring_names_every_error() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in drawn] == []
