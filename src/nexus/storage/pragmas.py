"""Which pragmas a client may use, and what Nexus does with each."""

from enum import Enum, auto
from typing import Final

import msgspec

from nexus.errors import RefusedStatementError
from nexus.storage.statements import tokens


class PragmaUse(Enum):
    """What a pragma means for replication."""

    READ = auto()
    STORED = auto()
    """Kept in the database file: replicated as an operation."""
    DEFERRAL = auto()
    """`defer_foreign_keys`: ends with the transaction."""


class PragmaStatement(msgspec.Struct, frozen=True):
    """A pragma that is allowed."""

    name: str
    use: PragmaUse


_STORED: Final = frozenset({"user_version", "application_id"})

_WITH_ARGUMENT: Final = frozenset({
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
})  # fmt: skip

_WITHOUT_ARGUMENT: Final = frozenset({
    "application_id",
    "busy_timeout",
    "cache_size",
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "journal_mode",
    "module_list",
    "page_count",
    "page_size",
    "recursive_triggers",
    "schema_version",
    "synchronous",
    "user_version",
})  # fmt: skip

_MENDS: Final = {
    "foreign_keys": "set it on a connection of its own, outside a transaction",
    "journal_mode": "a node's database is always in WAL mode",
    "synchronous": "the node's log is synced before every commit",
    "writable_schema": "change the schema with ALTER TABLE",
    "wal_checkpoint": "the node makes its checkpoints itself",
}


def read_pragma(sql: str) -> PragmaStatement:
    """What this pragma is; raises RefusedStatementError where it may not be used."""
    parts = [text for _, text in tokens(sql) if text != ";"][1:]
    if len(parts) > 2 and parts[1] == ".":  # noqa: PLR2004 - schema . name
        parts = parts[2:]
    name = parts[0].lower() if parts else ""
    has_argument = len(parts) > 1
    if name == "defer_foreign_keys":
        return PragmaStatement(name, PragmaUse.DEFERRAL)
    if has_argument and name in _STORED:
        return PragmaStatement(name, PragmaUse.STORED)
    if name in _WITH_ARGUMENT or (not has_argument and name in _WITHOUT_ARGUMENT):
        return PragmaStatement(name, PragmaUse.READ)
    mend = _MENDS.get(name, "it would make this node differ from the others")
    raise RefusedStatementError(f"PRAGMA {name} may not be set here: {mend}")
