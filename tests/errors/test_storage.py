"""An error of the disk carries what its catcher needs."""

from nexus.errors import ApplyConflictError


def test_a_conflict_names_the_row() -> None:
    conflict = ApplyConflictError("row is missing", table="t", key="1")
    assert (conflict.table, conflict.key) == ("t", "1")
