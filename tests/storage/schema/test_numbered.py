"""A key that PostgreSQL would number is numbered."""

from contextlib import closing

import apsw
import pytest

from nexus.storage.schema.numbered import with_numbered_key
from nexus.storage.schema.statements import read_schema_statement

DRIZZLE = """
\t\t\tCREATE TABLE IF NOT EXISTS "__drizzle_migrations" (
\t\t\t\tid SERIAL PRIMARY KEY,
\t\t\t\thash text NOT NULL,
\t\t\t\tcreated_at numeric
\t\t\t)
"""


def test_drizzles_table_of_migrations_numbers_its_rows() -> None:
    with closing(apsw.Connection(":memory:")) as connection:
        connection.execute(read_schema_statement(DRIZZLE).sql)
        insert = "insert into __drizzle_migrations(hash, created_at) values ('h', 1)"
        connection.execute(f"{insert}; {insert}")
        ids = connection.execute("select id from __drizzle_migrations").fetchall()

    assert ids == [(1,), (2,)]


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        (DRIZZLE, DRIZZLE.replace("SERIAL", "INTEGER")),
        (
            "create table t(a, id /* SERIAL PRIMARY KEY */ serial\nprimary key)",
            "create table t(a, id /* SERIAL PRIMARY KEY */ INTEGER\nprimary key)",
        ),
    ],
)
def test_nothing_else_of_the_statement_changes(sql: str, changed: str) -> None:
    assert with_numbered_key(sql) == changed


@pytest.mark.parametrize(
    "sql",
    [
        "create table t(serial primary key)",
        "create table t(a, serial primary key)",
        "create table t(id serial)",
        "create table t(id serial, primary key (id))",
        "create table t(id integer primary key, s default 'x SERIAL PRIMARY KEY')",
        'create table t(id "SERIAL" primary key)',
    ],
)
def test_what_says_something_else_is_left_alone(sql: str) -> None:
    assert with_numbered_key(sql) == sql


def test_of_a_trigger_and_of_a_query_nothing_is_changed() -> None:
    for sql in (
        "create trigger r after insert on t begin select 1 as serial primary; end",
        "create table t as select 1 as id",
    ):
        assert read_schema_statement(sql).sql == sql
