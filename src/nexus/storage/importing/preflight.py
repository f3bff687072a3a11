"""Tell what of an existing database replicates, and what must change first.

The file is opened for reading only and never changed.
"""

from pathlib import Path
from typing import Any, Final

import apsw

from nexus.errors import RefusedStatementError, StorageError
from nexus.model.statements import quote
from nexus.storage.importing.files import require_file
from nexus.storage.importing.findings import Finding, Report
from nexus.storage.importing.foreignkeys import foreign_keys
from nexus.storage.importing.lacking import lacking
from nexus.storage.importing.unnumbered import unnumbered_keys
from nexus.storage.schema.statements import read_schema_statement, refuse_unreplicable
from nexus.storage.schema.system import PREFIX
from nexus.storage.schema.tables import Table, read_tables
from nexus.storage.sqlite.functions import NO_FUNCTIONS, Functions

BUSY_TIMEOUT_MS: Final = 5_000
"""An application that uses the file is in a transaction for less, mostly."""


def check(path: Path, functions: Functions = NO_FUNCTIONS) -> Report:
    """Examine a database file; raises StorageError if it is none, or is damaged.

    `functions` are those that the node will have.
    """
    require_file(path)
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise StorageError(f"{path} cannot be opened: {error}") from error
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        functions.add_to(connection)
        if _is_of_a_node(connection):
            raise StorageError(
                f"{path} is a Nexus node's database, so it is replicated as it is; to "
                "make another cluster of it, nexus snapshot URL and nexus restore"
            )
        missing = lacking(connection)
        if not missing:  # else SQLite could not look
            _require_sound(path, connection)
        return Report(missing + _findings(connection, {one.table for one in missing}))
    except apsw.CorruptError as error:
        raise _damaged(path, str(error)) from error
    except apsw.Error as error:
        raise _unreadable(path, error) from error
    finally:
        connection.close()


def _require_sound(path: Path, connection: apsw.Connection) -> None:
    problems = [row[0] for row in connection.execute("pragma quick_check(5)")]
    if problems != ["ok"]:
        raise _damaged(path, str(problems[0]))


def _is_of_a_node(connection: apsw.Connection) -> bool:
    found = connection.execute(
        "select count(*) = 2 from sqlite_schema where type = 'table' "
        "and name in ('nexus_position', 'nexus_history')"
    ).get
    return bool(found)


def _unreadable(path: Path, error: apsw.Error) -> StorageError:
    journal = path.with_name(f"{path.name}-journal")
    if isinstance(error, apsw.BusyError):
        mend = "another process holds it; end that one's transaction, or stop it"
    elif isinstance(error, apsw.ReadOnlyError) and journal.exists():
        mend = (
            "an application died in a transaction, of which "
            f"{journal.name} is left; start it, or open the file with the sqlite3 "
            "shell and read something: either takes that transaction back"
        )
    else:
        mend = "is it encrypted, or does it need an extension?"
    return StorageError(f"{path} cannot be read as a SQLite database: {error}; {mend}")


def _damaged(path: Path, problem: str) -> StorageError:
    return StorageError(
        f"{path} is damaged: {problem}; repair it with `.recover` of the sqlite3 shell "
        "first"
    )


def _findings(connection: apsw.Connection, unreadable: set[str]) -> list[Finding]:
    tables = read_tables(connection)
    tables = {key: one for key, one in tables.items() if one.name not in unreadable}
    found = _objects(connection, tables) + _strange_tables(connection)
    changing = {finding.table for finding in found}
    found += foreign_keys(connection, tables)
    for table in tables.values():
        found += _null_keys(connection, table) + unnumbered_keys(connection, table)
        if table.keyless and "_rowid_" in (c.lower() for c in table.columns):
            found.append(_hidden_rowid(table))
        elif table.name not in changing:
            found.append(_how_it_travels(connection, table))
    return found


def _objects(connection: apsw.Connection, tables: dict[str, Table]) -> list[Finding]:
    """Schema objects that could not be created on a node."""
    found = []
    rows: list[Any] = connection.execute(
        "select type, name, sql from sqlite_schema where sql is not null "
        "and name not like 'sqlite\\_%' escape '\\'"
    ).fetchall()
    for kind, name, sql in rows:
        if name.lower().startswith(PREFIX):
            verb = f"alter table {quote(name)} rename to {quote('my_' + name)}"
            found.append(
                Finding(
                    "change",
                    name,
                    f"{kind} has a reserved name",
                    f"names that begin with {PREFIX} are Nexus's own",
                    f"{verb};" if kind == "table" else f"drop {kind} {quote(name)};",
                )
            )
            continue
        try:
            refuse_unreplicable(read_schema_statement(sql), tables)
        except RefusedStatementError as error:
            if "_rowid_" not in str(error):
                found.append(
                    Finding(
                        "change",
                        name,
                        f"{kind} uses rowids that are not replicated",
                        str(error),
                        f"drop {kind} {quote(name)};",
                    )
                )
    return found


def _strange_tables(connection: apsw.Connection) -> list[Finding]:
    """Virtual tables of modules that a node has not."""
    found = []
    rows: list[Any] = connection.execute(
        "select name from sqlite_schema where type = 'table' and rootpage = 0"
    ).fetchall()
    for (name,) in rows:
        try:
            connection.execute(f"select 1 from {quote(name)} limit 0")  # noqa: S608
        except apsw.SQLError as error:
            why = "a node loads no extensions; drop it where its module is loaded"
            drop = f"drop table {quote(name)};"
            found.append(Finding("change", name, str(error), why, drop))
    return found


def _null_keys(connection: apsw.Connection, table: Table) -> list[Finding]:
    if not table.nullable_key:
        return []
    condition = " or ".join(f"{quote(column)} is null" for column in table.nullable_key)
    name = quote(table.name)
    counting = f"select count(*) from {name} where {condition}"  # noqa: S608
    rows = connection.execute(counting)
    count = rows.fetchall()[0][0]
    if not count:
        return []
    return [
        Finding(
            "change",
            table.name,
            f"{count} {'row has' if count == 1 else 'rows have'} a primary key of NULL",
            "such rows cannot be told apart on a replica",
            f"delete from {name} where {condition};",  # noqa: S608 - shown, not run
        )
    ]


def _hidden_rowid(table: Table) -> Finding:
    # SQLite renames no column that is called as a rowid is.
    columns = ", ".join(
        f"{quote(name)} as row_number" if name.lower() == "_rowid_" else quote(name)
        for name in table.columns
    )
    name, copy = quote(table.name), quote(f"{table.name}_copy")
    return Finding(
        "change",
        table.name,
        "no primary key, and a column named _rowid_",
        "the column hides the rowid that would tell the rows apart; constraints, "
        "indexes and triggers of the table must be made again",
        f"create table {copy} as select {columns} from {name}; drop table {name}; "  # noqa: S608 - shown, not run
        f"alter table {copy} rename to {name};",
    )


def _how_it_travels(connection: apsw.Connection, table: Table) -> Finding:
    sequences = connection.execute(
        "select sql from sqlite_schema where type = 'table' and name = ?", (table.name,)
    ).fetchall()
    if table.keyless:
        return Finding("cared", table.name, "no primary key", "rows travel by rowid")
    if sequences and "autoincrement" in str(sequences[0][0]).lower():
        return Finding(
            "cared", table.name, "AUTOINCREMENT", "the counter travels with the rows"
        )
    if table.watchful:
        return Finding(
            "cared",
            table.name,
            "keys that can compare equal",
            "a key that is only respelled travels as delete and insert",
        )
    if table.nullable_key:
        return Finding(
            "cared",
            table.name,
            "the primary key may be NULL",
            "a transaction that makes it so is refused",
        )
    return Finding("ok", table.name, "replicates as it is")
