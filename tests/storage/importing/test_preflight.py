"""What of an existing database replicates, and what must change first."""

import shutil
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from nexus.errors import StorageError
from nexus.storage.database import Database
from nexus.storage.importing import preflight
from nexus.storage.importing.findings import Finding
from nexus.storage.importing.preflight import check


def database(directory: Path, *statements: str) -> Path:
    path = directory / "users.db"
    with closing(apsw.Connection(str(path))) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def findings(directory: Path, *statements: str) -> list[Finding]:
    return check(database(directory, *statements)).findings


@pytest.mark.parametrize(
    ("sql", "level", "what"),
    [
        ("create table t(id integer primary key)", "ok", "replicates as it is"),
        ("create table t(k text primary key) without rowid", "ok", "as it is"),
        ("create table t(a)", "cared", "no primary key"),
        (
            "create table t(id integer primary key autoincrement)",
            "cared",
            "AUTOINCREMENT",
        ),
        ("create table t(k collate nocase primary key)", "cared", "compare equal"),
        ("create table t(k text primary key)", "cared", "may be NULL"),
    ],
)
def test_each_table_is_told_how_it_travels(
    tmp_path: Path, sql: str, level: str, what: str
) -> None:
    (found,) = findings(tmp_path, sql)

    assert (found.table, found.level, found.statement) == ("t", level, "")
    assert what in found.what


@pytest.mark.parametrize(
    ("statements", "object_name", "what"),
    [
        (
            ["create table t(k text primary key)", "insert into t values (null)"],
            "t",
            "1 row has a primary key of NULL",
        ),
        (
            ["create table t(a, _rowid_)"],
            "t",
            "no primary key, and a column named _rowid_",
        ),
        (["create table nexus_t(a)"], "nexus_t", "table has a reserved name"),
        (
            ["create table t(a)", "create index nexus_i on t(a)"],
            "nexus_i",
            "index has a reserved name",
        ),
        (
            [
                "create table t(k text primary key)",
                "create view v as select rowid from t",
            ],
            "v",
            "view uses rowids that are not replicated",
        ),
    ],
)
def test_what_must_change_comes_with_the_statement_that_changes_it(
    tmp_path: Path, statements: list[str], object_name: str, what: str
) -> None:
    path = database(tmp_path, *statements)
    report = check(path)

    (found,) = [f for f in report.findings if f.level == "change"]
    assert not report.ok
    assert (found.table, found.what) == (object_name, what)
    assert found.why
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(found.statement)
    assert check(path).ok


def test_the_file_is_not_changed(tmp_path: Path) -> None:
    path = database(tmp_path, "create table t(a)", "insert into t values (1)")
    before = path.read_bytes()

    assert check(path).ok

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["users.db"]


def test_what_is_no_database_is_told_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no file"):
        check(tmp_path / "missing.db")
    text = tmp_path / "text.db"
    text.write_text("no database at all" * 100)
    with pytest.raises(StorageError, match="cannot be read as a SQLite database"):
        check(text)


def test_a_database_that_somebody_writes_to_for_long_is_told_as_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "BUSY_TIMEOUT_MS", 50)
    path = database(tmp_path, "create table t(a)")
    with closing(apsw.Connection(str(path))) as other:
        other.execute("begin exclusive")

        with pytest.raises(StorageError, match="locked; another process holds it"):
            check(path)


def test_a_transaction_that_ends_soon_is_waited_for(tmp_path: Path) -> None:
    path = database(tmp_path, "create table t(a)")
    other = apsw.Connection(str(path))
    other.execute("begin exclusive")
    ends = threading.Timer(0.2, other.execute, ("commit",))
    ends.start()

    report = check(path)
    ends.join()
    other.close()

    assert report.ok


def test_a_transaction_that_an_application_left_behind_is_told(tmp_path: Path) -> None:
    path = database(tmp_path, "create table t(a)", "insert into t values (1)")
    with closing(apsw.Connection(str(path))) as dying:
        dying.execute("pragma cache_size = 1; begin immediate")
        for _ in range(20):
            dying.execute("insert into t values (randomblob(3000))")
        for file in (path, path.with_name("users.db-journal")):
            shutil.copy(file, tmp_path / file.name.replace("users", "left"))

    with pytest.raises(StorageError, match=r"left\.db-journal is left; start it, or"):
        check(tmp_path / "left.db")

    with closing(apsw.Connection(str(tmp_path / "left.db"))) as mended:
        assert mended.execute("select count(*) from t").get == 1
    assert check(tmp_path / "left.db").ok


def test_no_statements_are_told_that_would_spoil_a_nodes_own_database(
    tmp_path: Path,
) -> None:
    with closing(Database.open(tmp_path / "nexus.db")):
        pass

    with pytest.raises(StorageError, match="is a Nexus node's database"):
        check(tmp_path / "nexus.db")


def test_a_damaged_database_is_told_with_the_damage(tmp_path: Path) -> None:
    path = database(
        tmp_path,
        "create table t(id integer primary key, v)",
        "with recursive n(i) as (select 1 union all select i + 1 from n "
        "where i < 50) insert into t select i, zeroblob(900) from n",
    )
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 3 * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(data)

    with pytest.raises(StorageError, match=r"is damaged: .*\.recover"):
        check(path)


def test_a_table_of_a_module_that_no_node_has_must_go(tmp_path: Path) -> None:
    (strange, words, *_) = findings(
        tmp_path,
        "create virtual table words using fts5(word)",
        "pragma writable_schema = 1",
        "insert into sqlite_schema values ('table', 'v', 'v', 0, "
        "'create virtual table v using strange(a)')",
    )

    assert (strange.level, strange.table) == ("change", "v")
    assert strange.what == "no such module: strange"
    assert strange.statement == 'drop table "v";'
    assert words.level == "ok"
