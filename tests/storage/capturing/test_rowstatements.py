"""Queries and row changes of clients, run on the writer."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from nexus.storage.capturing.recorder import Recorder
from nexus.storage.capturing.results import Statement
from nexus.storage.capturing.rowstatements import RowStatements
from nexus.storage.database import Database


@pytest.fixture
def statements(tmp_path: Path) -> Iterator[RowStatements]:
    database = Database.open(tmp_path / "nexus.db")
    database.set_mode_capturing()
    database.writer.execute("create table t(id integer primary key, x)")
    yield RowStatements(database, Recorder(database))
    database.close()


def test_an_insertion_tells_its_rowid_and_how_many_rows(
    statements: RowStatements,
) -> None:
    for rowid in (1, 2):  # a text that is new, and one that is known
        result = statements.run(Statement("insert into t(x) values (?)", ("x",)))
        assert (result.columns, result.rows, result.rows_affected) == ((), [], 1)
        assert result.last_insert_rowid == rowid


def test_a_query_and_a_returning_give_columns_and_rows_each_time(
    statements: RowStatements,
) -> None:
    for number in (1, 2):
        insert = Statement("insert into t(x) values (?) returning id, x", (number,))
        given = statements.run(insert)
        assert (given.columns, given.rows) == (("id", "x"), [(number, number)])
        asked = statements.run(Statement("select max(x) as most from t"))
        assert (asked.columns, asked.rows) == (("most",), [(number,)])
        assert asked.rows_affected == -1
    none = statements.run(Statement("delete from t where id = 9 returning id"))
    assert (none.rows, none.rows_affected) == ([], 0)


def test_many_sets_of_parameters_count_together(statements: RowStatements) -> None:
    sql = "insert into t(x) values (?)"
    assert statements.run(Statement(sql, many=())).rows_affected == 0

    result = statements.run(Statement(sql, many=((1,), (2,), (3,))))

    assert (result.rows_affected, result.last_insert_rowid) == (3, 3)


def test_of_many_sets_all_or_none_are_kept(statements: RowStatements) -> None:
    insert = Statement("insert into t(id) values (?)", many=((1,), (2,), (1,)))
    statements.run(Statement("select 1"))

    with pytest.raises(apsw.ConstraintError):
        statements.run(insert)

    assert statements.run(Statement("select count(*) from t")).rows == [(0,)]
