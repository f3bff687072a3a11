"""Which pragmas a client may use, and what Nexus does with each."""

from enum import Enum, auto
from typing import Final

import msgspec

from nexus.errors import RefusedStatementError
from nexus.model.statements import tokens, unquote


class PragmaUse(Enum):
    """What a pragma means for replication."""

    READ = auto()
    STORED = auto()
    """Kept in the database file: replicated as an operation."""
    DEFERRAL = auto()
    """`defer_foreign_keys`: ends with the transaction."""
    UNCHANGED = auto()
    """Set to what it is already: nothing is to be done but to tell it."""


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
    "analysis_limit",
    "application_id",
    "auto_vacuum",
    "automatic_index",
    "busy_timeout",
    "cache_size",
    "cell_size_check",
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "ignore_check_constraints",
    "journal_mode",
    "legacy_alter_table",
    "locking_mode",
    "max_page_count",
    "mmap_size",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "read_uncommitted",
    "recursive_triggers",
    "reverse_unordered_selects",
    "schema_version",
    "secure_delete",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
    "user_version",
    "wal_autocheckpoint",
    "writable_schema",
})  # fmt: skip

_MENDS: Final = {
    "auto_vacuum": "choose it before the database is imported",
    "case_sensitive_like": "use GLOB",
    "encoding": "choose it before the database is imported",
    "foreign_keys": "set it on a connection of its own, outside a transaction",
    "journal_mode": "a node's database is always in WAL mode",
    "optimize": "run ANALYZE",
    "page_size": "choose it before the database is imported",
    "recursive_triggers": "it is off on every node",
    "synchronous": "the node's log is synced before every commit",
    "writable_schema": "change the schema with ALTER TABLE",
    "wal_checkpoint": "the node makes its checkpoints itself",
}


ON: Final = frozenset({"1", "on", "true", "yes"})
"""How a pragma is switched on."""

_UNCHANGED: Final = {
    "foreign_keys": ON,
    "journal_mode": {"wal"},
    "recursive_triggers": {"0", "off", "false", "no"},
}
"""Setting these to what they are already does nothing: drivers do so on connecting."""


def read_pragma(sql: str) -> PragmaStatement:
    """What this pragma is; raises RefusedStatementError where it may not be used."""
    name, argument = setting_of(sql)
    if name == "defer_foreign_keys":
        return PragmaStatement(name, PragmaUse.DEFERRAL)
    if argument and name in _STORED:
        return PragmaStatement(name, PragmaUse.STORED)
    if argument in _UNCHANGED.get(name, ()):
        return PragmaStatement(name, PragmaUse.UNCHANGED)
    if is_read(name, has_argument=bool(argument)):
        return PragmaStatement(name, PragmaUse.READ)
    mend = _MENDS.get(name, "it would make this node differ from the others")
    raise RefusedStatementError(f"PRAGMA {name} may not be set here: {mend}")


def setting_of(sql: str) -> tuple[str, str]:
    """A pragma's name and its argument, empty where it has none; in lower case.

    Raises RefusedStatementError where it names another schema than `main`.
    """
    parts = [text for _, text in tokens(sql) if text != ";"][1:]
    if len(parts) > 2 and parts[1] == ".":  # noqa: PLR2004 - schema . name
        if unquote(parts[0]).lower() != "main":
            raise RefusedStatementError(
                f"schema {parts[0]} is not replicated; leave the schema's name out"
            )
        parts = parts[2:]
    name = unquote(parts[0]).lower() if parts else ""
    arguments = [unquote(part).lower() for part in parts[1:] if part not in "=()"]
    return name, arguments[0] if arguments else ""


def is_read(name: str, *, has_argument: bool) -> bool:
    """Whether a pragma only tells something; `name` is in lower case."""
    return name in _WITH_ARGUMENT or (not has_argument and name in _WITHOUT_ARGUMENT)
