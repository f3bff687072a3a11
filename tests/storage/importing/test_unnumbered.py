"""A column that PostgreSQL would number, and SQLite does not."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from nexus.storage.importing.findings import Finding
from nexus.storage.importing.preflight import check


def looks(directory: Path, sql: str) -> list[Finding]:
    path = directory / "users.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(sql)
    return [one for one in check(path).findings if one.level == "look"]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("create table t(id serial primary key, v)", "leaves the key out is refused"),
        ("create table t(v, id SERIAL not null, primary key (id))", "key out is"),
        ("create table t(id serial, v)", "leaves it out makes it NULL"),
    ],
)
def test_a_key_that_nobody_numbers_is_told_in_a_sentence(
    tmp_path: Path, sql: str, why: str
) -> None:
    (found,) = looks(tmp_path, sql)

    assert found.table == "t"
    assert found.what == "id is of type SERIAL, which numbers nothing in SQLite"
    assert why in found.why


def test_of_keys_that_sqlite_numbers_nothing_is_told(tmp_path: Path) -> None:
    assert not looks(tmp_path, "create table t(id integer primary key, serial text)")
