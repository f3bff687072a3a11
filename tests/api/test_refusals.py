from nexus.api import refusals
from nexus.errors import NexusError


def test_codes_are_distinct() -> None:
    kinds = [
        kind
        for kind in vars(refusals).values()
        if isinstance(kind, type)
        and issubclass(kind, NexusError)
        and kind.__module__ == refusals.__name__
    ]

    assert len(kinds) == len({kind.code for kind in kinds})
