"""SQLAlchemy's plugin for its suite, with what it must know of a cluster."""

from typing import Any

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.dialects.sqlite import provision as sqlite
from sqlalchemy.testing import provision
from sqlalchemy.testing.plugin import pytestplugin
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403 - it is a plugin

for hooks in (provision.stop_test_class_outside_fixtures, provision.upsert):
    hooks.for_db("nexus")(hooks.fns["sqlite"])


@provision.generate_driver_url.for_db("nexus")  # type: ignore[untyped-decorator]
def same_url(url: Any, _driver: str, _query: str) -> Any:
    """A cluster has one URL, whatever drivers there are."""
    return url
