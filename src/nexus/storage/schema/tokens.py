"""The cluster's bearer tokens, in a table of Nexus's own beside the user's.

So they travel as everything else does: with the log, with snapshots, and back with a
rewind. Only hashes of secrets are kept.
"""

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import apsw

from nexus.model.entry import tokens_of
from nexus.model.operation import TokenChange
from nexus.model.token import Token, TokenRole
from nexus.storage.schema.system import TOKENS_TABLE

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


class GoodTokens:
    """Those that are applied, less what the log says of them already.

    A replica that is paused, or applies with a delay, refuses a revoked token as soon
    as it has the entry: to wait for that would keep the token good. New ones wait.
    """

    def __init__(self) -> None:
        self.good = NO_TOKENS
        """Replaced, never changed: any thread may look."""
        self._applied = NO_TOKENS
        self._left: dict[str, Token | None] = {}
        self._changing = threading.Lock()

    def applied(self, tokens: KnownTokens) -> None:
        """These stand in the database now."""
        with self._changing:
            self._applied = tokens
            self._settle()

    def stored(self, payloads: Iterable[bytes]) -> None:
        """The log has these entries now."""
        found = [one for payload in payloads if (one := tokens_of(payload)) is not None]
        if not found:
            return
        with self._changing:
            for change in (change for one in found for change in one.changes):
                if change.old is not None:
                    self._left[change.old.id] = change.new
            self._settle()

    def forget(self) -> None:
        """The log is another one."""
        with self._changing:
            self._left.clear()

    def _settle(self) -> None:
        left = {key: self._left.get(key, kept) for key, kept in self._applied.items()}
        known = {key: token for key, token in left.items() if token is not None}
        self.good = MappingProxyType(known)


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
