"""What stands in the database, told by schema and name."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import reflection
from typing_extensions import override

from nexus.client.sqlalchemy.naming import MAIN, is_main, joined, parted

_OBJECTS: Final = "select name from sqlite_master where type = ? order by name"


class Reflection(SQLiteDialect_pysqlite):
    """SQLite's reflection, asked for whole names; temporary objects there are none."""

    @override
    @reflection.cache
    def get_schema_names(self, connection: Any, **kw: Any) -> Any:
        names = connection.exec_driver_sql(
            "select name from sqlite_master where type in ('table', 'view')"
        ).scalars()
        return [MAIN, *sorted({schema for schema, _ in map(parted, names) if schema})]

    @override
    @reflection.cache
    def get_table_names(
        self,
        connection: Any,
        schema: str | None = None,
        sqlite_include_internal: bool = False,
        **kw: Any,
    ) -> Any:
        names = connection.exec_driver_sql(_OBJECTS, ("table",)).scalars()
        return _within(schema, names, internal=sqlite_include_internal)

    @override
    @reflection.cache
    def get_view_names(
        self,
        connection: Any,
        schema: str | None = None,
        sqlite_include_internal: bool = False,
        **kw: Any,
    ) -> Any:
        names = connection.exec_driver_sql(_OBJECTS, ("view",)).scalars()
        return _within(schema, names, internal=sqlite_include_internal)

    @override
    def get_temp_table_names(
        self, connection: Any, *args: Any, schema: str | None = None, **kw: Any
    ) -> Any:
        return []

    @override
    def get_temp_view_names(
        self, connection: Any, *args: Any, schema: str | None = None, **kw: Any
    ) -> Any:
        return []

    @override
    @reflection.cache
    def has_table(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        return super().has_table(connection, joined(table_name, schema), **kw)

    @override
    @reflection.cache
    def get_view_definition(
        self, connection: Any, view_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        return super().get_view_definition(connection, joined(view_name, schema), **kw)

    @override
    @reflection.cache
    def get_columns(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        return super().get_columns(connection, joined(table_name, schema), **kw)

    @override
    @reflection.cache
    def get_foreign_keys(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        keys = super().get_foreign_keys(connection, joined(table_name, schema), **kw)
        return [{**key, **_referred(key["referred_table"])} for key in keys]

    @override
    @reflection.cache
    def get_indexes(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        indexes = super().get_indexes(connection, joined(table_name, schema), **kw)
        if is_main(schema):
            return indexes
        prefix = f"{schema}."
        return [{**i, "name": i["name"].removeprefix(prefix)} for i in indexes]

    @override
    def _get_table_sql(
        self, connection: Any, table_name: str, schema: str | None = None, **kw: Any
    ) -> Any:
        return super()._get_table_sql(connection, joined(table_name, schema), **kw)

    @override
    def _get_table_pragma(
        self, connection: Any, pragma: str, table_name: str, schema: str | None = None
    ) -> Any:
        name = joined(table_name, schema)
        return super()._get_table_pragma(connection, pragma, name, schema=MAIN)


def _within(schema: str | None, names: Iterable[str], *, internal: bool) -> list[str]:
    """The names of a schema's objects, among all names."""
    wanted = None if is_main(schema) else schema
    parts = [parted(name) for name in names if internal or not _is_internal(name)]
    return [name for owner, name in parts if owner == wanted]


def _is_internal(name: str) -> bool:
    return name.lower().startswith(("sqlite_", "nexus_"))


def _referred(name: str) -> dict[str, str | None]:
    schema, table = parted(name)
    return {"referred_schema": schema, "referred_table": table}
