"""What sqlite3 does, as calls whose outcome can be compared: a value or an error."""

# ruff: noqa: DTZ001 - tables of one line a behaviour

import datetime as dt
import math
from collections import OrderedDict, UserString
from collections.abc import Callable
from typing import Any, Final


class Side:
    """One of two libraries, and a place to connect to."""

    def __init__(self, module: Any, connect: Callable[..., Any]) -> None:
        self.module = module
        self.connect = connect


Behaviour = Callable[[Side], Any]

SCHEMA: Final = """
create table counted(id integer primary key autoincrement);
drop table counted;
create table t(id integer primary key, a, b text);
"""
"""The first two leave `sqlite_sequence`, which nothing takes away again: whatever ran
in a database before, both sides have it."""

QUERIES: Final[dict[str, tuple[str, Any]]] = {
    "no parameters": ("select 1", ()),
    "an int": ("select ?, typeof(?1)", (7,)),
    "the largest int": ("select ?", (2**63 - 1,)),
    "the smallest int": ("select ?", (-(2**63),)),
    "an int that is too large": ("select ?", (2**63,)),
    "an int that is too small": ("select ?", (-(2**63) - 1,)),
    "a huge int": ("select ?", (1 << 100,)),
    "a float": ("select ?, typeof(?1)", (1.5,)),
    "a float without a fraction": ("select ?, typeof(?1)", (2.0,)),
    "infinity": ("select ?", (math.inf,)),
    "minus infinity": ("select ?", (-math.inf,)),
    "minus nought": ("select ?", (-0.0,)),
    "a NaN is NULL": ("select ?, typeof(?1)", (math.nan,)),
    "None": ("select ?, typeof(?1)", (None,)),
    "text": ("select ?, typeof(?1)", ("text",)),
    "text beyond ASCII": ("select ?, length(?1)", ("äö€😀",)),
    "empty text": ("select ?, typeof(?1)", ("",)),
    "text with a NUL": ("select ?", ("a\0b",)),
    "a lone surrogate": ("select ?", ("\ud800",)),
    "bytes": ("select ?, typeof(?1)", (b"\x00\xff",)),
    "empty bytes": ("select ?, typeof(?1)", (b"",)),
    "a bytearray": ("select ?, typeof(?1)", (bytearray(b"ab"),)),
    "a memoryview": ("select ?", (memoryview(b"abc"),)),
    "a memoryview with steps": ("select ?", (memoryview(b"abcd")[::2],)),
    "True": ("select ?, typeof(?1)", (True,)),
    "False": ("select ?", (False,)),
    "a date": ("select ?", (dt.date(2026, 2, 3),)),
    "a date and time": ("select ?", (dt.datetime(2026, 2, 3, 4, 5, 6, 7),)),
    "a time": ("select ?", (dt.time(4, 5),)),
    "an object": ("select ?", (object(),)),
    "a list as a value": ("select ?", ([1],)),
    "a complex number": ("select ?", (1j,)),
    "a str of another class": ("select ?", (UserString("x"),)),
    "a list of parameters": ("select ?, ?", [1, 2]),
    "a range of parameters": ("select ?, ?", range(2)),
    "a str of parameters": ("select ?, ?", "ab"),
    "bytes of parameters": ("select ?, ?", b"ab"),
    "too few": ("select ?, ?", (1,)),
    "too many": ("select ?", (1, 2)),
    "parameters for none": ("select 1", (1,)),
    "numbered": ("select ?2, ?1", (1, 2)),
    "numbered with a gap": ("select ?3", (1, 2, 3)),
    "numbered with a gap, too few": ("select ?3", (1,)),
    "numbered after plain": ("select ?, ?1, ?", (1, 2)),
    "a number that is too large": ("select ?999999", (1,)),
    "a number beyond the parameters": ("select ?9999", (1,)),
    "number nought": ("select ?0", (1,)),
    "named": ("select :a, :b", {"a": 1, "b": 2}),
    "named by @": ("select @a", {"a": 1}),
    "named by $": ("select $a", {"a": 1}),
    "one name thrice": ("select :a, :a, @a", {"a": 1}),
    "names that are too many": ("select :a", {"a": 1, "b": 2}),
    "a name that is missing": ("select :a, :b", {"a": 1}),
    "names for places": ("select ?", {"a": 1}),
    "numbers as names": ("select ?1", {"1": 5}),
    "names and places": ("select :a, ?", {"a": 1}),
    "an ordered dict": ("select :a", OrderedDict(a=1)),
    "a dict with default": ("select :a", type("D", (dict,), {"__missing__": len})()),
    "a name beyond ASCII": ("select :ä", {"ä": 1}),
    "an int for parameters": ("select ?", 5),
    "None for parameters": ("select ?", None),
    "a set for parameters": ("select ?", {1}),
    "an iterator for parameters": ("select ?", iter([1])),
    "a sign in a literal": ("select '?', ':a', \"?\"", ()),
    "a sign in a comment": ("select 1 /* ? */ -- :a", ()),
    "an empty text": ("", ()),
    "a blank text": (" \n\t", ()),
    "a comment alone": ("-- nothing", ()),
    "a semicolon": (";", ()),
    "a semicolon behind": ("select 1;", ()),
    "a comment behind": ("select 1; -- done", ()),
    "two statements": ("select 1; select 2", ()),
    "a statement and rubbish": ("select 1; rubbish", ()),
    "a NUL in the text": ("select 1\0", ()),
    "a surrogate in the text": ("select '\ud800'", ()),
    "a text that is None": (None, ()),  # type: ignore[dict-item]
    "a text of bytes": (b"select 1", ()),  # type: ignore[dict-item]
    "a syntax error": ("selec 1", ()),
    "a text that ends early": ("select", ()),
    "a text that is left open": ("select 'a", ()),
    "no such table": ("select * from nobody", ()),
    "no such column": ("select nobody from t", ()),
    "no such function": ("select nobody(1)", ()),
    "wrong number of arguments": ("select abs(1, 2)", ()),
    "integer overflow": ("select abs(-9223372036854775808)", ()),
    "a blob that is too big": ("select zeroblob(2000000000)", ()),
    "malformed JSON": ("select json('{')", ()),
    "rows in order": ("select value from json_each('[3,1,2]')", ()),
    "values": ("values (1, 'a'), (2, 'b')", ()),
    "a recursive query": (
        "with recursive n(i) as (select 1 union all select i+1 from n where i<5) "
        "select i from n",
        (),
    ),
    "no rows": ("select a from t", ()),
    "explain": ("explain query plan select 1", ()),
    "a pragma that tells": ("pragma table_info(t)", ()),
    "text that is not UTF-8": ("select cast(x'ff' as text)", ()),
    "a function of dates": ("select date('2026-02-03', '+1 day')", ()),
    "like": ("select 'ABC' like 'a%'", ()),
    "a blob's text": ("select cast(x'6162' as text)", ()),
    "round trip of 2**53+1": ("select ? + 0", (2**53 + 1,)),
}
"""Statements on a table `t` that is empty, with their parameters."""

STATEMENTS: Final[dict[str, tuple[str, ...]]] = {
    "insert": ("insert into t(a) values (1)",),
    "insert with an id": ("insert into t(id) values (7)",),
    "insert twice": ("insert into t(a) values (1)", "insert into t(a) values (2)"),
    "insert or ignore": (
        "insert into t(id) values (7)",
        "insert or ignore into t(id) values (7)",
    ),
    "insert many values": ("insert into t(a) values (1), (2), (3)",),
    "insert from a query": ("insert into t(a) select value from json_each('[1,2]')",),
    "insert default values": ("insert into t default values",),
    "insert into nobody": ("insert into nobody values (1)",),
    "insert too many values": ("insert into t values (1)",),
    "insert a text as a rowid": ("insert into t(id) values ('x')",),
    "replace": ("insert into t(id) values (7)", "replace into t(id) values (7)"),
    "upsert": (
        "insert into t(id, a) values (7, 1)",
        "insert into t(id, a) values (7, 1) on conflict do update set a = a + 1",
    ),
    "update": ("insert into t(a) values (1), (2)", "update t set a = 3"),
    "update of none": ("update t set a = 3",),
    "update of some": (
        "insert into t(a) values (1), (2)",
        "update t set a=3 where a=1",
    ),
    "delete": ("insert into t(a) values (1), (2)", "delete from t where a = 1"),
    "delete all": ("insert into t(a) values (1), (2)", "delete from t"),
    "with and insert": ("with x(v) as (values (5)) insert into t(a) select v from x",),
    "a comment before": ("/* why */ insert into t(a) values (1)",),
    "unique": ("insert into t(id) values (7)", "insert into t(id) values (7)"),
    "create and drop": ("create table u(x)", "drop table u"),
    "create what exists": ("create table t(x)",),
    "create if not exists": ("create table if not exists t(x)",),
    "create an index": ("create index i on t(a)",),
    "a view": ("create view v as select 1 as x", "select * from v"),
    "alter": ("alter table t add column c", "select * from t"),
    "drop nobody": ("drop table nobody",),
    "not null": ("create table u(x not null)", "insert into u values (null)"),
    "check": ("create table u(x check (x > 0))", "insert into u values (0)"),
    "strict": ("create table u(x integer) strict", "insert into u values ('x')"),
    "foreign key": (
        "create table u(x references t(id))",
        "insert into u values (99)",
    ),
    "select from a change": ("insert into t(a) values (1)", "select a from t"),
    "begin": ("begin",),
    "begin immediate": ("begin immediate",),
    "begin exclusive": ("begin exclusive transaction",),
    "begin twice": ("begin", "begin"),
    "begin and commit": ("begin", "insert into t(a) values (1)", "commit"),
    "begin and end": ("begin", "insert into t(a) values (1)", "end transaction"),
    "begin and roll back": ("begin", "insert into t(a) values (1)", "rollback"),
    "commit of nothing": ("commit",),
    "roll back of nothing": ("rollback",),
    "savepoint": ("savepoint s",),
    "savepoint and release": ("savepoint s", "release s"),
    "a savepoint of a transaction": ("begin", "savepoint s", "release s"),
    "savepoint and roll back": (
        "savepoint s",
        "insert into t(a) values (1)",
        "rollback to s",
    ),
    "nested savepoints": (
        "savepoint s",
        "insert into t(a) values (1)",
        "savepoint s",
        "insert into t(a) values (2)",
        "rollback to s",
        "release s",
        "release s",
    ),
    "release of nobody": ("release s",),
    "roll back to nobody": ("rollback to s",),
    "savepoints match in any case": ("savepoint S", 'release "s"'),
    "insert or roll back": (
        "begin",
        "insert into t(id) values (7)",
        "insert or rollback into t(id) values (7)",
    ),
    "a pragma that tells nothing": ("pragma user_version",),
    "a pragma that is set": ("pragma user_version = 7", "pragma user_version"),
    "analyze": ("analyze",),
    "vacuum": ("vacuum",),
    "vacuum in a transaction": ("begin", "vacuum"),
}
"""Statements one after another, without parameters, on an empty table `t`."""


def after(side: Side, texts: tuple[str, ...], **options: Any) -> list[Any]:
    """What can be told after each statement; the last one may be an error's class."""
    connection = side.connect(**options)
    told: list[Any] = []
    for sql in texts:
        try:
            cursor = connection.execute(sql)
            rows = cursor.fetchall()
        except Exception as error:  # noqa: BLE001 - its class is what is compared
            told.append((kind_of(error), connection.in_transaction))
            continue
        names = [column[0] for column in cursor.description or ()]
        told.append(
            (
                rows,
                names,
                cursor.rowcount,
                cursor.lastrowid,
                connection.in_transaction,
                connection.total_changes,
            )
        )
    return told


def kind_of(error: BaseException) -> str:
    """The class by which a program catches it: that of PEP 249 where it has one."""
    for kind in type(error).__mro__:
        if f"{kind.__module__}.{kind.__name__}" in _NAMES:
            return kind.__name__
    return type(error).__name__


_NAMES: Final = {
    f"{module}.{name}"
    for module in ("sqlite3", "nexus.client.exceptions")
    for name in (
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
    )
}
