"""Temporary tables last as long as their transaction."""

import pytest
from sqlalchemy import Engine, exc, inspect, text


def test_a_temporary_table_is_there_until_the_transaction_ends(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("create table kept(a)"))
        connection.execute(text("create temp table if not exists aside(a)"))
        connection.execute(text("create temporary view seen as select a from aside"))
        connection.execute(text("insert into aside values (1), (2)"))
        assert connection.execute(text("select count(*) from seen")).scalar() == 2
        connection.commit()

    assert inspect(engine).get_table_names() == ["kept"]
    assert inspect(engine).get_view_names() == []


def test_a_temporary_table_goes_with_what_is_taken_back(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("create temp table aside(a)"))
        connection.rollback()
        connection.execute(text("create table aside(a)"))
        connection.commit()

    assert inspect(engine).get_table_names() == ["aside"]


@pytest.mark.parametrize(
    "statement",
    [
        "create temp table kept(a)",
        "create temporary table if not exists Kept(a)",
        'create temp table if not exists "kept" as select 1 as a',
        "create temp view kept as select 1 as a",
    ],
)
def test_a_table_that_stays_is_neither_hidden_nor_dropped(
    engine: Engine, statement: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table kept(a)"))
        connection.execute(text("insert into kept values (1)"))

    with engine.connect() as connection:
        with pytest.raises(exc.OperationalError, match="already exists"):
            connection.execute(text(statement))
        connection.execute(text("insert into kept values (2)"))
        connection.commit()

    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from kept")).scalar() == 2


def test_a_temporary_table_that_is_there_may_be_made_again(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create temp table aside(a)"))
        connection.execute(text('create temp table if not exists "ASIDE"(a)'))

    assert inspect(engine).get_table_names() == []


def test_what_takes_the_name_of_one_that_was_taken_back_is_kept(engine: Engine) -> None:
    with engine.begin() as connection:
        savepoint = connection.begin_nested()
        connection.execute(text("create temp table aside(a)"))
        savepoint.rollback()
        connection.execute(text("create table aside(a)"))

    assert inspect(engine).get_table_names() == ["aside"]


def test_what_takes_a_dropped_temporary_tables_name_is_kept(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create temp table aside(a)"))
        connection.execute(text("drop table aside"))
        connection.execute(text("create table aside(a)"))

    assert inspect(engine).get_table_names() == ["aside"]


def test_a_commit_in_sql_ends_temporary_tables_too(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("create temp table aside(a)"))
        connection.exec_driver_sql("commit")

    assert inspect(engine).get_table_names() == []


def test_without_a_transaction_there_is_no_temporary_table(engine: Engine) -> None:
    engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    refused = pytest.raises(exc.NotSupportedError, match="temporary objects")
    with engine.connect() as connection, refused:
        connection.execute(text("create temp table aside(a)"))
