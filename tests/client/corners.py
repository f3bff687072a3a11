"""What sqlite3 does where few programs go, as calls that can be compared."""

# ruff: noqa: E501, DTZ001 - tables of one line a behaviour

import copy
import datetime as dt
import decimal
import enum
import pickle
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from client.behaviours import Behaviour, Side, kind_of
from client.calls import INSERT, THREE, tried, with_rows

CORNERS: Final[dict[str, Behaviour]] = {}
"""Behaviours by their claims."""


def behaves(call: Behaviour) -> Behaviour:
    """Note a function under its name, which is what it shows."""
    CORNERS[call.__name__.replace("_", " ")] = call
    return call


def shows(name: str, look: Callable[[Any], Any], **options: Any) -> None:
    """Note what `look` sees of a new connection."""
    CORNERS[name] = lambda side: look(side.connect(**options))


def assign(target: Any, name: str, value: Any) -> Any:
    """`setattr`, as an expression among others."""
    return setattr(target, name, value)


def steps(*texts: str | tuple[str, Any], **options: Any) -> Behaviour:
    """After each statement: rows, rowcount, lastrowid, names, transaction."""

    def look(side: Side) -> Any:
        connection = side.connect(**options)
        told: list[Any] = []
        for text in texts:
            given = (text, ()) if isinstance(text, str) else text
            cursor = connection.cursor()
            try:
                rows = cursor.execute(*given).fetchall()
            except Exception as error:  # noqa: BLE001 - its class is what is compared
                rows = kind_of(error)
            told.append(
                (
                    rows,
                    cursor.rowcount,
                    cursor.lastrowid,
                    cursor.description,
                    connection.in_transaction,
                )
            )
        return told

    return look


# Statements, one after another.

STEPS: Final[dict[str, tuple[str, ...]]] = {
    "a replace that deletes another row": (
        "create unique index i on t(a)",
        "insert into t(id, a) values (1, 1), (2, 2)",
        "replace into t(id, a) values (1, 2)",
        "select * from t",
    ),
    "an upsert that does nothing": (
        "insert into t(id) values (5)",
        "insert into t(id) values (5) on conflict do nothing",
    ),
    "an ignored row after one that was not": (
        "insert into t(id) values (5)",
        "insert or ignore into t(id) values (9), (5)",
    ),
    "a row of a table without rowid": (
        "create table w(k text primary key) without rowid",
        "insert into t(id) values (3)",
        "insert into w values ('x')",
        "insert into w values ('y') returning k",
    ),
    "a row of a view with a trigger": (
        "create view v as select a from t",
        "create trigger r instead of insert on v begin insert into t(a) values (new.a); end",
        "insert into v values (4)",
        "select a from t",
    ),
    "a trigger that inserts elsewhere": (
        "create table log(n integer primary key, what)",
        "insert into log values (40, 'x')",
        "create trigger r after insert on t begin insert into log(what) values ('y'); end",
        "insert into t(id) values (2)",
        "select n from log",
    ),
    "a failed insert after one": (
        "insert into t(id) values (2)",
        "insert into t(id) values (2)",
        "update t set a = 1",
    ),
    "delete returning": (
        "insert into t(id, a) values (1, 'x'), (2, 'y')",
        "delete from t where id = 1 returning id, a as gone",
        "delete from t where id = 1 returning id",
    ),
    "update returning": (
        "insert into t(id, a) values (1, 'x'), (2, 'y')",
        "update t set b = a returning b",
        "update t set a = 1 where id = 99 returning b",
    ),
    "with and update": (
        "insert into t(id, a) values (1, 'x')",
        "with n(v) as (select 'z') update t set a = (select v from n)",
        "select a from t",
    ),
    "with and delete": (
        "insert into t(id, a) values (1, 'x')",
        "with n(v) as (select 'x') delete from t where a in (select v from n)",
    ),
    "with and insert returning": (
        "with n(v) as (select 8) insert into t(a) select v from n returning id, a",
    ),
    "create table as": ("create table u as select 1 as x", "select * from u"),
    "schema in a transaction and its end": (
        "insert into t(a) values (1)",
        "create table u(x)",
        "rollback",
        "select name from sqlite_schema where name = 'u'",
    ),
    "rename": ("alter table t rename to u", "insert into u(a) values (1)", "alter table u rename column a to c", "select c from u"),
    "drop a column": ("insert into t(a, b) values (1, 'x')", "alter table t drop column b", "select * from t"),
    "an expression index": ("create index i on t(lower(b))", "insert into t(b) values ('A')", "select id from t where lower(b) = 'a'"),
    "a generated column": ("create table g(x, y as (x * 2) stored, z as (x + 1))", "insert into g(x) values (4)", "select * from g", "insert into g(y) values (4)"),
    "a vacuum with no transaction": ("vacuum", "select 1"),
    "pragmas that tell": ("pragma table_xinfo(t)", "pragma index_list(t)", "pragma foreign_key_list(t)", "pragma auto_vacuum", "pragma legacy_alter_table"),
    "pragma encoding": ("pragma encoding",),
    "pragma foreign_key_check": ("pragma foreign_key_check", "pragma integrity_check", "pragma quick_check"),
    "end without a beginning": ("end",),
    "begin with a comment": ("/* a */ begin -- b", "insert into t(a) values (1)", "end"),
    "savepoint with no level": ("savepoint a", "insert into t(a) values (1)", "savepoint b", "insert into t(a) values (2)", "rollback to b", "release a", "select a from t"),
    "roll back a savepoint twice": ("savepoint a", "insert into t(a) values (1)", "rollback to a", "insert into t(a) values (2)", "rollback to a", "release a", "select count(*) from t"),
    "a savepoint with an odd name": ('savepoint "a b""c"', "insert into t(a) values (1)", 'rollback to savepoint "A B""C"', 'release savepoint "a b""c"'),
    "release an outer savepoint": ("begin", "savepoint a", "savepoint b", "release a", "rollback to b", "commit"),
    "commit drops savepoints": ("begin", "savepoint a", "commit", "release a"),
    "raise in a trigger: abort": (
        "create trigger r before insert on t when new.a = 9 begin select raise(abort, 'no nines'); end",
        "insert into t(a) values (1)",
        "insert into t(a) values (9)",
        "select a from t",
    ),
    "raise in a trigger: ignore": (
        "create trigger r before insert on t when new.a = 9 begin select raise(ignore); end",
        "insert into t(a) values (1), (9), (2)",
        "select a from t",
    ),
    "raise in a trigger: rollback": (
        "create trigger r before insert on t when new.a = 9 begin select raise(rollback, 'no nines'); end",
        "insert into t(a) values (1)",
        "insert into t(a) values (9)",
        "select a from t",
    ),
    "update or ignore": ("insert into t(id) values (1), (2)", "update or ignore t set id = 2", "select id from t"),
    "update or replace": ("insert into t(id) values (1), (2)", "update or replace t set id = 2", "select id from t"),
    "a date of sqlite's own": ("select typeof(datetime('now')), typeof(unixepoch())",),
    "rowids in a transaction": ("begin", "insert into t(id) values (6)", "select last_insert_rowid()", "commit"),
    "deferred foreign keys": (
        "create table u(x references t(id) deferrable initially deferred)",
        "insert into u values (5)",
        "insert into t(id) values (5)",
        "commit",
    ),
    "a cascade": (
        "create table u(x references t(id) on delete cascade)",
        "insert into t(id) values (5)",
        "insert into u values (5), (5)",
        "delete from t",
        "select count(*) from u",
    ),
    "autoincrement": (
        "create table n(id integer primary key autoincrement)",
        "insert into n default values",
        "insert into n values (50)",
        "delete from n",
        "insert into n default values",
        "select seq from sqlite_sequence where name = 'n'",
    ),
    "a counter that is set": (
        "create table n(id integer primary key autoincrement)",
        "insert into n default values",
        "update sqlite_sequence set seq = 100 where name = 'n'",
        "insert into n default values",
    ),
}  # fmt: skip
for _claim, _texts in STEPS.items():
    CORNERS[f"steps: {_claim}"] = steps(*_texts)
    CORNERS[f"steps of no level: {_claim}"] = steps(*_texts, isolation_level=None)


# Parameters.

PARAMETERS: Final[dict[str, tuple[str, Any]]] = {
    "a name with a colon in it": ("select :a::b", {"a::b": 1, "a": 2}),
    "a tcl name": ("select $a(b)", {"a(b)": 1, "a": 2}),
    "a name of digits and letters": ("select :1a", {"1a": 3}),
    "a name that is a keyword": ("select :select, @from, $_x", {"select": 1, "from": 2, "_x": 3}),
    "names in another case": ("select :a, :A", {"a": 1, "A": 2}),
    "a name in a string": ("select ':x', \":y\", [:z]", ()),
    "a list for names": ("select :a, :b", [1, 2]),
    "a tuple for names, one used twice": ("select :a, :b, :a", (1, 2)),
    "an empty dict for none": ("select 1", {}),
    "an empty list for none": ("select 1", []),
    "a dict of values that are no text": ("select :a", {1: 2}),
    "an IntEnum": ("select ?, typeof(?1)", (enum.IntEnum("E", "x").x,)),  # type: ignore[attr-defined]
    "a StrEnum": ("select ?, typeof(?1)", (enum.StrEnum("E", "x").x,)),  # type: ignore[attr-defined]
    "a decimal": ("select ?", (decimal.Decimal("1.5"),)),
    "a timezone": ("select ?", (dt.datetime(2026, 1, 2, tzinfo=dt.UTC),)),
    "a timedelta": ("select ?", (dt.timedelta(1),)),
    "a tuple within": ("select ?", ((1,),)),
    "a class": ("select ?", (int,)),
    "numbers and names": ("select ?1, :a", (1, 2)),
    "a name and its number": ("select :a, ?1", (1,)),
    "a limit": ("select value from json_each('[1,2,3]') limit ? offset ?", (1, 1)),
    "a limit that is no number": ("select 1 limit ?", ("x",)),
    "a row as parameters": ("select ?, ?", "xy"),
    "a thousand": (f"select {','.join('?' * 1000)}", tuple(range(1000))),
    "many more": (f"values {','.join('(?)' for _ in range(30000))}", tuple(range(30000))),
    "a long text": ("select length(?)", ("ä" * 1_000_000,)),
    "a long blob": ("select length(?)", (bytes(1_000_000),)),
    "text and blob are not equal": ("select ? = ?", ("a", b"a")),
    "a text with a BOM": ("select ?, length(?1)", ("\ufeffx",)),
    "a column without a name": ("select 1, 'x', a, a + 1, count(*) from t", ()),
    "a column of a join": ("select * from t x join t y", ()),
    "sqlite's json": ("select json_extract(?, '$.a')", ('{"a": [1, 2]}',)),
    "a window": ("select value, sum(value) over (order by value) from json_each('[3,1,2]')", ()),
    "a float that is exact": ("select ?", (0.1 + 0.2,)),
    "the smallest float": ("select ?", (5e-324,)),
}  # fmt: skip


def queried(sql: str, parameters: Any) -> Behaviour:
    def look(side: Side) -> Any:
        cursor = side.connect().execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return names[:20], cursor.fetchall()

    return look


for _claim, _query in PARAMETERS.items():
    CORNERS[f"parameters: {_claim}"] = queried(*_query)


# Cursors and rows.

shows(
    "a cursor can be referred to weakly", lambda c: weakref.ref(c.cursor()) is not None
)
shows(
    "fetchmany of no number", lambda c: tried(lambda: c.execute(THREE).fetchmany("x"))
)
shows("fetchmany of True", lambda c: c.execute(THREE).fetchmany(size=True))
shows(
    "fetchmany by an unknown name",
    lambda c: tried(lambda: c.execute(THREE).fetchmany(count=1)),
)
shows("fetchone takes nothing", lambda c: tried(lambda: c.execute(THREE).fetchone(1)))
shows("setinputsizes takes one", lambda c: tried(lambda: c.cursor().setinputsizes()))
shows("setoutputsize takes two", lambda c: tried(lambda: c.cursor().setoutputsize()))
shows("a cursor has no with", lambda c: tried(lambda: c.cursor().__enter__()))
shows("a cursor is closed twice", lambda c: (k := c.cursor(), k.close(), k.close())[1:])
shows("a connection is closed twice", lambda c: (c.close(), c.close()))
shows("a cursor is pickled", lambda c: tried(lambda: pickle.dumps(c.cursor())))
shows("a cursor is copied", lambda c: tried(lambda: copy.copy(c.cursor())))
shows("a connection is pickled", lambda c: tried(lambda: pickle.dumps(c)))
shows("a connection is copied deeply", lambda c: tried(lambda: copy.deepcopy(c)))
shows(
    "executescript takes one", lambda c: tried(lambda: c.executescript("select 1", ()))
)
shows(
    "executescript returns a cursor", lambda c: c.executescript("select 1").fetchall()
)
shows(
    "executemany of a schema statement",
    lambda c: tried(lambda: c.executemany("create table u(x)", [()]).rowcount),
)
shows(
    "executemany of a pragma",
    lambda c: tried(lambda: c.executemany("pragma user_version", [()]).fetchall()),
)
shows(
    "executemany of begin",
    lambda c: (tried(lambda: c.executemany("begin", [()]).rowcount), c.in_transaction),
)
shows(
    "executemany of a dict",
    lambda c: tried(lambda: c.executemany("insert into t(a) values (:a)", {"a": 1})),
)
shows("executemany of a text", lambda c: c.executemany(INSERT, "abc").rowcount)
shows(
    "executemany of with",
    lambda c: tried(
        lambda: (
            c.executemany(
                "with n(v) as (select ?) insert into t(a) select v from n", [(1,), (2,)]
            ).rowcount
        )
    ),
)
shows(
    "rowcount after executescript",
    lambda c: c.executescript("insert into t(a) values (1)").rowcount,
)
shows(
    "rowcount after a commit",
    lambda c: (k := c.execute(INSERT, (1,)), c.commit(), k.rowcount)[1:],
)
shows("rowcount after begin", lambda c: c.execute("begin").rowcount)
shows(
    "rowcount of a failed statement",
    lambda c: (
        k := c.execute(INSERT, (1,)),
        tried(lambda: k.execute("nonsense")),
        k.rowcount,
        k.lastrowid,
    )[1:],
)
shows(
    "description of a failed statement",
    lambda c: (
        k := c.execute("select 1 as x"),
        tried(lambda: k.execute("insert into nobody values (1)")),
        k.description,
    )[1:],
)
shows(
    "description of a with",
    lambda c: c.execute("with n(v) as (select 1) select v from n").description,
)
shows(
    "description of explain",
    lambda c: [
        d[0] for d in c.execute("explain query plan select * from t").description
    ],
)
shows(
    "description keeps a quoted name",
    lambda c: c.execute('select 1 as "a [b] c", 2 as "ä.ö"').description,
)
shows(
    "description of an expression",
    lambda c: c.execute("select 1+ 1, max(1,  2), t.a, T.A from t").description,
)
shows(
    "lastrowid of a cursor that did not insert",
    lambda c: (c.execute("insert into t(id) values (8)"), c.cursor().lastrowid)[1],
)
shows(
    "a cursor whose connection has another row factory",
    lambda c: (k := c.execute(THREE), assign(c, "row_factory", dict), k.fetchone())[2],
)
shows(
    "row_factory is dict",
    lambda c: (
        assign(
            c,
            "row_factory",
            lambda k, r: dict(zip([d[0] for d in k.description], r, strict=True)),
        ),
        c.execute("select 1 as x, 2 as y").fetchall(),
    )[1],
)
shows(
    "row_factory of one column",
    lambda c: (
        assign(c, "row_factory", lambda _, r: r[0]),
        c.execute(THREE).fetchall(),
    )[1],
)
shows(
    "row_factory that gives None",
    lambda c: (
        assign(c, "row_factory", lambda *_: None),
        c.execute(THREE).fetchall(),
        c.execute(THREE).fetchone(),
    )[1:],
)
shows(
    "a factory that gives None ends no loop",
    lambda c: (assign(c, "row_factory", lambda *_: None), len(list(c.execute(THREE))))[
        1
    ],
)
shows("row_factory is deleted", lambda c: tried(lambda: delattr(c, "row_factory")))
shows("text_factory is deleted", lambda c: tried(lambda: delattr(c, "text_factory")))
shows(
    "text_factory of a subclass",
    lambda c: (
        assign(c, "text_factory", lambda raw: raw.decode().upper()),
        c.execute("select 'a', x'61', 1, null").fetchall(),
    )[1],
)
shows(
    "text_factory for a cursor that was made before",
    lambda c: (
        k := c.cursor(),
        assign(c, "text_factory", bytes),
        k.execute("select 'a'").fetchall(),
    )[2],
)
shows(
    "total_changes of a rollback",
    lambda c: (c.execute(INSERT, (1,)), c.rollback(), c.total_changes)[2],
)
shows(
    "total_changes of a delete of all",
    lambda c: (with_rows(c, 1, 2, 3).execute("delete from t"), c.total_changes)[1],
)
shows(
    "total_changes of a script",
    lambda c: (
        c.executescript("insert into t(a) values (1), (2); update t set a = 3"),
        c.total_changes,
    )[1],
)
shows(
    "total_changes of executemany",
    lambda c: (c.executemany(INSERT, [(1,), (2,)]), c.total_changes)[1],
)
shows(
    "total_changes of a schema statement",
    lambda c: (with_rows(c, 1).execute("alter table t add column z"), c.total_changes)[
        1
    ],
)
shows(
    "interrupt of nothing", lambda c: (c.interrupt(), c.execute("select 1").fetchall())
)
shows("iterdump is lazy", lambda c: next(iter(c.iterdump())))
shows("a connection has no len", lambda c: tried(lambda: len(c)))
shows("a connection is a condition", bool)
shows(
    "a level is set to lower case",
    lambda c: (assign(c, "isolation_level", "immediate"), c.isolation_level)[1],
)
shows(
    "a level in a transaction",
    lambda c: (
        c.execute(INSERT, (1,)),
        assign(c, "isolation_level", "EXCLUSIVE"),
        c.in_transaction,
    )[1:],
)
shows(
    "a level with a NUL", lambda c: tried(lambda: setattr(c, "isolation_level", "\0"))
)
shows(
    "a level that begins like one",
    lambda c: tried(lambda: setattr(c, "isolation_level", "DEFERRED ")),
)


def detected(name: str, sql: str, *before: Any, kinds: int = 3) -> None:
    """Note what a query gives where types are detected."""

    def look(side: Side) -> Any:
        side.module.register_converter("upper", lambda raw: raw.decode().upper())
        side.module.register_converter("none", lambda _: None)
        connection = side.connect(detect_types=kinds)
        connection.execute(
            'create table d(u upper, day date, at timestamp, n none, w "two words", c upper(10))'
        )
        for row in before:
            connection.execute("insert into d values (?, ?, ?, ?, ?, ?)", row)
        cursor = connection.execute(sql)
        return cursor.fetchall(), cursor.description

    CORNERS[f"detected: {name}"] = look


ROW: Final = ("a", dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, 5), "x", "y", "z")
detected("each column", "select * from d", ROW)
detected("a union loses types", "select u from d union all select u from d", ROW)
detected("a subquery keeps them", "select u from (select u from d)", ROW)
detected("a view's columns", "select v.u from (select d.u as u from d) v", ROW)
detected("an aggregate has none", "select max(u) from d", ROW)
detected("a name with two brackets", 'select u as "x [upper] [none]" from d', ROW)
detected("an empty bracket", 'select u as "x []" from d', ROW)
detected("a bracket without an end", 'select u as "x [upper" from d', ROW)
detected("a bracket first", 'select u as "[upper]" from d', ROW)
detected("a bracket without a space", 'select w as "x[upper]" from d', ROW)
detected("NULLs", "select * from d", (None,) * 6)
detected("bytes", "select * from d", (b"a", None, None, b"b", b"c", b"d"))
detected("no detection", "select * from d", ROW, kinds=0)
detected("names alone", 'select u, u as "y [upper]" from d', ROW, kinds=2)
detected("a returning", "insert into d(u) values ('q') returning u, u as \"x [upper]\"")


@behaves
def a_converter_that_cannot_be_called(side: Side) -> Any:
    side.module.register_converter("odd", None)
    connection = side.connect(detect_types=1)
    connection.execute("create table o(x odd)")
    connection.execute("insert into o values ('a')")
    return tried(lambda: connection.execute("select x from o").fetchall())


@behaves
def an_adapter_of_a_class_that_is_none(side: Side) -> Any:
    return tried(lambda: side.module.register_adapter(5, str))


@behaves
def an_object_conforms(side: Side) -> Any:
    class Point:
        def __conform__(self, protocol: object) -> str | None:
            return "1;2" if protocol is side.module.PrepareProtocol else None

    return side.connect().execute("select ?", (Point(),)).fetchall()


@behaves
def an_object_that_conforms_to_nothing(side: Side) -> Any:
    class Point:
        def __conform__(self, protocol: object) -> None:
            return None

    return tried(lambda: side.connect().execute("select ?", (Point(),)))


@behaves
def an_adapter_of_text(side: Side) -> Any:
    side.module.register_adapter(str, lambda text: text.upper())
    return side.connect().execute("select ?", ("a",)).fetchall()


@behaves
def an_adapter_of_none(side: Side) -> Any:
    side.module.register_adapter(type(None), lambda _: "nothing")
    return side.connect().execute("select ?", (None,)).fetchall()


@behaves
def a_subclass_has_no_adapter_of_its_base(side: Side) -> Any:
    class Base: ...

    class Derived(Base): ...

    side.module.register_adapter(Base, lambda _: "base")
    return tried(lambda: side.connect().execute("select ?", (Derived(),)).fetchall())


@behaves
def a_subclass_of_a_date(side: Side) -> Any:
    class Day(dt.date): ...

    return tried(
        lambda: side.connect().execute("select ?", (Day(2026, 1, 2),)).fetchall()
    )


@behaves
def a_row_of_a_subclass(side: Side) -> Any:
    base: Any = side.module.Row

    class Mine(base):  # type: ignore[misc]
        def first(self) -> Any:
            return self[0]

    connection = side.connect()
    connection.row_factory = Mine
    row = connection.execute("select 7 as x").fetchone()
    return row.first(), row["X"], isinstance(row, side.module.Row)


@behaves
def a_row_outlives_its_connection(side: Side) -> Any:
    connection = side.connect()
    connection.row_factory = side.module.Row
    row = connection.execute("select 7 as x, 'ä' as y").fetchone()
    connection.close()
    return row["x"], row.keys(), tuple(row), 7 in row, list(reversed(row))


@behaves
def a_row_compared_with_a_row_of_other_names(side: Side) -> Any:
    connection = side.connect()
    connection.row_factory = side.module.Row
    one = connection.execute("select 7 as x").fetchone()
    other = connection.execute("select 7 as y").fetchone()
    return (
        one == other,
        hash(one) == hash(other),
        one != other,
        tried(lambda: one < other),
    )


@behaves
def a_row_by_a_name_beyond_ascii(side: Side) -> Any:
    connection = side.connect()
    connection.row_factory = side.module.Row
    row = connection.execute('select 1 as "Ä"').fetchone()
    return row["Ä"], tried(lambda: row["ä"])


@behaves
def a_cursor_of_a_connection_of_another_class(side: Side) -> Any:
    connection = side.connect()

    base: Any = side.module.Cursor

    class Mine(base):  # type: ignore[misc]
        def execute(self, *given: Any) -> Any:
            super().execute(*given)
            return self

    cursor = connection.cursor(factory=Mine)
    return (
        type(cursor).__name__,
        cursor.execute("select 1").fetchall(),
        tried(lambda: connection.cursor(lambda _: 5)),
        tried(lambda: connection.cursor(None)),
    )


@behaves
def rows_of_a_query_in_a_transaction_after_a_rollback(side: Side) -> Any:
    connection = with_rows(side.connect(), 1, 2, 3)
    connection.execute(INSERT, (4,))
    cursor = connection.execute("select a from t order by id")
    first = cursor.fetchone()
    connection.rollback()
    return first, connection.execute("select count(*) from t").fetchone()


@behaves
def a_full_text_search(side: Side) -> Any:
    connection = side.connect()
    connection.execute("create virtual table f using fts5(text)")
    connection.executemany(
        "insert into f values (?)", [("hello world",), ("good bye",)]
    )
    found = connection.execute(
        "select rowid, text from f where f match 'world'"
    ).fetchall()
    gone = connection.execute("delete from f where f match 'bye'").rowcount
    connection.commit()
    return (
        found,
        gone,
        connection.execute(
            "select snippet(f, 0, '<', '>', '', 5) from f('hello')"
        ).fetchall(),
    )


@behaves
def what_fails_in_a_transaction_keeps_the_rows_before(side: Side) -> Any:
    connection = side.connect()
    connection.execute("insert into t(id) values (2)")
    failed = tried(
        lambda: connection.execute("insert or fail into t(id) values (1), (2), (3)")
    )
    connection.commit()
    return failed, connection.execute("select id from t").fetchall()


@behaves
def changes_within_a_transaction(side: Side) -> Any:
    connection = side.connect()
    connection.execute("insert into t(a) values (1), (2)")
    return connection.execute("select changes()").fetchall()


@behaves
def a_table_is_dropped_while_it_was_read(side: Side) -> Any:
    connection = with_rows(side.connect(isolation_level=None), 1, 2, 3)
    cursor = connection.execute("select a from t order by id")
    rows = cursor.fetchall()
    connection.execute("drop table t")
    return rows, tried(lambda: connection.execute("select a from t").fetchall())


@behaves
def a_schema_that_another_connection_changed(side: Side) -> Any:
    one, other = side.connect(isolation_level=None), side.connect(isolation_level=None)
    before = one.execute("select * from t").description
    other.execute("alter table t add column more default 5")
    one.execute(INSERT, (1,))
    cursor = one.execute("select * from t")
    return before, cursor.fetchall(), cursor.description


@behaves
def a_context_whose_commit_fails_takes_back(side: Side) -> Any:
    connection = side.connect()
    connection.execute(
        "create table u(x references t(id) deferrable initially deferred)"
    )
    connection.commit()

    def fail() -> None:
        with connection:
            connection.execute("insert into u values (99)")

    return (
        tried(fail),
        connection.in_transaction,
        connection.execute("select count(*) from u").fetchone(),
    )


@behaves
def a_context_in_a_context(side: Side) -> Any:
    connection = side.connect()
    with connection:
        connection.execute(INSERT, (1,))
        with connection:
            connection.execute(INSERT, (2,))
        inner = connection.in_transaction
        connection.execute(INSERT, (3,))
        connection.rollback()
    return inner, connection.execute("select a from t").fetchall()


@behaves
def a_keyboard_interrupt_takes_back(side: Side) -> Any:
    connection = side.connect()

    def interrupted() -> None:
        with connection:
            connection.execute(INSERT, (1,))
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        interrupted()
    count = connection.execute("select count(*) from t").fetchone()
    return connection.in_transaction, count


@behaves
def a_connection_is_closed_within_its_context(side: Side) -> Any:
    connection = side.connect()

    def close() -> None:
        with connection:
            connection.execute(INSERT, (1,))
            connection.close()

    return tried(close), side.connect().execute("select count(*) from t").fetchone()


@behaves
def a_connection_is_closed_while_rows_are_read(side: Side) -> Any:
    connection = side.connect()
    cursor = connection.execute(THREE)
    first = next(cursor)
    connection.close()
    return (
        first,
        tried(lambda: next(cursor)),
        tried(lambda: cursor.description),
        tried(lambda: cursor.rowcount),
        tried(lambda: cursor.lastrowid),
        cursor.connection is connection,
    )


@behaves
def another_thread_may_interrupt(side: Side) -> Any:
    connection = side.connect()
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(tried(connection.interrupt)))
    thread.start()
    thread.join()
    return told


@behaves
def another_thread_sees_no_attribute_of_a_transaction(side: Side) -> Any:
    connection = side.connect()
    told: list[Any] = []

    def look() -> None:
        told.extend(
            tried(call)
            for call in (
                lambda: connection.in_transaction,
                lambda: connection.total_changes,
                lambda: connection.isolation_level,
                lambda: connection.row_factory,
                lambda: setattr(connection, "isolation_level", None),
                lambda: connection.executescript("select 1"),
                lambda: connection.executemany(INSERT, []),
                lambda: list(connection.iterdump()),
                lambda: connection.__enter__() is connection,
                lambda: connection.__exit__(None, None, None),
                lambda: connection("select 1") and None,
            )
        )

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return told


@behaves
def another_threads_cursor_closes_where_that_is_allowed(side: Side) -> Any:
    connection = side.connect(check_same_thread=False)
    cursor = connection.execute(THREE)
    told: list[Any] = []
    thread = threading.Thread(
        target=lambda: told.extend(
            [cursor.fetchone(), cursor.close(), connection.close()]
        )
    )
    thread.start()
    thread.join()
    return told


def message_of(call: Callable[[Any], Any]) -> Behaviour:
    def look(side: Side) -> Any:
        try:
            return call(side.connect())
        except Exception as error:  # noqa: BLE001 - its text is what is compared
            return kind_of(error), str(error)

    return look


MESSAGES: Final[dict[str, Callable[[Any], Any]]] = {
    "too few parameters": lambda c: c.execute("select ?, ?", (1,)),
    "no such table": lambda c: c.execute("select * from nobody"),
    "no such column": lambda c: c.execute("select nobody from t"),
    "a syntax error": lambda c: c.execute("select from where"),
    "incomplete": lambda c: c.execute("select 'a"),
    "unique": lambda c: c.executescript("insert into t(id) values (1); insert into t(id) values (1);"),
    "a raised message": lambda c: c.executescript("create trigger r before insert on t begin select raise(abort, 'my words'); end; insert into t(a) values (1);"),
    "two statements": lambda c: c.execute("select 1; select 2"),
    "no text": lambda c: c.execute(5),
    "a closed connection": lambda c: (c.close(), c.execute("select 1")),
    "a closed cursor": lambda c: (k := c.cursor(), k.close(), k.execute("select 1")),
    "savepoint": lambda c: c.execute("release nobody"),
    "commit of nothing": lambda c: c.execute("commit"),
    "rollback of nothing": lambda c: c.execute("rollback"),
    "begin twice": lambda c: (c.execute("begin"), c.execute("begin")),
    "a table that exists": lambda c: c.execute("create table t(x)"),
    "a readonly pragma table": lambda c: c.execute("insert into pragma_table_info values (1)"),
    "sqlite_schema": lambda c: c.execute("delete from sqlite_schema"),
    "a column twice": lambda c: c.execute("create table u(x, x)"),
    "check with a name": lambda c: c.executescript("create table u(x constraint positive check (x > 0)); insert into u values (-1);"),
    "strict": lambda c: c.executescript("create table u(x integer) strict; insert into u values ('x');"),
    "values for a table": lambda c: c.execute("insert into t values (1)"),
    "a missing name": lambda c: c.execute("select :a", {}),
    "a factory of cursors": lambda c: c.cursor(lambda _: 5),
    "an index of a row": lambda c: c.execute("select 1").fetchone()[3],
    "executemany of a query": lambda c: c.executemany("select 1", [()]),
    "a vacuum within": lambda c: (c.execute("begin"), c.execute("vacuum")),
    "a function that is not there": lambda c: c.execute("select nobody()"),
    "a collation that is not there": lambda c: c.execute("select 'a' = 'b' collate nobody"),
    "a module that is not there": lambda c: c.execute("create virtual table v using nobody"),
    "an ambiguous column": lambda c: c.execute("select a from t x, t y"),
    "an aggregate where none may be": lambda c: c.execute("select a from t where count(*) > 1"),
    "a generated column": lambda c: c.executescript("create table g(x, y as (x)); insert into g(y) values (1);"),
    "a view": lambda c: c.executescript("create view v as select 1 x; insert into v values (1);"),
    "json": lambda c: c.execute("select json('{')").fetchall(),
}  # fmt: skip
for _claim, _call in MESSAGES.items():
    CORNERS[f"message: {_claim}"] = message_of(_call)
