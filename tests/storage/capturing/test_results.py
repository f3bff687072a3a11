"""What capture answers."""

from nexus.storage.capturing.results import StatementResult


def test_what_a_query_gave_has_names_declared_types_and_no_count() -> None:
    result = StatementResult.of_query(
        (("id", "INTEGER"), ("max(x)", None)), [(1, "one"), (2, None)]
    )

    assert result.columns == ("id", "max(x)")
    assert result.decltypes == ("INTEGER", None)
    assert result.rows == [(1, "one"), (2, None)]
    assert (result.rows_affected, result.last_insert_rowid) == (-1, 0)
