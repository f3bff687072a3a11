"""Find the functions and collations that a schema needs and a node does not have."""

import re
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any, Final

import apsw

from nexus.model.statements import quote, tokens, unquote
from nexus.storage.importing.findings import Finding

_FUNCTION: Final = re.compile(r"(?:unknown|no such) function: ([^()]+)")

_MEND: Final = (
    "name the Python module that registers it with --functions, here and for nexus "
    "serve, or make the table again without it"
)


def lacking(connection: apsw.Connection) -> list[Finding]:
    """One for each table and what it lacks: no statement on such a table compiles."""
    rows: list[Any] = connection.execute(
        "select tbl_name, sql from sqlite_schema where sql is not null"
    ).fetchall()
    found = [*_collations(connection, rows), *_functions(connection)]
    return list(dict.fromkeys(found))


def _collations(
    connection: apsw.Connection, rows: Iterable[tuple[str, str]]
) -> Iterable[Finding]:
    for table, sql in rows:
        parts = [text for _, text in tokens(sql)]
        for word, name in pairwise(parts):
            # PRAGMA collation_list has those too that a schema names and nobody made.
            if word.upper() == "COLLATE" and _complaint(
                connection, f"select 'a' < 'b' collate {quote(unquote(name))}"
            ):
                what = f"no such collation: {unquote(name)}"
                yield Finding("change", table, what, _MEND)


def _functions(connection: apsw.Connection) -> Iterable[Finding]:
    """What SQLite says of a statement that would read, insert, update or delete."""
    rows: list[Any] = connection.execute(
        "select type, name, sql from sqlite_schema "
        "where (type = 'table' and rootpage > 0 or type = 'view') "
        "and name not like 'sqlite\\_%' escape '\\'"
    ).fetchall()
    for kind, name, sql in rows:
        for statement in _statements(connection, kind, name, sql):
            if found := _FUNCTION.search(_complaint(connection, statement)):
                what = f"no such function: {found[1].strip()}"
                yield Finding("change", name, what, _MEND)


def _statements(
    connection: apsw.Connection, kind: str, name: str, sql: str
) -> list[str]:
    quoted = quote(name)
    read = f"select * from {quoted} limit 0"  # noqa: S608 - a name out of the schema
    if kind == "view":
        return [read]
    column: Any = connection.execute(
        "select name from pragma_table_info(?) limit 1", (name,)
    ).get
    checks = [f"select ({one}) from {quoted} limit 0" for one in _evaluated(sql)]  # noqa: S608 - it only reads
    return [
        read,
        *checks,
        f"insert into {quoted} default values",
        f"update {quoted} set {quote(column)} = 0",  # noqa: S608 - it only reads
        f"delete from {quoted}",  # noqa: S608 - it only reads
    ]


def _evaluated(sql: str) -> Iterable[str]:
    """The expressions of CHECK and DEFAULT, which are looked at only when they run."""
    parts = [text for _, text in tokens(sql)]
    for at, (word, opening) in enumerate(pairwise(parts)):
        if word.upper() in ("CHECK", "DEFAULT") and opening == "(":
            inside = parts[at + 2 :]
            depths = list(accumulate((one == "(") - (one == ")") for one in inside))
            yield " ".join(inside[: depths.index(-1)])


def _complaint(connection: apsw.Connection, statement: str) -> str:
    # Not as EXPLAIN, which takes any function for known. A connection that only reads
    # refuses what would write once it is compiled.
    try:
        connection.execute(statement).close()
    except apsw.Error as error:
        return str(error)
    return ""
