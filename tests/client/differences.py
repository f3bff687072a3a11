"""Where a connection deliberately does not do what one of sqlite3 does."""

import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from client.behaviours import Behaviour, Side
from client.calls import INSERT, tried

DIFFERENCES: Final[dict[str, tuple[Behaviour, Any, Any]]] = {}
"""Behaviours by what differs, with the outcomes of sqlite3 and of Nexus."""


def differs(name: str, theirs: Any, ours: Any) -> Callable[[Behaviour], Behaviour]:
    """Note a function under the words of the documentation."""

    def note(behaviour: Behaviour) -> Behaviour:
        DIFFERENCES[name] = (behaviour, theirs, ours)
        return behaviour

    return note


VARIES: Final[dict[str, tuple[Behaviour, tuple[Any, ...], Any]]] = {}
"""Behaviours by what differs from one release of Python to the next, with all outcomes
that releases of sqlite3 have, and the one of Nexus, which is the same in all."""

ANNOUNCED: Final = {
    "the default adapters and converters": (
        "The default (date|datetime|timestamp) (adapter|converter) is deprecated"
    ),
    "a sequence for named parameters": (
        r"Binding \d+ \('.*'\) is a named parameter, but you supplied a sequence"
    ),
    "a connection that is left unclosed": "unclosed database in <",
}
"""What sqlite3 warns of from Python 3.12 or 3.13 on, and goes on doing, by the words of
the documentation: the start of each warning. Any other one fails its test."""


def held(connection: Any) -> list[Any]:
    """The rows of `t`."""
    rows: list[Any] = connection.execute("select a from t order by id").fetchall()
    return rows


@differs("unknown `PRAGMA`", [], "NotSupportedError")
def _(side: Side) -> Any:
    return tried(lambda: side.connect().execute("pragma nobody").fetchall())


@differs("`PRAGMA` that makes nodes differ", [], "NotSupportedError")
def _(side: Side) -> Any:
    connection = side.connect()
    return tried(
        lambda: connection.execute("pragma case_sensitive_like = on").fetchall()
    )


@differs("temporary tables", [], "NotSupportedError")
def _(side: Side) -> Any:
    connection = side.connect()
    return tried(lambda: connection.execute("create temp table u(x)").fetchall())


@differs("`ATTACH`", [], "NotSupportedError")
def _(side: Side) -> Any:
    connection = side.connect()
    return tried(lambda: connection.execute("attach ':memory:' as m").fetchall())


@differs("`total_changes`, triggers and cascades", 2, 1)
def _(side: Side) -> Any:
    connection = side.connect()
    connection.execute(
        "create trigger r after insert on t begin update t set b = 1; end"
    )
    connection.execute(INSERT, (1,))
    return connection.total_changes


@differs("`rowcount` of `RETURNING`", (0, 1), (1, 1))
def _(side: Side) -> Any:
    cursor = side.connect().execute("insert into t(a) values (1) returning a")
    before = cursor.rowcount
    cursor.fetchall()
    return before, cursor.rowcount


@differs("`executemany` that fails", ("IntegrityError", [(1,)]), ("IntegrityError", []))
def _(side: Side) -> Any:
    connection = side.connect()
    many = [(1, 1), (1, 2)]
    insert = "insert into t(id, a) values (?, ?)"
    return tried(lambda: connection.executemany(insert, many)), held(connection)


@differs(
    "`executescript` that fails", ("OperationalError", [(1,)]), ("OperationalError", [])
)
def _(side: Side) -> Any:
    connection = side.connect()
    script = "insert into t(a) values (1); insert into nobody values (1);"
    return tried(lambda: connection.executescript(script)), held(connection)


@differs("`commit` that fails", ("IntegrityError", True), ("IntegrityError", False))
def _(side: Side) -> Any:
    connection = side.connect()
    connection.execute(
        "create table u(x references t(id) deferrable initially deferred)"
    )
    connection.execute("insert into u values (99)")
    failed = tried(connection.commit)
    open_still = connection.in_transaction
    connection.rollback()
    return failed, open_still


@differs(
    "`last_insert_rowid()` and `changes()` outside a transaction", [(7, 1)], [(0, 0)]
)
def _(side: Side) -> Any:
    connection = side.connect()
    connection.execute("insert into t(id) values (7)")
    connection.commit()
    return connection.execute("select last_insert_rowid(), changes()").fetchall()


@differs(
    "`OR FAIL` and `RAISE(FAIL)` outside a transaction",
    ("IntegrityError", [(None,), (None,)]),
    ("IntegrityError", [(None,)]),
)
def _(side: Side) -> Any:
    connection = side.connect(isolation_level=None)
    connection.execute("insert into t(id) values (2)")
    insert = "insert or fail into t(id) values (1), (2), (3)"
    return tried(lambda: connection.execute(insert)), held(connection)


@differs("rows not yet fetched, and later changes", [(2,), (3,)], [(2,)])
def _(side: Side) -> Any:
    connection = side.connect()
    connection.executemany(INSERT, [(1,), (2,)])
    connection.commit()
    cursor = connection.execute("select a from t order by id")
    cursor.fetchone()
    connection.execute(INSERT, (3,))
    rows = cursor.fetchall()
    connection.rollback()
    return rows


@differs("`text_factory` set between fetches", [(b"b",)], [("b",)])
def _(side: Side) -> Any:
    connection = side.connect()
    cursor = connection.execute("values ('a'), ('b')")
    cursor.fetchone()
    connection.text_factory = bytes
    return cursor.fetchall()


@differs("parameters in a mapping that is no `dict`", "ProgrammingError", [(1,)])
def _(side: Side) -> Any:
    connection = side.connect()
    named = MappingProxyType({"a": 1})
    return tried(lambda: connection.execute("select :a", named).fetchall())


@differs("`Row` and `pickle`", "TypeError", (7,))
def _(side: Side) -> Any:
    connection = side.connect()
    connection.row_factory = side.module.Row
    row = connection.execute("select 7").fetchone()
    return tried(lambda: tuple(pickle.loads(pickle.dumps(row))))


@differs(
    "`text_factory = bytes` and text that is not UTF-8",
    [(b"\xff",)],
    "OperationalError",
)
def _(side: Side) -> Any:
    connection = side.connect()
    connection.text_factory = bytes
    return tried(lambda: connection.execute("select cast(x'ff' as text)").fetchall())


@differs("SQL functions in Python", None, "NotSupportedError")
def _(side: Side) -> Any:
    return tried(lambda: side.connect().create_function("f", 1, abs))


@differs("`blobopen`, `backup`, `serialize`", b"", "NotSupportedError")
def _(side: Side) -> Any:
    return tried(lambda: side.connect().serialize()[:0])


@differs("`threadsafety`", 3, 1)
def _(side: Side) -> Any:
    return side.module.threadsafety


def rows_of_many(side: Side) -> Any:
    insert = "insert into t(a) values (?) returning a"
    return tried(lambda: side.connect().executemany(insert, [(1,), (2,)]).fetchall())


VARIES["rows of `executemany`"] = (rows_of_many, ([], "InterfaceError"), [])
