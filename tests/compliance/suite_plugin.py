"""SQLAlchemy's plugin for its suite, with what it must know of a cluster."""

# ruff: noqa: E402 - SQLAlchemy's assertions are to be rewritten before their import
from typing import Any

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

import sqlalchemy.dialects.sqlite.provision  # noqa: F401 - SQLite's entries
from sqlalchemy.testing import provision
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403 - it is a plugin

provision.stop_test_class_outside_fixtures.for_db("nexus")(
    provision.stop_test_class_outside_fixtures.fns["sqlite"]
)
provision.upsert.for_db("nexus")(provision.upsert.fns["sqlite"])


@provision.generate_driver_url.for_db("nexus")  # type: ignore[untyped-decorator]
def same_url(url: Any, _driver: str, _query: str) -> Any:
    """A cluster has one URL, whatever drivers there are."""
    return url
