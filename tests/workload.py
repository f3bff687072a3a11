"""Random schemas and transactions from a seed, for a master and its replica.

A `Workload` looks at the schema as it stands and makes the next statement for it, so
that most statements succeed, and those that do not leave the transaction as SQLite
leaves it. Values that only SQLite knows (`random()`) go where they steer nothing: a
seed gives the same run again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw

from nexus.model.statements import quote
from nexus.storage.capturing.results import Statement
from workload_schemas import (
    TABLES,
    alter,
    create_index,
    create_table,
    create_trigger,
    create_virtual,
)

WORDS = ("alpha", "beta", "gamma", "delta", "ümlaut", "zebra", "alpha beta")
VALUES: tuple[Any, ...] = (
    None,
    0,
    1,
    -1,
    7,
    127,
    2**31,
    2**63 - 1,
    -(2**63),
    0.0,
    -0.0,
    1.0,
    1.5,
    1e300,
    float("inf"),
    "",
    "A",
    "a",
    "1",
    "1.0",
    "é",
    "nul\0inside",
    "\U0001f40d",
    "x" * 5000,
    b"",
    b"\0\1\xff",
    b"y" * 5000,
)
INSERTS = (
    *("insert",) * 8,
    *("insert or replace", "insert or ignore", "replace") * 4,
    *("insert or fail", "insert or abort", "insert or rollback"),
)
UPDATES = (
    *("update",) * 12,
    *("update or ignore",) * 5,
    *("update or replace", "update or fail", "update or abort", "update or rollback"),
)
CHANGE_SCHEMA = (
    "_create_table",
    "_create_as",
    "_create_virtual",
    "_create_trigger",
    "_create_index",
    "_create_view",
    "_alter",
    "_drop",
)
REBUILDS = 0.04
"""Of all transactions: they make a table anew."""
MOST_ROWS = 60
"""A table is emptied from here on: the run shall stay quick."""


@dataclass(frozen=True)
class Shape:
    """A table as it stands: what a statement must know of it."""

    name: str
    columns: tuple[tuple[str, str], ...]
    """Names and declared types of those that can be written."""
    key: tuple[str, ...]
    virtual: bool

    @property
    def quoted(self) -> str:
        return quote(self.name)


class Workload:
    """Makes statements; the same seed makes the same ones."""

    def __init__(self, seed: int, connection: apsw.Connection) -> None:
        self.chance = random.Random(seed)
        self.schema_stays = False
        """Whether only rows, counters and settings change for now."""
        self._connection = connection
        self._savepoints: list[str] = []
        self._ahead: list[Statement] = []
        """What comes next, whatever else might."""
        self._makers: list[tuple[int, Callable[[], Statement | None]]] = [
            (40, self._insert),
            (22, self._update),
            (12, self._delete),
            (6, self._move_keys),
            (5, self._swap),
            (5, self._respell),
            (8, self._savepoint),
            (5, self._create_table),
            (2, self._create_as),
            (1, self._multiply),
            (3, self._create_virtual),
            (5, self._command_virtual),
            (3, self._create_trigger),
            (2, self._create_index),
            (2, self._create_view),
            (4, self._alter),
            (2, self._drop),
            (2, self._setting),
            (2, self._counter),
            (1, self._local),
        ]

    def begin(self) -> int:
        """A new transaction; how many statements it shall have."""
        self._savepoints, self._ahead = [], []
        if not self.schema_stays and self.chance.random() < REBUILDS:
            self._ahead = self._rebuild()
        return len(self._ahead) or self.chance.choice((1, 1, 1, 2, 3, 5, 12))

    def next(self) -> Statement:
        """The next statement for the schema as it is now."""
        if self._ahead:
            return self._ahead.pop(0)
        weights = [
            0 if self.schema_stays and make.__name__ in CHANGE_SCHEMA else weight
            for weight, make in self._makers
        ]
        while True:
            ((_, make),) = self.chance.choices(self._makers, weights)
            statement = make()
            if statement is not None:
                return statement

    # What stands

    def _shapes(self, *, virtual: bool | None = False) -> list[Shape]:
        rows = self._connection.execute(
            "select name, type from pragma_table_list where schema = 'main' "
            "and type in ('table', 'virtual') and name not like 'sqlite%' "
            "and name not like 'nexus%' order by name"
        ).fetchall()
        shapes = [self._shape(str(name), kind == "virtual") for name, kind in rows]
        return [
            shape for shape in shapes if virtual is None or shape.virtual == virtual
        ]

    def _shape(self, name: str, virtual: bool) -> Shape:  # noqa: FBT001
        rows = self._connection.execute(
            "select name, type, pk, hidden from pragma_table_xinfo(?)", (name,)
        ).fetchall()
        return Shape(
            name,
            tuple((str(row[0]), str(row[1])) for row in rows if row[3] == 0),
            tuple(str(row[0]) for row in rows if row[2]),
            virtual,
        )

    def _any_shape(self) -> Shape | None:
        shapes = self._shapes()
        return self.chance.choice(shapes) if shapes else None

    def _value(self, kind: str = "") -> Any:
        kind = kind.lower()
        if self.chance.random() < 0.2:
            return self.chance.choice(VALUES)
        if "int" in kind:
            return self.chance.randrange(-5, 40)
        if kind in ("real", "numeric"):
            return self.chance.choice((0.5, 2.25, self.chance.random() * 100, 3))
        if kind == "blob":
            return self.chance.randbytes(self.chance.randrange(6))
        if "char" in kind or kind == "text":
            return self.chance.choice(WORDS) + str(self.chance.randrange(20))
        return self.chance.choice((3, 3.0, "3", "three", b"3"))

    def _key_value(self, kind: str) -> Any:
        if self.chance.random() < 0.02:
            return None
        if "int" in kind.lower():
            return self.chance.randrange(1, 30)
        return self._value(kind)

    # Rows

    def _insert(self) -> Statement | None:
        shapes = self._shapes(virtual=None)
        if not shapes:
            return self._create_table()
        shape = self.chance.choice(shapes)
        if shape.virtual:
            return self._insert_virtual(shape)
        columns = [
            column
            for column in shape.columns
            if column[0] in shape.key or self.chance.random() < 0.85
        ]
        if shape.key and self.chance.random() < 0.3 and len(columns) > 1:
            columns = [column for column in columns if column[0] != shape.key[0]]
        names = ", ".join(quote(name) for name, _ in columns)
        rows = self.chance.choice((1, 1, 1, 2, 5))
        values = [self._row(shape, columns) for _ in range(rows)]
        places = ", ".join("?" * len(columns))
        verb = self.chance.choice(INSERTS)
        tail = self._upsert(columns) if verb == "insert" else ""
        if self.chance.random() < 0.1:
            tail += " returning *"
        if self.chance.random() < 0.1:
            sql = f"{verb} into {shape.quoted}({names}) values ({places}){tail}"
            return Statement(sql, many=tuple(map(tuple, values)))
        sql = (
            f"{verb} into {shape.quoted}({names}) values "
            f"{', '.join(f'({places})' for _ in values)}{tail}"
        )
        return Statement(sql, tuple(value for row in values for value in row))

    def _row(self, shape: Shape, columns: list[tuple[str, str]]) -> list[Any]:
        return [
            self._key_value(kind) if name in shape.key else self._value(kind)
            for name, kind in columns
        ]

    def _upsert(self, columns: list[tuple[str, str]]) -> str:
        if not columns or self.chance.random() > 0.4:
            return ""
        name, _ = self.chance.choice(columns)
        if self.chance.random() < 0.3:
            return " on conflict do nothing"
        return f" on conflict do update set {quote(name)} = excluded.{quote(name)}"

    def _where(self, shape: Shape) -> tuple[str, tuple[Any, ...]]:
        if self.chance.random() < 0.15 or not shape.columns:
            return "", ()
        name, kind = self.chance.choice(shape.columns)
        if self.chance.random() < 0.3:
            return f" where {quote(name)} is not null", ()
        operator = self.chance.choice(("=", "<", ">=", "is not"))
        return f" where {quote(name)} {operator} ?", (self._key_value(kind),)

    def _update(self) -> Statement | None:
        shapes = self._shapes(virtual=None)
        if not shapes:
            return None
        shape = self.chance.choice(shapes)
        name, kind = self.chance.choice(shape.columns)
        where, params = self._where(shape)
        verb = self.chance.choice(UPDATES)
        tail = " returning *" if self.chance.random() < 0.1 else ""
        return Statement(
            f"{verb} {shape.quoted} set {quote(name)} = ?{where}{tail}",
            (self._value(kind), *params),
        )

    def _delete(self) -> Statement | None:
        shapes = self._shapes(virtual=None)
        if not shapes:
            return None
        shape = self.chance.choice(shapes)
        if not shape.virtual and self._count(shape) > MOST_ROWS:
            return Statement(f"delete from {shape.quoted}")
        where, params = self._where(shape)
        return Statement(f"delete from {shape.quoted}{where}", params)

    def _count(self, shape: Shape) -> int:
        rows = self._connection.execute(f"select count(*) from {shape.quoted}")
        return int(str(rows.fetchall()[0][0]))

    def _multiply(self) -> Statement | None:
        """Many rows, so that a session enlarges what it remembers."""
        shapes = self._shapes()
        if not shapes:
            return None
        shape = self.chance.choice(shapes)
        names = ", ".join(quote(name) for name, _ in shape.columns)
        return Statement(
            f"insert or ignore into {shape.quoted}({names}) select {names} from "
            f"{shape.quoted}, json_each('[{', '.join('0' * 40)}]') limit 300"
        )

    def _move_keys(self) -> Statement | None:
        shape = self._any_shape()
        if shape is None or not shape.key:
            return None
        key = quote(self.chance.choice(shape.key))
        step = self.chance.choice((1, -1, 50))
        return Statement(f"update {shape.quoted} set {key} = {key} + {step}")

    def _swap(self) -> Statement | None:
        """Two rows give each other their values, unique ones included."""
        shape = self._any_shape()
        if shape is None:
            return None
        name = quote(self.chance.choice(shape.columns)[0])
        one, other = self._value("int"), self._value("int")
        return Statement(
            f"update {shape.quoted} set {name} = case {name} when ? then ? else ? end "
            f"where {name} in (?, ?)",
            (one, other, one, one, other),
        )

    def _respell(self) -> Statement | None:
        """A key becomes one that compares equal, or nearly."""
        shape = self._any_shape()
        if shape is None or not shape.key:
            return None
        key = quote(self.chance.choice(shape.key))
        how = self.chance.choice(
            (f"upper({key})", f"lower({key})", f"cast({key} as real)", f"{key} || ''")
        )
        return Statement(f"update {shape.quoted} set {key} = {how}")

    def _savepoint(self) -> Statement | None:
        names = ("one", "two", '"Three 3"')
        if not self._savepoints or self.chance.random() < 0.4:
            name = self.chance.choice(names)
            self._savepoints.append(name)
            return Statement(f"savepoint {name}")
        at = self.chance.randrange(len(self._savepoints))
        name = self._savepoints[at]
        at = len(self._savepoints) - 1 - self._savepoints[::-1].index(name)
        if self.chance.random() < 0.6:
            del self._savepoints[at + 1 :]
            return Statement(f"rollback to {name}")
        del self._savepoints[at:]
        return Statement(f"release {name}")

    # Schema

    def _create_table(self) -> Statement:
        parents = [
            (shape.name, shape.key[0])
            for shape in self._shapes()
            if len(shape.key) == 1
        ]
        return Statement(create_table(self.chance, parents))

    def _create_as(self) -> Statement | None:
        shape = self._any_shape()
        if shape is None:
            return None
        name = quote(self.chance.choice(TABLES))
        return Statement(
            f"create table {name} as select *, hex(randomblob(4)) as later "
            f"from {shape.quoted}"
        )

    def _create_virtual(self) -> Statement:
        contents = [
            (shape.name, shape.key[0], shape.columns[-1][0])
            for shape in self._shapes()
            if len(shape.key) == 1 and len(shape.columns) > 1
        ]
        return Statement(create_virtual(self.chance, contents))

    def _insert_virtual(self, shape: Shape) -> Statement:
        names = [name for name, _ in shape.columns]
        if "x0" in names:
            low = float(self.chance.randrange(50))
            row: tuple[Any, ...] = (self.chance.randrange(1, 60), low, low + 3)
            row += (low, low + 1.5, "label")[: len(names) - 3]
            places = ", ".join("?" * len(row))
            return Statement(f"replace into {shape.quoted} values ({places})", row)
        text = " ".join(self.chance.choices(WORDS, k=self.chance.randrange(1, 9)))
        places = ", ".join("?" * len(names))
        listed = ", ".join(quote(name) for name in names)
        return Statement(
            f"insert into {shape.quoted}(rowid, {listed}) values (?, {places})",
            (self.chance.randrange(1, 200), *(text for _ in names)),
        )

    def _command_virtual(self) -> Statement | None:
        shapes = self._shapes(virtual=True)
        if not shapes:
            return None
        shape = self.chance.choice(shapes)
        command = self.chance.choice(
            ("optimize", "rebuild", "automerge=2", "pgsz=64", "merge=100,4")
        )
        name, _, value = command.partition("=")
        if name in ("automerge", "pgsz"):
            return Statement(
                f"insert into {shape.quoted}({shape.quoted}, rank) values (?, ?)",
                (name, int(value)),
            )
        return Statement(
            f"insert into {shape.quoted}({shape.quoted}) values (?)", (command,)
        )

    def _create_trigger(self) -> Statement | None:
        shape = self._any_shape()
        if shape is None:
            return None
        if all(other.name != "journal" for other in self._shapes()):
            return Statement(
                "create table journal("
                "id integer primary key autoincrement, what, value)"
            )
        others = [other.name for other in self._shapes()]
        columns = [name for name, _ in shape.columns]
        return Statement(create_trigger(self.chance, shape.name, columns, others))

    def _create_index(self) -> Statement | None:
        shape = self._any_shape()
        if shape is None:
            return None
        columns = [name for name, _ in shape.columns]
        return Statement(create_index(self.chance, shape.name, columns))

    def _create_view(self) -> Statement | None:
        shape = self._any_shape()
        if shape is None:
            return None
        name = f"view{self.chance.randrange(3)}"
        return Statement(f"create view {name} as select * from {shape.quoted}")

    def _alter(self) -> Statement | None:
        shape = self._any_shape()
        if shape is None:
            return None
        return Statement(
            alter(self.chance, shape.name, [name for name, _ in shape.columns])
        )

    def _rebuild(self) -> list[Statement]:
        """A table is made anew under its old name, its counter as it was."""
        shapes = self._shapes()
        if not shapes:
            return []
        shape = self.chance.choice(shapes)
        column = quote(self.chance.choice([name for name, _ in shape.columns]))
        some = self.chance.choice(("true", "false", f"typeof({column}) = 'text'"))
        return [
            Statement("create table anew(id integer primary key autoincrement, v)"),
            Statement(
                f"insert into anew(v) select {column} from {shape.quoted} where {some}"
            ),
            Statement(f"drop table {shape.quoted}"),
            Statement(f"alter table anew rename to {shape.quoted}"),
            *self._kept_counter(shape),
        ]

    def _kept_counter(self, shape: Shape) -> list[Statement]:
        known = "select 1 from sqlite_schema where name = 'sqlite_sequence'"
        if not self._connection.execute(known).fetchall():
            return []
        counters = self._connection.execute(
            "select seq from sqlite_sequence where name = ?", (shape.name,)
        )
        update = "update sqlite_sequence set seq = ? where name = ?"
        return [Statement(update, (value, shape.name)) for (value,) in counters]

    def _drop(self) -> Statement | None:
        rows = self._connection.execute(
            "select type, name from sqlite_schema where name not like 'sqlite%' "
            "and name not like 'nexus%' and name not glob 'v[0-9]_*' order by name"
        ).fetchall()
        if not rows:
            return None
        kind, name = self.chance.choice(rows)
        return Statement(f"drop {kind} {quote(str(name))}")

    # Beside the rows

    def _setting(self) -> Statement:
        name = self.chance.choice(("user_version", "application_id"))
        return Statement(f"pragma {name} = {self.chance.randrange(1000)}")

    def _counter(self) -> Statement | None:
        """Counters of AUTOINCREMENT, set by hand."""
        if all(shape.name != "journal" for shape in self._shapes()):
            return None
        return self.chance.choice(
            (
                Statement(
                    "update sqlite_sequence set seq = 1000 where name = ?", ("t1",)
                ),
                Statement("update sqlite_sequence set seq = seq + 10"),
                Statement("delete from sqlite_sequence where name = 'journal'"),
                Statement("update journal set id = id + 100 where id % 2"),
                Statement("insert into journal(what) values (hex(randomblob(3)))"),
            )
        )

    def _local(self) -> Statement:
        return Statement(
            self.chance.choice(("analyze", "reindex", "pragma defer_foreign_keys = 1"))
        )
