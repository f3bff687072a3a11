"""What sqlite3's connections, cursors and rows do, as calls that can be compared."""

# ruff: noqa: E501, ARG005, DTZ001, PLR0124 - tables of one line a behaviour

import collections
import datetime as dt
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from client.behaviours import Behaviour, Side, kind_of

INSERT: Final = "insert into t(a) values (?)"
THREE: Final = "select value from json_each('[1,2,3]')"

CALLS: Final[dict[str, Behaviour]] = {}
"""Behaviours by their claims."""


def behaves(call: Behaviour) -> Behaviour:
    """Note a function under its name, which is what it shows."""
    CALLS[call.__name__.replace("_", " ")] = call
    return call


def shows(name: str, look: Callable[[Any], Any], **options: Any) -> None:
    """Note what `look` sees of a new connection."""
    CALLS[name] = lambda side: look(side.connect(**options))


def tried(call: Callable[[], Any]) -> Any:
    """What a call returns, or the class of what it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - its class is what is compared
        return kind_of(error)


def with_rows(connection: Any, *values: Any) -> Any:
    """A connection whose table has these rows, committed."""
    connection.executemany(INSERT, [(value,) for value in values])
    connection.commit()
    return connection


# Cursors.

shows("a new cursor has no description", lambda c: c.cursor().description)
shows("a new cursor counts nothing", lambda c: c.cursor().rowcount)
shows("a new cursor has no rowid", lambda c: c.cursor().lastrowid)
shows("a new cursor has no rows", lambda c: c.cursor().fetchone())
shows("a new cursor has no rows at all", lambda c: c.cursor().fetchall())
shows("arraysize is one", lambda c: c.cursor().arraysize)
shows("a cursor knows its connection", lambda c: c.cursor().connection is c)
shows(
    "execute returns the cursor", lambda c: (k := c.cursor()).execute("select 1") is k
)
shows("setinputsizes does nothing", lambda c: c.cursor().setinputsizes([1]))
shows("setoutputsize does nothing", lambda c: c.cursor().setoutputsize(1, 2))
shows("fetchone ends with None", lambda c: [(k := c.execute("select 1")).fetchone(), k.fetchone(), k.fetchone()])  # fmt: skip
shows("fetchall gives what is left", lambda c: [(k := c.execute(THREE)).fetchone(), k.fetchall(), k.fetchall()])  # fmt: skip
shows("fetchmany gives arraysize", lambda c: c.execute(THREE).fetchmany())
shows("fetchmany of two", lambda c: [(k := c.execute(THREE)).fetchmany(2), k.fetchmany(2), k.fetchmany(2)])  # fmt: skip
shows("fetchmany by name", lambda c: c.execute(THREE).fetchmany(size=2))
shows("fetchmany of more than there are", lambda c: c.execute(THREE).fetchmany(9))
shows("fetchmany of none", lambda c: c.execute(THREE).fetchmany(0))
shows("fetchmany of a negative", lambda c: c.execute(THREE).fetchmany(-1))
shows("fetchmany of a float", lambda c: c.execute(THREE).fetchmany(1.5))
shows("a cursor is an iterator", lambda c: [next(k := c.execute(THREE)), list(k), iter(k) is k])  # fmt: skip
shows("an exhausted cursor stops", lambda c: next(c.execute("select 1 where 0")))
shows("description has seven places", lambda c: c.execute("select 1 as x").description)
shows("description of two columns of one name", lambda c: c.execute("select 1 x, 2 x").description)  # fmt: skip
shows("description without rows", lambda c: c.execute("select a, b from t").description)
shows("description of a change", lambda c: c.execute("insert into t(a) values (1)").description)  # fmt: skip
shows("description after all rows", lambda c: [(k := c.execute(THREE)).fetchall(), k.description])  # fmt: skip
shows("description of RETURNING", lambda c: c.execute("insert into t(a) values (1) returning id, a as x").description)  # fmt: skip
shows("description of a pragma", lambda c: c.execute("pragma user_version").description)
shows("RETURNING gives rows", lambda c: c.execute("insert into t(a) values (5) returning id, a").fetchall())  # fmt: skip
shows("a change gives no rows", lambda c: c.execute("insert into t(a) values (5)").fetchall())  # fmt: skip
shows("rowcount of a query", lambda c: (k := c.execute(THREE), k.fetchall(), k.rowcount)[1:])  # fmt: skip
shows("rowid of executemany", lambda c: c.executemany(INSERT, [(1,), (2,)]).lastrowid)
shows("rowcount of executemany", lambda c: c.executemany(INSERT, [(1,), (2,)]).rowcount)
shows("executemany of nothing", lambda c: (k := c.executemany(INSERT, []), k.rowcount, c.in_transaction)[1:])  # fmt: skip
shows("executemany of an iterator", lambda c: c.executemany(INSERT, ((n,) for n in range(4))).rowcount)  # fmt: skip
shows("executemany of dicts", lambda c: c.executemany("insert into t(a) values (:x)", [{"x": 1}, {"x": 2}]).rowcount)  # fmt: skip
shows("executemany of an update", lambda c: with_rows(c, 1, 2, 2).executemany("update t set b='x' where a=?", [(1,), (2,)]).rowcount)  # fmt: skip
shows("executemany of a query", lambda c: c.executemany("select ?", [(1,)]))
shows("executemany of no iterable", lambda c: c.executemany(INSERT, 5))
shows("executemany of wrong parameters", lambda c: c.executemany(INSERT, [(1,), ()]))
shows("executemany of no text", lambda c: c.executemany(None, []))
shows("executemany of two statements", lambda c: c.executemany("delete from t; delete from t", [()]))  # fmt: skip
shows("executemany without its rows", lambda c: c.executemany(INSERT))
shows("execute without a text", lambda c: c.execute())
shows("execute with too much", lambda c: c.execute("select 1", (), ()))
shows("execute by keyword", lambda c: c.execute(sql="select 1"))
shows("a cursor's rowcount is read-only", lambda c: setattr(c.cursor(), "rowcount", 1))
shows("a cursor's description is read-only", lambda c: setattr(c.cursor(), "description", 1))  # fmt: skip
shows("a cursor's rowid is read-only", lambda c: setattr(c.cursor(), "lastrowid", 1))
shows("a cursor's connection is read-only", lambda c: setattr(c.cursor(), "connection", 1))  # fmt: skip
shows("a rowid is kept by the connection", lambda c: (c.execute("insert into t(id) values (9)"), c.execute("select 1").lastrowid)[1])  # fmt: skip
shows("a rowid outlives an update", lambda c: (c.execute("insert into t(id) values (9)"), c.execute("update t set a=1").lastrowid)[1])  # fmt: skip


@behaves
def arraysize_can_be_set(side: Side) -> Any:
    cursor = side.connect().cursor()
    cursor.arraysize = 2
    return cursor.execute(THREE).fetchmany()


@behaves
def a_failed_statement_leaves_no_rows(side: Side) -> Any:
    cursor = side.connect().execute(THREE)
    failed = tried(lambda: cursor.execute("rubbish"))
    return failed, cursor.fetchall(), cursor.description


@behaves
def a_new_statement_drops_the_rows_of_the_old(side: Side) -> Any:
    cursor = side.connect().execute(THREE)
    cursor.fetchone()
    return cursor.execute("select 9").fetchall()


@behaves
def two_cursors_do_not_mix(side: Side) -> Any:
    connection = side.connect()
    one, other = connection.execute(THREE), connection.execute("select 9")
    return one.fetchone(), other.fetchone(), one.fetchone(), other.fetchone()


@behaves
def rows_are_changed_while_others_are_read(side: Side) -> Any:
    connection = with_rows(side.connect(isolation_level=None), 1, 2, 3)
    seen = []
    for (number,) in connection.execute("select a from t order by id").fetchall():
        connection.execute("update t set b = 'seen' where a = ?", (number,))
        seen.append(connection.execute("select count(b) from t").fetchone())
    return seen


@behaves
def a_closed_cursor_refuses(side: Side) -> Any:
    cursor = side.connect().cursor()
    cursor.close()
    cursor.close()
    return [
        tried(lambda: cursor.execute("select 1")),
        tried(lambda: cursor.executemany(INSERT, [])),
        tried(lambda: cursor.executescript("")),
        tried(cursor.fetchone),
        tried(cursor.fetchmany),
        tried(cursor.fetchall),
        tried(lambda: next(cursor)),
    ]


@behaves
def a_cursor_is_not_used_while_it_reads_its_parameters(side: Side) -> Any:
    cursor = side.connect().cursor()

    def rows() -> Iterator[tuple[int]]:
        cursor.execute("select 1")
        yield (1,)

    return cursor.executemany(INSERT, rows())


@behaves
def an_error_of_the_iterator_is_passed_on(side: Side) -> Any:
    def rows() -> Iterator[tuple[int]]:
        yield (1,)
        raise ZeroDivisionError

    return tried(lambda: side.connect().executemany(INSERT, rows()))


@behaves
def a_cursor_of_another_class_is_made(side: Side) -> Any:
    class Mine(side.module.Cursor):  # type: ignore[misc, name-defined]
        pass

    return type(side.connect().cursor(Mine)).__name__


@behaves
def a_factory_must_make_a_cursor(side: Side) -> Any:
    return side.connect().cursor(lambda _: 5)


@behaves
def a_cursor_without_a_connection_is_refused(side: Side) -> Any:
    return tried(lambda: side.module.Cursor.__new__(side.module.Cursor).fetchone())


# Rows.


def named(side: Side, sql: str = "select 1 as one, 'zwei' as Two") -> Any:
    connection = side.connect()
    connection.row_factory = side.module.Row
    return connection.execute(sql).fetchone()


ROWS: Final[dict[str, Callable[[Any], Any]]] = {
    "by number": lambda row: (row[0], row[1], row[-1]),
    "by slice": lambda row: (row[:1], row[::-1]),
    "by name": lambda row: (row["one"], row["Two"]),
    "by name in another case": lambda row: (row["ONE"], row["two"]),
    "by a name that is not there": lambda row: row["three"],
    "by a number that is not there": lambda row: row[2],
    "by a negative number that is not there": lambda row: row[-3],
    "by a float": lambda row: row[1.0],
    "by None": lambda row: row[None],
    "by a huge number": lambda row: row[1 << 100],
    "its names": lambda row: row.keys(),
    "its length": len,
    "its values": list,
    "as a tuple": tuple,
    "as a dict": dict,
    "unpacked": lambda row: [*row],
    "backwards": lambda row: list(reversed(row)),
    "whether it is a tuple": lambda row: isinstance(row, tuple),
    "whether it is a sequence": lambda row: isinstance(row, collections.abc.Sequence),
    "whether it holds a value": lambda row: (1 in row, 2 in row),
    "compared with a tuple": lambda row: row == (1, "zwei"),
    "compared with less": lambda row: row < row,
    "set": lambda row: row.__setitem__(0, 1),
    "as a condition": bool,
    "hashed": lambda row: hash(row) == hash(row),
}
for _claim, _look in ROWS.items():
    CALLS[f"a row {_claim}"] = lambda side, look=_look: look(named(side))  # type: ignore[misc]


@behaves
def rows_are_equal_where_names_and_values_are(side: Side) -> Any:
    row = named(side)
    return [
        row == named(side),
        hash(row) == hash(named(side)),
        row == named(side, "select 1 as other, 'zwei' as Two"),
        row != named(side, "select 2 as one, 'zwei' as Two"),
    ]


@behaves
def a_row_of_two_columns_of_one_name_gives_the_first(side: Side) -> Any:
    return named(side, "select 1 as x, 2 as x")["x"]


@behaves
def a_row_is_made_of_a_tuple_alone(side: Side) -> Any:
    return tried(lambda: side.module.Row(side.connect().cursor(), [1]))


@behaves
def a_row_factory_gets_cursor_and_tuple(side: Side) -> Any:
    connection = side.connect()
    connection.row_factory = lambda cursor, row: (cursor.description[0][0], type(row), row)  # fmt: skip
    return connection.execute("select 1 as x").fetchall()


@behaves
def every_way_to_fetch_asks_the_factory(side: Side) -> Any:
    cursor = side.connect().cursor()
    cursor.row_factory = lambda _, row: list(row)
    cursor.execute(THREE)
    return [cursor.fetchone(), cursor.fetchmany(1), list(cursor)]


@behaves
def a_cursor_keeps_the_factory_of_its_making(side: Side) -> Any:
    connection = side.connect()
    cursor = connection.cursor()
    connection.row_factory = side.module.Row
    return type(cursor.execute("select 1").fetchone()), cursor.row_factory


@behaves
def a_factory_that_cannot_be_called_is_an_error(side: Side) -> Any:
    connection = side.connect()
    connection.row_factory = 5
    return connection.execute("select 1").fetchall()


@behaves
def an_error_of_a_factory_is_passed_on(side: Side) -> Any:
    connection = side.connect()
    connection.row_factory = lambda _, row: 1 // 0
    return connection.execute("select 1").fetchall()


# Text.


def text_as(factory: Any, sql: str = "select 'aä', 1, x'00', null") -> Behaviour:
    def look(side: Side) -> Any:
        connection = side.connect()
        connection.text_factory = factory
        return connection.execute(sql).fetchall()

    return look


CALLS["text as bytes"] = text_as(bytes)
CALLS["text as bytearray"] = text_as(bytearray)
CALLS["text as another str"] = text_as(lambda data: data.decode() + "!")
CALLS["text as what cannot be called"] = text_as(5)
CALLS["text as an error"] = text_as(lambda data: 1 // 0)
CALLS["text as bytes where there is none"] = text_as(bytes, "select 1, null")
shows("text is str", lambda c: c.text_factory is str)


# Types that are declared.


def typed(side: Side, sql: str, *values: Any, flags: int = 3) -> Any:
    connection = side.connect(detect_types=flags)
    connection.execute(
        "create table typed(d date, s timestamp, n number(10), u UPPER, p plain key)"
    )
    names = ", ".join("dsnup"[: len(values)])
    marks = ", ".join("?" * len(values))
    connection.execute(f"insert into typed({names}) values ({marks})", values)
    cursor = connection.execute(sql)
    return cursor.fetchall(), [column[0] for column in cursor.description]


NOON: Final = dt.datetime(2026, 2, 3, 12, 0, 0, 120)
DAY: Final = dt.date(2026, 2, 3)

TYPED: Final[dict[str, tuple[str, tuple[Any, ...], int]]] = {
    "a date comes back": ("select d from typed", (DAY,), 1),
    "a date without detection": ("select d from typed", (DAY,), 0),
    "a date under names only": ("select d from typed", (DAY,), 2),
    "a NULL is not converted": ("select d from typed", (None,), 1),
    "an empty text is not converted": ("select d from typed", ("",), 1),
    "a date that is none": ("select d from typed", ("gestern",), 1),
    "a time stamp comes back": ("select s from typed", (None, NOON), 1),
    "a time stamp without a fraction": ("select s from typed", (None, dt.datetime(2026, 2, 3)), 1),
    "a time stamp of three digits": ("select s from typed", (None, "2026-02-03 04:05:06.123"), 1),
    "an expression has no type": ("select d || '' from typed", (DAY,), 1),
    "an alias keeps its type": ("select d as x from typed", (DAY,), 1),
    "a name tells the type": ('select d as "d [date]" from typed', (DAY,), 2),
    "a name is cut": ('select 1 as "x [number]", 2 as "y [z"', (DAY,), 2),
    "a name is whole without detection": ('select 1 as "x [number]"', (DAY,), 1),
    "a name goes before a declaration": ('select d as "d [timestamp]" from typed', (NOON,), 3),
    "brackets decide": ('select s as "s [date]" from typed', (None, "2026-02-03"), 3),
    "a declaration's first word counts": ("select n, p from typed", (None, None, 5, None, 6), 3),
    "bytes of a number": ("select n from typed", (None, None, 5), 1),
    "bytes of a float": ("select n from typed", (None, None, 1.5), 1),
    "types match in any case": ("select u from typed", (None, None, None, "x"), 1),
    "an unknown type is left": ('select 5 as "x [nobody]"', (DAY,), 2),
}  # fmt: skip
for _claim, (_sql, _values, _flags) in TYPED.items():
    CALLS[f"declared: {_claim}"] = lambda side, s=_sql, v=_values, f=_flags: typed(  # type: ignore[misc]
        side, s, *v, flags=f
    )


class Point:
    """Something that a program stores."""

    def __init__(self, x: int) -> None:
        self.x = x


class Conforming(Point):
    """Something that knows how it is stored."""

    def __conform__(self, protocol: Any) -> str | None:
        return f"at {self.x}" if protocol is not None else None


class Whole(int):
    """An int of another class."""


@behaves
def an_adapter_is_asked_for_its_exact_type(side: Side) -> Any:
    side.module.register_adapter(Point, lambda point: f"at {point.x}")
    connection = side.connect()
    return [
        tried(lambda: connection.execute("select ?", (Point(3),)).fetchone()),
        tried(lambda: connection.execute("select :p", {"p": Point(3)}).fetchone()),
        tried(lambda: connection.execute("select ?", (Conforming(4),)).fetchone()),
    ]


@behaves
def an_error_of_an_adapter_is_passed_on(side: Side) -> Any:
    class Wrong:
        pass

    side.module.register_adapter(Wrong, lambda _: 1 // 0)
    return side.connect().execute("select ?", (Wrong(),))


@behaves
def an_adapter_may_give_what_sqlite_cannot_take(side: Side) -> Any:
    class Wrong:
        pass

    side.module.register_adapter(Wrong, lambda _: [1])
    return side.connect().execute("select ?", (Wrong(),))


@behaves
def numbers_of_another_class_are_numbers(side: Side) -> Any:
    return side.connect().execute("select ?, typeof(?1)", (Whole(5),)).fetchone()


@behaves
def adapt_gives_what_sqlite_would_get(side: Side) -> Any:
    adapt = side.module.adapt
    return adapt(DAY), tried(lambda: adapt(object())), adapt(Conforming(1))


@behaves
def a_converter_gets_bytes(side: Side) -> Any:
    side.module.register_converter("Thing", lambda data: ("thing", data))
    connection = side.connect(detect_types=side.module.PARSE_COLNAMES)
    return connection.execute(
        """select 12 as "a [thing]", 'x' as "b [THING]", x'00' as "c [Thing]" """
    ).fetchall()


@behaves
def an_error_of_a_converter_is_passed_on(side: Side) -> Any:
    side.module.register_converter("broken", lambda data: 1 // 0)
    connection = side.connect(detect_types=side.module.PARSE_COLNAMES)
    return connection.execute('select 1 as "a [broken]"').fetchall()


# Transactions.


def state(connection: Any) -> tuple[Any, ...]:
    """What can be seen of a transaction."""
    count = connection.execute("select count(*) from t").fetchone()[0]
    return connection.in_transaction, count, connection.total_changes


def steps(**options: Any) -> Behaviour:
    """What each statement and call does under these options."""

    def look(side: Side) -> Any:
        connection = side.connect(**options)
        told = [connection.in_transaction, connection.isolation_level]
        for step in (
            lambda: connection.execute("select 1"),
            lambda: connection.execute("create table u(x)"),
            lambda: connection.execute(INSERT, (1,)),
            connection.commit,
            lambda: connection.executemany(INSERT, [(2,), (3,)]),
            connection.rollback,
            lambda: connection.execute("update t set a = 9"),
            lambda: connection.execute("rubbish"),
            lambda: connection.execute("insert into t(id) values (1)"),
            connection.commit,
            connection.rollback,
            lambda: connection.execute("delete from t"),
            lambda: connection.execute("drop table u"),
            lambda: connection.execute("begin"),
            connection.commit,
        ):
            outcome = tried(step)
            told.append((type(outcome).__name__, *state(connection)))
        return told

    return look


CALLS["steps of the usual level"] = steps()
CALLS["steps of DEFERRED"] = steps(isolation_level="DEFERRED")
CALLS["steps of IMMEDIATE"] = steps(isolation_level="IMMEDIATE")
CALLS["steps of exclusive, in lower case"] = steps(isolation_level="exclusive")
CALLS["steps of no level"] = steps(isolation_level=None)

shows("the usual level", lambda c: c.isolation_level)
shows("a level that is none", lambda c: c.isolation_level, isolation_level="SNAPSHOT")
shows("a level of another type", lambda c: c.isolation_level, isolation_level=5)
shows("a level is set to what is none", lambda c: setattr(c, "isolation_level", "x"))
shows("a level is set to a number", lambda c: setattr(c, "isolation_level", 1))
shows("a level is deleted", lambda c: delattr(c, "isolation_level"))
shows("no change is in no transaction", lambda c: (c.commit(), c.rollback(), c.in_transaction))  # fmt: skip
shows("changes are counted from nought", lambda c: c.total_changes)
shows("in_transaction is read-only", lambda c: setattr(c, "in_transaction", True))
shows("total_changes is read-only", lambda c: setattr(c, "total_changes", 1))


@behaves
def no_level_commits_what_is_open(side: Side) -> Any:
    connection = side.connect()
    connection.execute(INSERT, (1,))
    connection.isolation_level = None
    inside = connection.in_transaction
    connection.rollback()
    return inside, state(connection), connection.isolation_level


@behaves
def another_connection_sees_what_is_committed(side: Side) -> Any:
    one, other = side.connect(), side.connect()
    one.execute(INSERT, (1,))
    before = other.execute("select count(*) from t").fetchone()
    own = one.execute("select count(*) from t").fetchone()
    one.commit()
    return before, own, other.execute("select count(*) from t").fetchone()


@behaves
def a_connection_that_is_closed_takes_back(side: Side) -> Any:
    one = side.connect()
    one.execute(INSERT, (1,))
    one.close()
    return side.connect().execute("select count(*) from t").fetchone()


@behaves
def a_connection_that_is_forgotten_takes_back(side: Side) -> Any:
    one = side.connect()
    one.execute(INSERT, (1,))
    del one
    gc.collect()
    other = side.connect()
    other.execute(INSERT, (2,))
    other.commit()
    return other.execute("select a from t").fetchall()


@behaves
def a_context_commits(side: Side) -> Any:
    connection = side.connect()
    with connection as same:
        connection.execute(INSERT, (1,))
    return same is connection, state(connection)


@behaves
def a_context_takes_back_on_an_error_and_passes_it_on(side: Side) -> Any:
    connection = side.connect()

    def fail() -> None:
        with connection:
            connection.execute(INSERT, (1,))
            raise KeyError("mine")

    return tried(fail), state(connection)


@behaves
def a_context_does_not_close(side: Side) -> Any:
    connection = side.connect()
    with connection:
        pass
    with connection:
        connection.execute(INSERT, (1,))
    return connection.execute("select count(*) from t").fetchone()


@behaves
def a_constraint_leaves_the_transaction_open(side: Side) -> Any:
    connection = side.connect()
    connection.execute("insert into t(id) values (1)")
    failed = tried(lambda: connection.execute("insert into t(id) values (1)"))
    connection.execute("insert into t(id) values (2)")
    connection.commit()
    return failed, state(connection)


@behaves
def a_statement_that_cannot_run_begins_nothing(side: Side) -> Any:
    connection = side.connect()
    return (
        tried(lambda: connection.execute("insert into nobody values (1)")),
        connection.in_transaction,
    )


@behaves
def a_failed_foreign_key_is_an_integrity_error(side: Side) -> Any:
    connection = side.connect()
    connection.execute("create table u(x references t(id))")
    connection.commit()
    return tried(lambda: connection.execute("insert into u values (1)"))


@behaves
def foreign_keys_can_be_off(side: Side) -> Any:
    connection = side.connect()
    connection.execute("create table u(x references t(id))")
    connection.execute("pragma foreign_keys = off")
    told = connection.execute("pragma foreign_keys").fetchall()
    connection.execute("insert into u values (1)")
    connection.commit()
    connection.execute("pragma foreign_keys = on")
    return told, connection.execute("pragma foreign_keys").fetchall()


@behaves
def a_pragma_in_a_transaction_does_not_change_foreign_keys(side: Side) -> Any:
    connection = side.connect()
    connection.execute("begin")
    connection.execute("pragma foreign_keys = off")
    connection.commit()
    return connection.execute("pragma foreign_keys").fetchall()


def interleaved(begin: str) -> Behaviour:
    """Two connections: one reads within a transaction, the other writes meanwhile."""

    def look(side: Side) -> Any:
        one = side.connect(isolation_level=None)
        other = side.connect(isolation_level=None)
        other.execute(INSERT, (1,))
        one.execute(begin)
        told = [one.execute("select count(*) from t").fetchone()]
        other.execute(INSERT, (2,))
        told.append(one.execute("select count(*) from t").fetchone())
        told.append(tried(lambda: one.execute(INSERT, (3,))))
        told.append(one.in_transaction)
        told.append(one.execute("select count(*) from t").fetchone())
        one.execute("rollback")
        told.append(one.execute("select count(*) from t").fetchone())
        one.execute(begin)
        one.execute("select count(*) from t")
        one.execute(INSERT, (4,))
        told.append(one.execute("select count(*) from t").fetchone())
        one.execute("commit")
        told.append(other.execute("select count(*) from t").fetchone())
        return told

    return look


CALLS["a transaction that reads sees one state"] = interleaved("begin")
CALLS["a deferred transaction that reads sees one state"] = interleaved(
    "begin deferred"
)


@behaves
def a_change_that_comes_too_late_has_sqlites_code(side: Side) -> Any:
    one, other = side.connect(), side.connect()
    one.execute("begin")
    one.execute("select * from t").fetchall()
    other.execute(INSERT, (1,))
    other.commit()
    try:
        one.execute(INSERT, (2,))
    except side.module.Error as error:
        return error.sqlite_errorcode, error.sqlite_errorname
    return "no error"


@behaves
def a_transaction_that_only_read_ends_with_nothing(side: Side) -> Any:
    one = side.connect()
    one.execute("begin")
    rows = one.execute("select * from t").fetchall()
    tables = one.execute("pragma table_info(t)").fetchall()
    one.commit()
    return rows, tables, one.in_transaction


# Scripts.


def script(text: Any, *before: str) -> Behaviour:
    def look(side: Side) -> Any:
        connection = side.connect()
        for sql in before:
            connection.execute(sql)
        cursor = connection.cursor()
        outcome = tried(lambda: cursor.executescript(text))
        return (
            outcome if isinstance(outcome, str) else outcome is cursor,
            cursor.rowcount,
            cursor.lastrowid,
            cursor.description,
            cursor.fetchall(),
            connection.in_transaction,
            connection.execute("select a, b from t").fetchall(),
        )

    return look


SCRIPTS: Final[dict[str, tuple[Any, ...]]] = {
    "of two": ("insert into t(a) values (1); insert into t(a) values (2);",),
    "of nothing": ("",),
    "of comments": ("-- a\n/* b */ ;;",),
    "without the last semicolon": ("insert into t(a) values (1); select 1",),
    "with a query": ("select 1; insert into t(a) values (1);",),
    "with a semicolon in a text": ("insert into t(a) values (';');",),
    "with a trigger": (
        "create trigger r after insert on t begin update t set b = ';'; "
        "update t set b = b || '!'; end; insert into t(a) values (1);",
    ),
    "with a transaction": ("begin; insert into t(a) values (1); commit;",),
    "with a transaction left open": ("begin; insert into t(a) values (1);",),
    "with a rollback": ("begin; insert into t(a) values (1); rollback;",),
    "after a change": ("select 1;", "insert into t(a) values (1)"),
    "after a change, and a rollback": ("rollback;", "insert into t(a) values (1)"),
    "that ends early": ("insert into t(a) values (1); select",),
    "of bytes": (b"select 1",),
    "of None": (None,),
    "with a NUL": ("select 1;\0",),
    "with a surrogate": ("select '\ud800';",),
}
for _claim, (_text, *_before) in SCRIPTS.items():
    if _claim != "that ends early":
        CALLS[f"a script {_claim}"] = script(_text, *_before)


@behaves
def a_script_that_ends_early_is_an_error(side: Side) -> Any:
    return side.connect().executescript("select 1; select")


@behaves
def a_script_with_an_error_is_an_error(side: Side) -> Any:
    return side.connect().executescript("select 1; insert into nobody values (1);")


# Connections.

CLOSED: Final[dict[str, Callable[[Any], Any]]] = {
    "execute": lambda c: c.execute("select 1"),
    "executemany": lambda c: c.executemany(INSERT, []),
    "executescript": lambda c: c.executescript(""),
    "cursor": lambda c: c.cursor(),
    "commit": lambda c: c.commit(),
    "rollback": lambda c: c.rollback(),
    "close": lambda c: c.close(),
    "in_transaction": lambda c: c.in_transaction,
    "total_changes": lambda c: c.total_changes,
    "isolation_level": lambda c: c.isolation_level,
    "interrupt": lambda c: c.interrupt(),
    "iterdump": lambda c: list(c.iterdump()),
    "a context": lambda c: c.__enter__(),
    "a call": lambda c: c("select 1"),
    "row_factory": lambda c: c.row_factory,
    "text_factory": lambda c: c.text_factory,
}


def closed(look: Callable[[Any], Any]) -> Behaviour:
    def run(side: Side) -> Any:
        connection = side.connect()
        connection.close()
        return look(connection)

    return run


for _claim, _look in CLOSED.items():
    CALLS[f"closed: {_claim}"] = closed(_look)


@behaves
def a_cursor_of_a_closed_connection_refuses(side: Side) -> Any:
    connection = side.connect()
    cursor = connection.execute(THREE)
    connection.close()
    return [
        tried(lambda: cursor.execute("select 1")),
        tried(cursor.fetchone),
        tried(cursor.fetchall),
        tried(lambda: next(cursor)),
        tried(cursor.close),
    ]


@behaves
def another_thread_is_refused(side: Side) -> Any:
    connection = side.connect()
    cursor = connection.cursor()
    told: list[Any] = []

    def other() -> None:
        told.extend(
            tried(call)
            for call in (
                lambda: connection.execute("select 1"),
                connection.cursor,
                connection.commit,
                connection.rollback,
                connection.close,
                lambda: cursor.execute("select 1"),
                cursor.fetchone,
            )
        )

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    return told


@behaves
def another_thread_is_welcome_if_that_is_said(side: Side) -> Any:
    connection = side.connect(check_same_thread=False)
    told: list[Any] = []
    thread = threading.Thread(
        target=lambda: told.append(connection.execute("select 1").fetchone())
    )
    thread.start()
    thread.join()
    return told


@behaves
def a_call_prepares_a_statement(side: Side) -> Any:
    connection = side.connect()
    return connection("select 1") is not None, tried(lambda: connection(5))


@behaves
def a_connection_has_the_classes_of_errors(side: Side) -> Any:
    connection = side.connect()
    names = [
        "Warning",
        "Error",
        "InterfaceError",
        "DatabaseError",
        "DataError",
        "OperationalError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
    ]
    return [getattr(connection, name) is getattr(side.module, name) for name in names]


@behaves
def errors_are_a_hierarchy(side: Side) -> Any:
    module = side.module
    return [
        issubclass(module.Error, Exception),
        issubclass(module.DatabaseError, module.Error),
        issubclass(module.InterfaceError, module.Error),
        issubclass(module.InterfaceError, module.DatabaseError),
        issubclass(module.IntegrityError, module.DatabaseError),
        issubclass(module.Warning, module.Error),
    ]


def code_of(*texts: str) -> Behaviour:
    """SQLite's code of the error of the last of these statements."""

    def look(side: Side) -> Any:
        connection = side.connect()
        for sql in texts[:-1]:
            connection.execute(sql)
        try:
            connection.execute(texts[-1])
        except side.module.Error as error:
            return error.sqlite_errorcode, error.sqlite_errorname, str(error)
        return "no error"

    return look


CODES: Final[dict[str, tuple[str, ...]]] = {
    "syntax": ("selec 1",),
    "no such table": ("select * from nobody",),
    "no such column": ("select nobody from t",),
    "unique": ("create unique index i on t(a)", "insert into t(a) values (1)", "insert into t(a) values (1)"),
    "primary key": ("insert into t(id) values (1)", "insert into t(id) values (1)"),
    "not null": ("create table u(x not null)", "insert into u values (null)"),
    "check": ("create table u(x check (x > 0))", "insert into u values (0)"),
    "foreign key": ("create table u(x references t(id))", "insert into u values (9)"),
    "mismatch": ("insert into t(id) values ('x')",),
    "overflow": ("select abs(-9223372036854775808)",),
    "too big": ("select zeroblob(2000000000)",),
}  # fmt: skip
for _claim, _texts in CODES.items():
    CALLS[f"SQLite's code of: {_claim}"] = code_of(*_texts)


# The module.


def constant(name: str) -> None:
    CALLS[f"module: {name}"] = lambda side: getattr(side.module, name)


for _name in (
    "apilevel",
    "paramstyle",
    "PARSE_DECLTYPES",
    "PARSE_COLNAMES",
    "Date",
    "Time",
    "Timestamp",
    "Binary",
):
    constant(_name)
CALLS["module: ticks"] = lambda side: (
    side.module.DateFromTicks(86400.0),
    side.module.TimeFromTicks(3600.5),
    side.module.TimestampFromTicks(86400.5),
)

for _text in (
    "select 1;",
    "select 1",
    "",
    ";",
    "select ';",
    "create trigger r after insert on t begin select 1;",
    "create trigger r after insert on t begin select 1; end;",
    "/* open",
):
    CALLS[f"complete: {_text}"] = lambda side, text=_text: (  # type: ignore[misc]
        side.module.complete_statement(text)
    )


def dumped(*texts: str) -> Behaviour:
    def look(side: Side) -> Any:
        connection = side.connect()
        for sql in texts:
            connection.execute(sql)
        connection.commit()
        # A table of statistics stays where another behaviour has made one.
        return [sql for sql in connection.iterdump() if "ANALYZE" not in sql]

    return look


CALLS["a dump of an empty table"] = dumped()
CALLS["a dump of values"] = dumped(
    "insert into t(a, b) values (1, 'it''s'), (null, 'ä'), (x'00ff', null), (1.5, '')"
)
CALLS["a dump of indices, views and triggers"] = dumped(
    'create table u(x integer primary key autoincrement, [odd " name])',
    "insert into u values (7, 'x')",
    "create index i on u(x)",
    "create view v as select * from u",
    "create trigger r after insert on u begin select 1; end",
)
