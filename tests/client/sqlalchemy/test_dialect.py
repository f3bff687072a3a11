"""The dialect's URLs and transactions."""

import pytest
from sqlalchemy import Engine, create_engine, exc, inspect, make_url, text
from sqlalchemy.orm import Session

from nexus.client.exceptions import ProgrammingError, translated
from nexus.client.forks import opened_before
from nexus.errors import StatementError


def test_a_url_that_names_no_place_is_refused_with_examples() -> None:
    with pytest.raises(exc.ProgrammingError, match=r"nexus://\[a:15475,b:15475\]/"):
        create_engine("nexus://").connect()


def test_a_transaction_holds_schema_statements(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("create table t(a)"))
        connection.execute(text("insert into t values (1)"))
        connection.rollback()

    assert inspect(engine).get_table_names() == []


def test_a_savepoint_is_taken_back_alone_and_released_into_its_transaction(
    engine: Engine,
) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table t(a)"))

    with engine.connect() as connection:
        with connection.begin_nested():
            connection.execute(text("insert into t values (1)"))
        taken_back = connection.begin_nested()
        connection.execute(text("insert into t values (2)"))
        taken_back.rollback()
        inside = connection.execute(text("select a from t")).scalars().all()
        connection.rollback()
        after = connection.execute(text("select a from t")).scalars().all()

    assert (inside, after) == ([1], [])


def test_a_query_alone_holds_no_writer(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table t(a)"))

    with engine.connect() as reads, engine.begin() as writes:
        assert reads.execute(text("select count(*) from t")).scalar() == 0
        writes.execute(text("insert into t values (1)"))


def test_a_pool_replaces_the_connections_of_before_a_fork(engine: Engine) -> None:
    def is_replaced(error: Exception) -> bool:
        return engine.dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]

    assert is_replaced(translated(opened_before()))
    assert is_replaced(ProgrammingError("Cannot operate on a closed database."))
    assert not is_replaced(translated(StatementError("no such table: t")))


def test_autocommit_needs_no_commit(engine: Engine) -> None:
    engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create table t(a)"))
        connection.execute(text("insert into t values (1)"))
        connection.rollback()

        assert connection.execute(text("select a from t")).scalar() == 1


def test_foreign_keys_are_enforced_unless_the_url_says_off(engine: Engine) -> None:
    on = engine.dialect.on_connect_url(make_url("nexus://a/"))
    off = engine.dialect.on_connect_url(make_url("nexus://a/?foreign_keys=off"))
    connection = engine.raw_connection()

    assert on is None
    assert connection.execute("pragma foreign_keys").fetchone() == (1,)
    assert off is not None
    off(connection.dbapi_connection)
    assert connection.execute("pragma foreign_keys").fetchone() == (0,)
    with pytest.raises(exc.ArgumentError, match="on or off"):
        engine.dialect.on_connect_url(make_url("nexus://a/?foreign_keys=maybe"))


def test_an_orm_session_sees_its_own_rows_before_it_commits(engine: Engine) -> None:
    with Session(engine) as session:
        session.execute(text("create table t(a)"))
        session.execute(text("insert into t values (7)"))
        assert session.scalar(text("select a from t")) == 7
        session.commit()

    with Session(engine) as session:
        assert session.scalar(text("select a from t")) == 7
