"""Test databases: a node of its own, in this process, never the cluster's data."""

import shutil
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from django.db.backends.base.creation import BaseDatabaseCreation
from typing_extensions import override

import nexus
from nexus.embedded.node import EmbeddedNode

FUNCTIONS: Final = "django.db.backends.sqlite3._functions"
"""The module with Django's SQL functions, which a node is to have."""

IDLE_LIMIT_MS: Final = 3_600_000
"""A test holds its transaction as long as it lasts, and somebody may debug it."""


class DatabaseCreation(BaseDatabaseCreation):
    """Opens connections, and the nodes of test databases."""

    _nodes: ClassVar[dict[str, EmbeddedNode]] = {}
    """Of the test databases of this process, by their directories."""

    def open(self, database: Any, **options: Any) -> nexus.Connection:
        """A new connection to what the settings name."""
        connection: nexus.Connection = nexus.connect(str(database), **options)
        return connection

    @cached_property
    def _directory(self) -> str:
        return tempfile.mkdtemp(prefix="nexus-django-test-")

    @override
    def _get_test_db_name(self) -> str:
        """A directory that is made for the tests, and goes with them."""
        return self._directory

    @override
    def _create_test_db(
        self, verbosity: int, autoclobber: bool, keepdb: bool = False
    ) -> str:
        """Start the node, empty; returns its directory."""
        name = self._get_test_db_name()
        self._nodes[name] = nexus.open(
            name,
            bind="127.0.0.1:0",
            http_addr="127.0.0.1:0",
            functions=[FUNCTIONS],
            limits__idle_transaction_ms=IDLE_LIMIT_MS,
        )
        return name

    @override
    def _destroy_test_db(self, test_database_name: str, verbosity: int) -> None:
        """Stop the node, and remove its directory."""
        self._nodes.pop(test_database_name).close()
        shutil.rmtree(Path(test_database_name), ignore_errors=True)
        del self._directory

    @override
    def test_db_signature(self) -> tuple[str, ...]:
        """Two aliases of one cluster share one test database."""
        return (str(self.connection.settings_dict["NAME"]),)
