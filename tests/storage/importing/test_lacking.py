"""What a schema needs and a node does not have is named, with its table."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from nexus.storage.directory import DataDirectory
from nexus.storage.importing.findings import Finding
from nexus.storage.importing.importer import import_database
from nexus.storage.importing.preflight import check
from nexus.storage.sqlite.functions import Functions, Registry


def register(registry: Registry) -> None:
    registry.create_function("shout", 1, str.upper, deterministic=True)
    registry.create_collation("backwards", lambda a, b: (a < b) - (a > b))


OWN = Functions([register])

COLLATION, FUNCTION = "no such collation: backwards", "no such function: shout"

LACKING = {
    "create table t(id integer primary key, n collate backwards)": COLLATION,
    'create table t(n text collate "backwards" primary key not null)': COLLATION,
    "create table t(n); create index i on t(n collate backwards)": COLLATION,
    "create table t(id integer primary key, n check (shout(n) > ''))": FUNCTION,
    "create table t(n, m default (lower(shout('a'))))": FUNCTION,
    "create table t(n, m as (shout(n)) stored)": FUNCTION,
    "create table t(n); create index i on t(shout(n))": FUNCTION,
    "create table t(n); create trigger r after delete on t begin "
    "select shout(old.n); end": FUNCTION,
    "create view t as select shout('a') as n": FUNCTION,
}


def made(directory: Path, sql: str) -> Path:
    path = directory / "users.db"
    with closing(apsw.Connection(str(path))) as connection:
        OWN.add_to(connection)
        connection.execute(sql)
    return path


@pytest.mark.parametrize("sql", LACKING)
def test_a_table_that_cannot_be_used_without_it_must_change(
    tmp_path: Path, sql: str
) -> None:
    path = made(tmp_path, sql)

    (found,) = [one for one in check(path).findings if one.level == "change"]

    assert (found.table, found.what) == ("t", LACKING[sql])
    assert "--functions" in found.why


@pytest.mark.parametrize("sql", LACKING)
def test_what_the_nodes_modules_register_is_not_lacking(
    tmp_path: Path, sql: str
) -> None:
    path = made(tmp_path, sql)

    assert check(path, OWN).ok
    import_database(path, DataDirectory(tmp_path / "data"), OWN)

    assert (tmp_path / "data" / "nexus.db").is_file()


def test_what_is_known_is_looked_at_beside_what_is_lacking(tmp_path: Path) -> None:
    path = made(
        tmp_path,
        "create table a(n collate backwards primary key); create table b(n); "
        "create table c(n text collate rtrim primary key not null); "
        "create table nexus_x(n check (shout(n)))",
    )

    found = check(path).findings

    assert {(one.table, one.level) for one in found} == {
        ("a", "change"),
        ("b", "cared"),
        ("c", "cared"),
        ("nexus_x", "change"),
    }
    assert isinstance(found[0], Finding)
