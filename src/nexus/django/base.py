"""The backend that Django loads: SQLite's own, over a Nexus connection.

DATABASES = {
    "default": {
        "ENGINE": "nexus.django",
        "NAME": "nexus://10.0.0.1:15475,10.0.0.2:15475,10.0.0.3:15475",
    }
}
"""

import datetime as dt
import decimal
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Self

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.sqlite3 import base as sqlite
from django.utils.dateparse import parse_date, parse_datetime, parse_time
from typing_extensions import override

import nexus
from nexus.django.client import DatabaseClient
from nexus.django.creation import FUNCTIONS, DatabaseCreation
from nexus.django.features import DatabaseFeatures
from nexus.django.introspection import DatabaseIntrospection

nexus.register_converter("bool", b"1".__eq__)
nexus.register_converter("date", sqlite.decoder(parse_date))
nexus.register_converter("time", sqlite.decoder(parse_time))
nexus.register_converter("datetime", sqlite.decoder(parse_datetime))
nexus.register_converter("timestamp", sqlite.decoder(parse_datetime))
nexus.register_adapter(decimal.Decimal, str)
nexus.register_adapter(dt.date, sqlite.adapt_date)
nexus.register_adapter(dt.datetime, sqlite.adapt_datetime)


class DatabaseWrapper(sqlite.DatabaseWrapper):
    """One connection of Django's to a cluster, or to a node's data directory."""

    display_name = "Nexus"
    Database = nexus
    client_class = DatabaseClient
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    introspection_class = DatabaseIntrospection

    @override
    def get_connection_params(self) -> dict[str, Any]:
        """What `nexus.connect` is called with."""
        _require_ours(self.settings_dict)
        params: dict[str, Any] = super().get_connection_params()
        del params["uri"]
        password = self.settings_dict.get("PASSWORD")
        if password and not params.get("secret"):
            params.setdefault("token", password)
        return params

    @override
    def get_new_connection(self, conn_params: dict[str, Any]) -> nexus.Connection:
        """Connect; the node must know the functions that Django's SQL calls."""
        connection: nexus.Connection = self.creation.open(**conn_params)
        try:
            connection.execute("select django_date_extract('year', null)").fetchall()
        except nexus.OperationalError as error:
            connection.close()
            if "no such function" not in str(error):
                raise
            raise ImproperlyConfigured(
                "the nodes of this database do not know Django's SQL functions: start "
                f"each with the setting functions = [{FUNCTIONS!r}] (nexus serve "
                f"--functions {FUNCTIONS})"
            ) from error
        connection.execute("pragma foreign_keys = on")
        for command in self.init_commands:
            if command.strip():
                connection.execute(command)
        return connection

    @override
    def create_cursor(self, name: str | None = None) -> "CursorWrapper":
        """A cursor that takes `%s` where SQLite takes `?`."""
        cursor: CursorWrapper = self.connection.cursor(factory=CursorWrapper)
        return cursor

    @override
    def is_usable(self) -> bool:
        """Whether the cluster still answers."""
        try:
            self.connection.execute("select 1").fetchall()
        except nexus.Error:
            return False
        return True

    @override
    def is_in_memory_db(self) -> bool:
        """Never: a node keeps its database on the disk."""
        return False


class CursorWrapper(nexus.Cursor):
    """Takes Django's `format` and `pyformat` parameters, as its SQLite cursor does."""

    convert_query = sqlite.SQLiteCursorWrapper.convert_query

    @override
    def execute(self, query: str, params: Any = None, /) -> Self:
        """Run one statement; without parameters, as it is."""
        if params is None:
            return super().execute(query)
        names = list(params) if isinstance(params, Mapping) else None
        return super().execute(self.convert_query(query, param_names=names), params)

    @override
    def executemany(self, query: str, param_list: Iterable[Any], /) -> Self:
        """Run one statement for each set of parameters."""
        rows = iter(param_list)
        first = next(rows, None)
        names = list(first) if isinstance(first, Mapping) else None
        query = self.convert_query(query, param_names=names)
        return super().executemany(query, () if first is None else chain([first], rows))


def _require_ours(settings: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured for what this database does not take."""
    given = [name for name in ("HOST", "PORT", "USER") if settings.get(name)]
    if given:
        raise ImproperlyConfigured(
            f"DATABASES has {' and '.join(given)}, which nexus.django does not take: "
            "NAME says where the cluster is, as in nexus://a:15475,b:15475/orders (the "
            "path is a named database), and PASSWORD is a token"
        )
