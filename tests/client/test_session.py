"""What passes between a connection and its session."""

from nexus.client.session import Result, Statement


def test_a_result_of_nothing_has_no_rows_and_counts_none() -> None:
    result = Result()

    assert list(result.rows) == []
    assert (result.columns, result.rows_affected) == ((), -1)


def test_a_statement_runs_once_unless_it_has_many_sets_of_parameters() -> None:
    assert Statement("select 1").many is None
    assert Statement("insert into t values (?)", many=[(1,), (2,)]).params == ()
