"""Schemas in SQL that was written by hand."""

import pytest

from nexus.client.sqlalchemy.texts import whole_names


@pytest.mark.parametrize(
    ("written", "run"),
    [
        ("select * from sales.users", 'select * from "sales.users"'),
        ('select * from "my s"."my t" u', 'select * from "my s.my t" u'),
        ("insert into sales.users values (1)", 'insert into "sales.users" values (1)'),
        ("drop table if exists sales.users", 'drop table if exists "sales.users"'),
        ("alter table a.b rename to c", 'alter table "a.b" rename to "a.c"'),
        ("drop index sales.by_name", 'drop index "sales.by_name"'),
        (
            "select sales.users.id from sales.users",
            'select "sales.users".id from "sales.users"',
        ),
    ],
)
def test_a_schema_becomes_a_part_of_the_name(written: str, run: str) -> None:
    assert whole_names(written) == run


@pytest.mark.parametrize(
    "sql",
    [
        "select u.id from users u",
        "select * from main.users",
        "alter table main.users rename to people",
        "select main.users.id from main.users",
        "select 'from a.b', \"from a.b\" -- from a.b",
        "select /* from a.b */ 1.5 from users",
        "select 'it''s from a.b'",
        "select 1",
    ],
)
def test_what_names_no_schema_stays_as_it_is(sql: str) -> None:
    assert whole_names(sql) == sql
