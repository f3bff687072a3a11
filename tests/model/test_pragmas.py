"""Which pragmas a client may use."""

import pytest

from nexus.errors import RefusedStatementError
from nexus.model.pragmas import PragmaUse, is_read, read_pragma


@pytest.mark.parametrize(
    ("sql", "name", "use"),
    [
        ("pragma user_version", "user_version", PragmaUse.READ),
        ("pragma user_version = 3", "user_version", PragmaUse.STORED),
        ("PRAGMA main.Application_ID(7);", "application_id", PragmaUse.STORED),
        ('pragma "main"."user_version" = 3', "user_version", PragmaUse.STORED),
        ("pragma table_info(t)", "table_info", PragmaUse.READ),
        ("pragma main.table_xinfo('t')", "table_xinfo", PragmaUse.READ),
        ("pragma foreign_key_check", "foreign_key_check", PragmaUse.READ),
        ("pragma defer_foreign_keys", "defer_foreign_keys", PragmaUse.DEFERRAL),
        ("pragma defer_foreign_keys = on", "defer_foreign_keys", PragmaUse.DEFERRAL),
        ("pragma foreign_keys", "foreign_keys", PragmaUse.READ),
        ("pragma foreign_keys = ON", "foreign_keys", PragmaUse.UNCHANGED),
        ("pragma auto_vacuum", "auto_vacuum", PragmaUse.READ),
        ("pragma legacy_alter_table", "legacy_alter_table", PragmaUse.READ),
        ("pragma pragma_list", "pragma_list", PragmaUse.READ),
        ("pragma journal_mode = 'wal'", "journal_mode", PragmaUse.UNCHANGED),
        ("pragma recursive_triggers(0)", "recursive_triggers", PragmaUse.UNCHANGED),
    ],
)
def test_a_pragma_is_told_by_its_name_and_by_what_it_does(
    sql: str, name: str, use: PragmaUse
) -> None:
    found = read_pragma(sql)

    assert (found.name, found.use) == (name, use)


@pytest.mark.parametrize(
    ("sql", "mend"),
    [
        ("pragma foreign_keys = off", "on a connection of its own"),
        ("pragma journal_mode = delete", "always in WAL mode"),
        ("pragma page_size = 512", "before the database is imported"),
        ("pragma synchronous = 0", "synced before every commit"),
        ("pragma auto_vacuum = full", "before the database is imported"),
        ("pragma writable_schema = on", "with ALTER TABLE"),
        ("pragma optimize", "run ANALYZE"),
        ("pragma wal_checkpoint", "checkpoints itself"),
        ("pragma mmap_size = 1", "differ from the others"),
        ("pragma no_such_pragma", "differ from the others"),
        ("pragma", "differ from the others"),
        ("pragma cache_size = 4", "differ from the others"),
        ("pragma temp.user_version = 1", "leave the schema's name out"),
        ("pragma other.table_info(t)", "leave the schema's name out"),
    ],
)
def test_what_would_make_a_node_differ_is_refused_with_the_mend(
    sql: str, mend: str
) -> None:
    with pytest.raises(RefusedStatementError, match=mend):
        read_pragma(sql)


def test_some_tell_something_only_when_they_are_given_nothing() -> None:
    assert is_read("cache_size", has_argument=False)
    assert not is_read("cache_size", has_argument=True)
    assert is_read("table_info", has_argument=True)
    assert not is_read("shrink_memory", has_argument=False)
