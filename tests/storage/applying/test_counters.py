"""AUTOINCREMENT counters are what the log says."""

import apsw

from nexus.model.operation import Sequence
from nexus.storage.applying.counters import Counters

TABLE = "create table {}(id integer primary key autoincrement)"


def found(connection: apsw.Connection) -> dict[str, object]:
    rows = connection.execute("select name, seq from sqlite_sequence")
    return {str(name): value for name, value in rows}


def test_a_counter_that_rows_raised_is_put_back(connection: apsw.Connection) -> None:
    connection.execute(TABLE.format("t") + "; insert into t values (3)")
    counters = Counters(connection)
    connection.execute("insert into t values (50)")

    counters.put_right()

    assert found(connection) == {"t": 3}


def test_counters_move_as_the_log_says(connection: apsw.Connection) -> None:
    for name in "tu":
        connection.execute(f"{TABLE.format(name)}; insert into {name} values (3)")
    counters = Counters(connection)

    counters.move(Sequence("t", 3, 8))
    counters.move(Sequence("u", 3, None))
    counters.move(Sequence("v", None, 1))
    counters.put_right()

    assert found(connection) == {"t": 8, "v": 1}
    before = connection.total_changes()
    counters.put_right()
    assert connection.total_changes() == before


def test_what_an_entry_moved_is_wanted_no_more_once_it_is_taken_back(
    connection: apsw.Connection,
) -> None:
    connection.execute(TABLE.format("t") + "; insert into t values (3)")
    counters = Counters(connection)
    before = counters.wanted
    counters.move(Sequence("t", 3, 8))

    counters.go_back(before)
    counters.put_right()

    assert found(connection) == {"t": 3}


def test_without_counters_nothing_is_wanted_until_a_schema_brings_them(
    connection: apsw.Connection,
) -> None:
    counters = Counters(connection)
    counters.put_right()
    before = counters.wanted

    connection.execute(TABLE.format("t"))
    counters.read()
    assert counters.wanted == {}
    connection.execute("insert into t values (9)")
    counters.put_right()
    assert found(connection) == {}

    counters.go_back(before)
    connection.execute("insert into t values (99)")
    counters.put_right()
    assert found(connection) == {"t": 99}, "where none are wanted, all are right"


def test_a_counter_may_move_before_its_table_is_known(
    connection: apsw.Connection,
) -> None:
    counters = Counters(connection)
    connection.execute(TABLE.format("t"))

    counters.move(Sequence("t", None, 5))
    counters.put_right()

    assert found(connection) == {"t": 5}
