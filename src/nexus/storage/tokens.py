"""The cluster's bearer tokens, in a table of Nexus's own beside the user's.

So they travel as everything else does: with the log, with snapshots, and back with a
rewind. Only hashes of secrets are kept.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import apsw

from nexus.model.operation import TokenChange
from nexus.model.token import Token, TokenRole
from nexus.storage.system import TOKENS_TABLE

KnownTokens = Mapping[str, Token]
"""By id."""

_SCHEMA: Final = """
create table if not exists nexus_tokens(
  id text primary key, name text not null, role text not null,
  sha256 blob not null, created_us integer not null, expires_us integer not null
) strict, without rowid;
"""

NO_TOKENS: Final[KnownTokens] = MappingProxyType({})


def read_tokens(connection: apsw.Connection) -> KnownTokens:
    """All tokens as of the applied position, the oldest first."""
    if not connection.table_exists("main", TOKENS_TABLE):
        return NO_TOKENS
    rows: Iterable[Any] = connection.execute(
        "select id, name, role, sha256, created_us, expires_us from nexus_tokens "
        "order by created_us, id"
    )
    tokens = [
        Token(token_id, name, TokenRole(role), *rest)
        for token_id, name, role, *rest in rows
    ]
    return MappingProxyType({token.id: token for token in tokens})


def write_tokens(connection: apsw.Connection, changes: Iterable[TokenChange]) -> None:
    """Make these changes, within the caller's transaction."""
    connection.execute(_SCHEMA)
    for change in changes:
        _replace(connection, change.old, change.new)


def take_tokens_back(
    connection: apsw.Connection, changes: Iterable[TokenChange]
) -> None:
    """Undo these changes, the last one first, within the caller's transaction."""
    connection.execute(_SCHEMA)
    for change in reversed(list(changes)):
        _replace(connection, change.new, change.old)


def _replace(connection: apsw.Connection, old: Token | None, new: Token | None) -> None:
    if old is not None:
        connection.execute("delete from nexus_tokens where id = ?", (old.id,))
    if new is not None:
        connection.execute(
            "insert or replace into nexus_tokens values (?, ?, ?, ?, ?, ?)",
            (
                new.id,
                new.name,
                new.role,
                new.sha256,
                new.created_us,
                new.expires_us,
            ),
        )
