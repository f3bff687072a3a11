"""What Django finds in a database: the application's tables, without Nexus's own."""

from typing import Any, Final

from django.db.backends.sqlite3 import introspection
from typing_extensions import override

_OWN: Final = "nexus_"


class DatabaseIntrospection(introspection.DatabaseIntrospection):
    """As SQLite's: `inspectdb` makes a model of each table that is listed here."""

    @override
    def get_table_list(self, cursor: Any) -> Any:
        """The tables and views of the application."""
        found = super().get_table_list(cursor)
        return [table for table in found if not table.name.startswith(_OWN)]
