"""How a schema's objects are named in the one database that is replicated.

The table `users` of the schema `sales` is the table `"sales.users"`: SQLite's own
schemas are other files (ATTACH), and those would not reach the replicas.
"""

import re
from typing import Any, Final

from sqlalchemy.dialects.sqlite.base import (
    SQLiteCompiler,
    SQLiteDDLCompiler,
    SQLiteIdentifierPreparer,
)
from sqlalchemy.sql.compiler import DDLCompiler
from typing_extensions import override

MAIN: Final = "main"
"""SQLite's name for the database itself; whoever names it means no schema of ours."""

_TRANSLATED: Final = re.compile(r'"__\[SCHEMA_([^\]]+)\]\.')


def is_main(schema: str | None) -> bool:
    """Whether names of this schema stand as they are: it is none of ours."""
    return schema in (None, "", MAIN)


def joined(name: str, schema: str | None) -> str:
    """An object's name in the database."""
    return name if is_main(schema) else f"{schema}.{name}"


def parted(name: str) -> tuple[str | None, str]:
    """The schema and the name within it of what the database knows by `name`."""
    schema, dot, rest = name.partition(".")
    return (schema, rest) if dot and schema and rest else (None, name)


class Preparer(SQLiteIdentifierPreparer):
    """Quotes names, those of a schema's tables as one."""

    @override
    def format_table(
        self, table: Any, use_schema: bool = True, name: str | None = None
    ) -> str:
        schema = self.schema_for_object(table)
        if self.omit_schema or is_main(schema):
            return super().format_table(table, use_schema=False, name=name)
        # Also where use_schema is False: the prefix is a part of the name.
        return self.quote_identifier(f"{schema}.{table.name if name is None else name}")

    @override
    def _render_schema_translates(
        self, statement: str, schema_translate_map: Any
    ) -> str:
        names = dict(schema_translate_map)
        # For its errors: what may be translated must not change between two runs.
        super()._render_schema_translates(statement, names)

        def prefix(match: re.Match[str]) -> str:
            schema = names.get(match[1], match[1])
            return (
                '"' if is_main(schema) else f'"{self._escape_identifier(str(schema))}.'
            )

        return _TRANSLATED.sub(prefix, statement)


class Compiler(SQLiteCompiler):
    """Queries and row changes, with a schema's tables by their whole names."""

    preparer: Preparer

    @override
    def visit_table(self, table: Any, *args: Any, **options: Any) -> Any:
        if is_main(self.preparer.schema_for_object(table)):
            return super().visit_table(table, *args, **{**options, "use_schema": False})
        if options.get("from_linter"):
            options["from_linter"].froms[table] = table.fullname
        shown = any(
            options.get(name) for name in ("asfrom", "ashint", "within_tstring")
        )
        return self.preparer.format_table(table) if args or shown else ""

    @override
    def visit_column(
        self, column: Any, *args: Any, include_table: bool = True, **options: Any
    ) -> Any:
        table = column.table
        if include_table and table is not None and table.named_with_column:
            schema = self.preparer.schema_for_object(table)
            if not is_main(schema):
                options["include_table"] = False
                name = super().visit_column(column, *args, **options)
                return f"{self.preparer.format_table(table)}.{name}"
        options["include_table"] = include_table
        return super().visit_column(column, *args, **options)


class DdlCompiler(SQLiteDDLCompiler):
    """Schema statements; foreign keys may reach from one schema into another."""

    @override
    def visit_foreign_key_constraint(self, constraint: Any, **options: Any) -> Any:
        return DDLCompiler.visit_foreign_key_constraint(self, constraint, **options)

    @override
    def _prepared_index_name(self, index: Any, include_schema: bool = False) -> str:
        table = index.table
        schema = None if table is None else self.preparer.schema_for_object(table)
        if not include_schema or is_main(schema):
            return str(super()._prepared_index_name(index))
        quoted = self.preparer.format_index(index)
        (name,) = self.preparer.unformat_identifiers(quoted)
        return self.preparer.quote_identifier(f"{schema}.{name}")
