"""A database as the statements that make it anew."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from nexus.client.dump import dumped

SCHEMA = """
create table t(id integer primary key autoincrement, "odd "" name" text);
insert into t values (7, 'it''s'), (9, null);
create virtual table words using fts5(word);
insert into words values ('water'), ('fire');
create table nexus_own(x);
create index i on t("odd "" name");
analyze;
"""


def dump_of(connection: sqlite3.Connection) -> list[str]:
    def query(sql: str) -> Iterator[tuple[Any, ...]]:
        return connection.execute(sql)

    return list(dumped(query))


def test_a_dump_makes_the_database_anew_virtual_tables_too() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as one,
        closing(sqlite3.connect(":memory:")) as other,
    ):
        one.executescript(SCHEMA)
        other.executescript("\n".join(dump_of(one)))

        for sql in (
            "select * from t",
            "select * from sqlite_sequence",
            "select rowid, word from words where words match 'fire'",
        ):
            assert other.execute(sql).fetchall() == one.execute(sql).fetchall()
        names = {name for (name,) in other.execute("select name from sqlite_schema")}
        assert "i" in names
        assert "nexus_own" not in names


def test_a_text_with_a_nul_is_dumped_whole() -> None:
    values = [("a\0b'é",), (b"\0x",), ("plain",), (None,), (1.5,)]
    with (
        closing(sqlite3.connect(":memory:")) as one,
        closing(sqlite3.connect(":memory:")) as other,
    ):
        one.execute("create table t(v)")
        one.executemany("insert into t values (?)", values)
        other.executescript("\n".join(dump_of(one)))

        assert other.execute("select v from t order by rowid").fetchall() == values
