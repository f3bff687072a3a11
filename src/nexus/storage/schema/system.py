"""Nexus's own tables inside the user's database.

They are written in the same SQLite transaction as the rows, on every node alike, and
hidden from capture, from the schema's hash and from users' statements.
"""

from typing import Final

import apsw
import msgspec

from nexus.model.operation import Configuration
from nexus.model.position import (
    ORIGIN,
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Position,
    Reign,
)

PREFIX: Final = "nexus_"
"""Reserved for these tables; users' objects may not begin with it."""

_SCHEMA: Final = """
create table if not exists nexus_position(
  id integer primary key check (id = 1),
  epoch integer not null, history_id text not null, "offset" integer not null
) strict;
create table if not exists nexus_history(
  first_offset integer primary key, epoch integer not null,
  history_id text not null, master_id text not null,
  started_us integer not null, why text not null, mode text not null default ''
) strict;
create table if not exists nexus_membership(
  "offset" integer primary key, configuration text not null
) strict;
create table if not exists nexus_answers(
  transaction_id text primary key, "offset" integer not null, answer blob not null
) strict, without rowid;
create index if not exists nexus_answers_by_offset on nexus_answers("offset");
create table if not exists nexus_columns(
  name text, "offset" integer, step integer, columns text,
  primary key (name, "offset", step)
) strict, without rowid;
insert or ignore into nexus_position values (1, 0, '', 0);
"""

_OBJECTS: Final = {
    "nexus_answers",
    "nexus_answers_by_offset",
    "nexus_columns",
    "nexus_history",
    "nexus_membership",
    "nexus_position",
}

TOKENS_TABLE: Final = "nexus_tokens"
"""Made with the first token (see `tokens`), so that a cluster without any has the
tables that every version knows."""


def create(connection: apsw.Connection) -> None:
    """Create the tables where they are missing."""
    connection.execute(f"begin immediate; {_SCHEMA} commit")
    columns = connection.execute("select name from pragma_table_info('nexus_history')")
    if "mode" not in {name for (name,) in columns}:  # of a node before modes were kept
        connection.execute(
            "alter table nexus_history add column mode text not null default ''"
        )


def is_alone(connection: apsw.Connection) -> bool:
    """Whether only these tables, and nothing of the user's, have reserved names."""
    rows = connection.execute(
        "select name from main.sqlite_schema where name like 'nexus\\_%' escape '\\'"
    )
    return {name for (name,) in rows} - {TOKENS_TABLE} == _OBJECTS


def read_position(connection: apsw.Connection) -> Position:
    """The applied position; ORIGIN for a database that was no node's yet."""
    row = connection.execute(
        'select epoch, history_id, "offset" from nexus_position'
    ).fetchone()
    if row is None:
        return ORIGIN
    return Position(Epoch(row[0]), Offset(row[2]), HistoryId(row[1]))


def write_position(connection: apsw.Connection, position: Position) -> None:
    """Store the applied position, within the caller's transaction."""
    connection.execute(
        'update nexus_position set epoch = ?, history_id = ?, "offset" = ?',
        (position.epoch, position.history_id, position.offset),
    )


def read_history(connection: apsw.Connection) -> EpochHistory:
    """All reigns up to the applied position."""
    rows = connection.execute(
        "select epoch, history_id, master_id, first_offset, started_us, why, mode "
        "from nexus_history order by first_offset"
    )
    return EpochHistory(tuple(Reign(*row) for row in rows))


def write_reign(connection: apsw.Connection, reign: Reign) -> None:
    """Store one reign, within the caller's transaction."""
    connection.execute(
        "insert into nexus_history values (?, ?, ?, ?, ?, ?, ?)",
        (
            reign.first_offset,
            reign.epoch,
            reign.history_id,
            reign.master_id,
            reign.started_us,
            reign.why,
            reign.mode,
        ),
    )


def read_configuration(
    connection: apsw.Connection,
) -> tuple[Offset, Configuration] | None:
    """The configuration at the applied position, with its entry's offset."""
    row = connection.execute(
        'select "offset", configuration from nexus_membership '
        'order by "offset" desc limit 1'
    ).fetchone()
    if row is None:
        return None
    return Offset(row[0]), msgspec.json.decode(row[1], type=Configuration)


def write_configuration(
    connection: apsw.Connection, offset: Offset, configuration: Configuration
) -> None:
    """Store a configuration, within the caller's transaction."""
    connection.execute(
        "insert or replace into nexus_membership values (?, ?)",
        (offset, msgspec.json.encode(configuration).decode()),
    )


def write_answer(
    connection: apsw.Connection, transaction_id: str, offset: Offset, answer: bytes
) -> None:
    """Keep a transaction's answer beside its idempotency key."""
    connection.execute(
        "insert into nexus_answers values (?, ?, ?)", (transaction_id, offset, answer)
    )


def read_answer(
    connection: apsw.Connection, transaction_id: str
) -> tuple[Offset, bytes] | None:
    """The kept answer of a transaction, with its offset."""
    row = connection.execute(
        'select "offset", answer from nexus_answers where transaction_id = ?',
        (transaction_id,),
    ).fetchone()
    return None if row is None else (Offset(row[0]), row[1])


def forget_after(connection: apsw.Connection, offset: Offset) -> None:
    """Drop what entries after `offset` have left in these tables, but the position."""
    connection.execute("delete from nexus_history where first_offset > ?", (offset,))
    connection.execute('delete from nexus_membership where "offset" > ?', (offset,))
    connection.execute('delete from nexus_answers where "offset" > ?', (offset,))
    # No schema statement is ever taken back: these are as old as the node's own file.
    connection.execute(
        'update or replace nexus_columns set "offset" = ? where "offset" > ?',
        (offset, offset),
    )


def delete_answers_before(
    connection: apsw.Connection, offset: Offset, *, most: int
) -> int:
    """Forget some answers of transactions before `offset`; how many."""
    connection.execute(
        "delete from nexus_answers where transaction_id in (select transaction_id "
        'from nexus_answers where "offset" < ? order by "offset" limit ?)',
        (offset, most),
    )
    return connection.changes()
