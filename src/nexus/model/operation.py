"""What one transaction did, in order: rows, schema, counters, settings.

Operations outside a changeset carry the old value beside the new one, so that an
entry can be taken back.
"""

import msgspec

from nexus.model.position import Reign
from nexus.model.token import Token


class Rows(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Row changes, as a changeset of SQLite's session extension.

    The format is at https://www.sqlite.org/sessionintro.html. `alone` marks changes
    that must not be merged with their neighbours: a table whose keys can compare
    equal without being the same ('A' and 'a' under NOCASE) needs them one by one.
    """

    changeset: bytes
    alone: bool = False


class Schema(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """One schema statement, as SQL text; it cannot be taken back."""

    sql: str


class Sequence(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """An AUTOINCREMENT counter's move; None where `sqlite_sequence` has no row."""

    table: str
    old: int | None
    new: int | None


class Pragma(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A database setting that is kept in the file: user_version, application_id."""

    name: str
    old: int
    new: int


class Reigned(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The only operation of a reign's first entry: this master's reign begins here."""

    reign: Reign


class Fingerprint(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Every node hashes its tables as they stand at this entry (`nexus verify`)."""

    request_id: str


class Configuration(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The cluster's configuration from this entry on; in force from its append.

    `voters` are node ids with their addresses. Without `auto_failover` (maintenance)
    only operators begin elections.
    """

    cluster_id: str
    voters: tuple[tuple[str, str], ...]
    auto_failover: bool = True
    mode: str = ""
    """`sync` or `async`, whoever reigns; empty: as each master is configured."""
    sync_quorum: int | None = None
    """Voters that must hold an entry in sync mode, whoever reigns; 0: a majority of
    them; None: as each master is configured."""

    @property
    def voter_ids(self) -> tuple[str, ...]:
        """Who votes."""
        return tuple(node_id for node_id, _ in self.voters)


class TokenChange(msgspec.Struct, frozen=True, array_like=True):
    """One token as it was and as it is from now on; None where there is none."""

    old: Token | None
    new: Token | None


class Tokens(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The cluster's bearer tokens change: made, revoked, rotated."""

    changes: tuple[TokenChange, ...]


Own = Reigned | Configuration | Tokens
"""What Nexus keeps in tables of its own."""

Operation = (
    Rows | Schema | Sequence | Pragma | Reigned | Fingerprint | Configuration | Tokens
)
