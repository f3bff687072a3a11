"""The driver is a DB-API 2.0 module."""

import nexus
from nexus.client.sqlalchemy import driver


def test_the_drivers_names_are_those_of_nexus_itself() -> None:
    shared = [name for name in driver.__all__ if name != "connect"]

    assert [getattr(driver, name) for name in shared] == [
        getattr(nexus, name) for name in shared
    ]
