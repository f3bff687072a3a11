"""SQLAlchemy's compliance suite, whole."""

from typing import Any

from sqlalchemy.testing.suite import *  # noqa: F403 - this is how a dialect takes it
from sqlalchemy.testing.suite import test_results
from typing_extensions import override


class ServerSideCursorsTest(test_results.ServerSideCursorsTest):  # type: ignore[no-redef]
    """The suite knows by the names of SQLAlchemy's own drivers what a cursor is."""

    @override
    def _is_server_side(self, cursor: Any) -> bool:
        return bool(cursor.server_side)
