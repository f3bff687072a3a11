"""Schema statements: what they name, and which of them cannot be replicated."""

import apsw
import pytest

from nexus.errors import RefusedStatementError
from nexus.storage.schema.statements import (
    read_schema_statement,
    refuse_unreplicable,
    refuse_unreplicable_schema,
    sync_triggers,
)
from nexus.storage.schema.tables import read_tables

TABLES = (
    "create table t(id integer primary key, v); create table k(v); "
    "create table d(k text primary key, v); "
    "create table o(k text primary key, oid)"
)


@pytest.fixture
def connection(connection: apsw.Connection) -> apsw.Connection:
    connection.execute(TABLES)
    return connection


@pytest.mark.parametrize(
    ("sql", "verb", "kind", "name"),
    [
        ("create table t(x)", "CREATE", "TABLE", "t"),
        ('CREATE TABLE IF NOT EXISTS main."a b" (x);', "CREATE", "TABLE", "a b"),
        ("create unique index if not exists i on t(x)", "CREATE", "INDEX", "i"),
        ("create view [v] as select 1", "CREATE", "VIEW", "v"),
        ("create trigger x after insert on t begin select 1; end", "CREATE",
         "TRIGGER", "x"),
        ("create virtual table f using fts5(x)", "CREATE", "TABLE", "f"),
        ("drop table if exists t", "DROP", "TABLE", "t"),
        ("drop index i", "DROP", "INDEX", "i"),
        ("alter table `t` rename to u", "ALTER", "TABLE", "t"),
        ("create table", "CREATE", "TABLE", ""),
        ("create", "CREATE", "", ""),
        ("create table main.", "CREATE", "TABLE", ""),
    ],
)  # fmt: skip
def test_a_statement_says_what_it_does_to_which_object(
    sql: str, verb: str, kind: str, name: str
) -> None:
    found = read_schema_statement(sql)

    assert (found.verb, found.kind, found.name) == (verb, kind, name)
    assert found.drops_table is (sql.startswith("drop table"))
    assert found.makes_virtual is ("virtual" in sql)


def test_the_query_of_create_table_as_is_known() -> None:
    found = read_schema_statement("create table main.t as select 1 as a, 'x' as b")

    assert found.name == "t"
    assert found.query.split() == ["select", "1", "as", "a,", "'x'", "as", "b"]
    assert read_schema_statement("create table t(a)").query == ""
    assert read_schema_statement("create view v as select 1").query == ""


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("create temp table t(x)", "temporary objects"),
        ("create temporary view v as select 1", "temporary objects"),
        ("create table temp.t(x)", "schema temp is not replicated"),
        ("drop table other.t", "schema other is not replicated"),
        ("create table nexus_t(x)", "begin with nexus_ are reserved"),
        ('drop index "NEXUS_i"', "begin with nexus_ are reserved"),
    ],
)
def test_what_is_not_the_users_database_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(RefusedStatementError, match=reason):
        read_schema_statement(sql)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("create view v as select rowid from d", "view v uses the rowid of table d"),
        ("create view v as select _ROWID_ from D", "key is k; give it an INTEGER"),
        ("create view v as select rowid from o", "rowid of table o"),
        ("create trigger x after insert on d begin insert into t "
         "values (new.rowid, 1); end", "trigger x uses the rowid of table d"),
        ("create trigger x after insert on t begin insert into d "
         "select old.rowid, 1 from d as old; end", "uses the rowid of table d"),
        ("create trigger x after insert on t begin insert into d(rowid, k) "
         "values (new.rowid, 1); end", "uses the rowid of table d"),
        ("create trigger x after delete on o begin insert into d "
         "values (old.rowid, 1); end", "uses the rowid of table o"),
        ("create trigger x instead of insert on w begin insert into d "
         "values (new.rowid, 1); end", "uses the rowid of table d"),
        ("create virtual table f using fts5(v, content='d')", "table d"),
        ("create virtual table f using fts5(v, content=d, content_rowid=rowid)",
         "table d"),
        ('create virtual table f using fts4(v, content="d")', "table d"),
    ],
)  # fmt: skip
def test_hard_case_5_what_reads_a_rowid_that_differs_between_nodes_is_refused(
    connection: apsw.Connection, sql: str, reason: str
) -> None:
    with pytest.raises(RefusedStatementError, match=reason):
        refuse_unreplicable(read_schema_statement(sql), read_tables(connection))


@pytest.mark.parametrize(
    "sql",
    [
        "create view v as select rowid from t",
        "create view v as select rowid from k",
        "create view v as select oid from o",
        "create view v as select v from d",
        "create trigger x after insert on t begin insert into d values (new.rowid, 1); "
        'update d set v = old.[RowId] where k = "new".rowid; end',
        "create trigger x after insert on o begin insert into d values (new.oid, 1); "
        "end",
        "create virtual table f using fts5(v, content='t')",
        "create virtual table f using fts5(v, content='o', content_rowid='k')",
        "create virtual table f using fts5(v)",
        "create virtual table f using rtree(id, content, d)",
        "drop view rowid_of_d",
    ],
)
def test_what_reads_no_such_rowid_is_replicated(
    connection: apsw.Connection, sql: str
) -> None:
    statement, tables = read_schema_statement(sql), read_tables(connection)
    refused = []

    try:
        refuse_unreplicable(statement, tables)
    except RefusedStatementError as error:
        refused.append(error)

    assert refused == []


def test_a_keyless_table_may_not_hide_its_rowid(connection: apsw.Connection) -> None:
    connection.execute("create table h(_ROWID_); create table g(_rowid_ primary key)")
    tables = read_tables(connection)

    with pytest.raises(RefusedStatementError, match="table h has no primary key and"):
        refuse_unreplicable(read_schema_statement("create table h(_ROWID_)"), tables)
    refuse_unreplicable(read_schema_statement("create table g(_rowid_ key)"), tables)


def test_a_view_may_be_older_than_the_table_that_it_reads(
    connection: apsw.Connection,
) -> None:
    connection.execute("create view v as select rowid from late")
    made = "create table late(k text primary key)"
    connection.execute(made)

    with pytest.raises(RefusedStatementError, match="view v uses the rowid of table"):
        refuse_unreplicable_schema(
            connection, read_schema_statement(made), read_tables(connection)
        )
    connection.execute("drop view v")
    refuse_unreplicable_schema(
        connection, read_schema_statement(made), read_tables(connection)
    )


def test_triggers_against_null_keys_follow_the_tables(
    connection: apsw.Connection,
) -> None:
    def guarded() -> set[str]:
        rows = connection.execute(
            "select distinct tbl_name from sqlite_temp_schema where type = 'trigger'"
        )
        return {str(name) for (name,) in rows}

    sync_triggers(connection, read_tables(connection))
    assert guarded() == {"d", "o"}

    connection.execute("alter table d rename to e; drop table o")
    sync_triggers(connection, read_tables(connection))
    assert guarded() == {"e"}
    with pytest.raises(apsw.ConstraintError, match="table e has a row"):
        connection.execute("insert into e(v) values (1)")
    sync_triggers(connection, read_tables(connection))
    assert guarded() == {"e"}
