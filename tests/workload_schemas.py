"""Random schema statements for the workload: tables of every kind, and what hangs on
them."""

import random

from nexus.model.statements import quote

NAMES = ("a", "b", "c", 'd"q', "order", "é ü", "f", "oid", "G")
TYPES = ("integer", "int", "text", "real", "blob", "numeric", "", "varchar(9)", "any")
STRICT_TYPES = ("integer", "int", "text", "real", "blob", "any")
TABLES = (*(f"t{number}" for number in range(7)), "Big Table", 'q"uote', "select")
CLAUSES = (
    *("",) * 5,
    " on conflict replace",
    " on conflict ignore",
    " on conflict fail",
    " on conflict rollback",
)
DEFAULTS = ("", "", "", " default 5", " default 'five'", " default (1 + 1)")
COLLATIONS = ("", "", "", " collate nocase", " collate rtrim")
ACTIONS = ("", "on delete cascade", "on delete set null", "on update cascade")
DEFERRALS = ("", "deferrable initially deferred")


def create_table(chance: random.Random, parents: list[tuple[str, str]]) -> str:
    """A table of any kind; `parents` are (table, key column) to refer to."""
    name = quote(chance.choice(TABLES))
    strict = chance.random() < 0.2
    types = STRICT_TYPES if strict else TYPES
    names = chance.sample(NAMES, chance.randrange(2, 6))
    key, options, rest = _key(chance, names, strict=strict)
    columns = [key] if key else []
    columns += [_column(chance, column, chance.choice(types)) for column in rest]
    if chance.random() < 0.25:
        columns.append(_generated(chance, names))
    if not key and options == "composite":
        columns.append(f"primary key({', '.join(quote(part) for part in names[:2])})")
    if chance.random() < 0.2:
        parts = ", ".join(quote(part) for part in chance.sample(names, 2))
        columns.append(f"unique({parts}){chance.choice(CLAUSES)}")
    if parents and chance.random() < 0.35:
        parent, parent_key = chance.choice(parents)
        columns.append(
            f"foreign key({quote(names[-1])}) references {quote(parent)}"
            f"({quote(parent_key)}) {chance.choice(ACTIONS)} {chance.choice(DEFERRALS)}"
        )
    suffix = [word for word in (options,) if word == "without rowid"]
    suffix += ["strict"] if strict else []
    exists = "if not exists " if chance.random() < 0.2 else ""
    return f"create table {exists}{name}({', '.join(columns)}) {', '.join(suffix)}"


def _key(
    chance: random.Random, names: list[str], *, strict: bool
) -> tuple[str, str, list[str]]:
    """The key's column, an option of the table, and the columns left."""
    first, rest = quote(names[0]), names[1:]
    whole = {
        0: f"{first} integer primary key",
        1: f"{first} integer primary key",
        2: f"{first} integer primary key autoincrement",
        3: f"{first} integer primary key desc",
        4: "",
        5: "",
    }
    kind = chance.randrange(11)
    if kind in whole:
        option = "composite" if kind == 5 else ""
        return whole[kind], option, rest if whole[kind] else names
    declared = chance.choice(STRICT_TYPES[:-1] if strict else TYPES)
    collation = chance.choice(COLLATIONS) if declared in ("text", "") else ""
    if kind == 6:
        column = f"{first} {declared or 'text'} primary key{collation}"
        return column, "without rowid", rest
    refusal = "not null " if kind in (7, 8) else ""
    clause = chance.choice(CLAUSES) if kind == 9 else ""
    return f"{first} {declared} {refusal}primary key{clause}{collation}", "", rest


def _column(chance: random.Random, name: str, declared: str) -> str:
    column = f"{quote(name)} {declared}{chance.choice(DEFAULTS)}"
    if "default" in column and declared in ("real", "blob", "int", "integer"):
        column = f"{quote(name)} {declared}"  # STRICT would refuse a text
    if chance.random() < 0.1:
        column += f" not null{chance.choice(CLAUSES)} default ''"
        column = column.replace(" default 5", "").replace(" default 'five'", "")
    if chance.random() < 0.15:
        column += f" unique{chance.choice(CLAUSES)}"
    if chance.random() < 0.1:
        column += (
            f" check (typeof({quote(name)}) <> 'blob' or length({quote(name)}) < 9)"
        )
    return column + (chance.choice(COLLATIONS) if declared == "text" else "")


def _generated(chance: random.Random, names: list[str]) -> str:
    kind = chance.choice(("virtual", "stored"))
    source = quote(chance.choice(names))
    return f"made generated always as (typeof({source}) || 'x') {kind}"


def create_virtual(chance: random.Random, contents: list[tuple[str, str, str]]) -> str:
    """FTS5 of several kinds or an R-Tree; `contents` are (table, key, column)."""
    name = f"v{chance.randrange(4)}"
    kinds = [
        f"create virtual table {name} using fts5(x, y)",
        f"create virtual table {name} using fts5(x, y, prefix='2 3', detail=none)",
        f"create virtual table {name} using fts5(x, y unindexed, tokenize='porter')",
        f"create virtual table {name} using fts5(x, y, content='', "
        "contentless_delete=1)",
        f"create virtual table {name} using rtree(id, x0, x1, y0, y1, +label text)",
        f"create virtual table {name} using rtree_i32(id, x0, x1)",
        f"create virtual table {name} using fts4(x, y)",
    ]
    if contents:
        table, key, column = chance.choice(contents)
        kinds.append(
            f"create virtual table {name} using fts5({quote(column)}, "
            f"content={quote(table)}, content_rowid={quote(key)})"
        )
    return chance.choice(kinds)


def create_trigger(
    chance: random.Random, table: str, columns: list[str], others: list[str]
) -> str:
    """A trigger that writes elsewhere, or into its own table."""
    name = f"trigger{chance.randrange(6)}"
    column = quote(chance.choice(columns))
    event = chance.choice(
        ("after insert", "after update", "after delete", f"after update of {column}")
    )
    row = "old" if "delete" in event else "new"
    target = chance.choice((*others, "journal"))
    actions = [
        f"insert into journal(what, value) values ('{name}', {row}.{column})",
        f"insert or replace into journal(id, what) values (1, {row}.{column})",
        "update journal set what = what || 'x' where id % 3 = 0",
        "delete from journal where id < (select max(id) - 20 from journal)",
        f"insert or ignore into {quote(target)} default values",
        f"select raise(ignore) where {row}.{column} = 7",
        f"select raise(rollback, 'all of it') where {row}.{column} = 127",
    ]
    return (
        f"create trigger {name} {event} on {quote(table)} "
        f"when {row}.{column} is not 1 begin {chance.choice(actions)}; end"
    )


def create_index(chance: random.Random, table: str, columns: list[str]) -> str:
    """An index: plain, unique, partial or on an expression."""
    name = f"index{chance.randrange(6)}"
    column = quote(chance.choice(columns))
    on = f"on {quote(table)}"
    return chance.choice(
        (
            f"create index {name} {on}({column} desc)",
            f"create unique index {name} {on}({column})",
            f"create unique index {name} {on}({column}) where {column} > 5",
            f"create index {name} {on}(length({column}), {column} collate nocase)",
        )
    )


def alter(chance: random.Random, table: str, columns: list[str]) -> str:
    """Any ALTER TABLE."""
    column = quote(chance.choice(columns))
    spare = quote(chance.choice((*NAMES, "later", "latest")))
    return f"alter table {quote(table)} " + chance.choice(
        (
            f"add column {spare} {chance.choice(DEFAULTS)}",
            f"add column {spare} text not null default 'né'",
            f"add column {spare} generated always as (1) virtual",
            f"rename column {column} to {spare}",
            f"rename to {quote(chance.choice(TABLES))}",
            f"drop column {column}",
        )
    )
