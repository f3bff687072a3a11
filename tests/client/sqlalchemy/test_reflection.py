"""What stands in the database, told by schema and name."""

import pytest
from sqlalchemy import Engine, exc, inspect, text


def test_views_and_tables_are_told_by_schema(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table sales.orders(id integer primary key)"))
        connection.execute(
            text("create view sales.recent as select * from sales.orders")
        )

    found = inspect(engine)

    assert found.get_table_names(schema="sales") == ["orders"]
    assert found.get_view_names(schema="sales") == ["recent"]
    assert found.get_view_names() == []
    assert found.has_table("orders", schema="sales")
    assert not found.has_table("orders")
    assert 'from "sales.orders"' in found.get_view_definition("recent", schema="sales")
    assert [c["name"] for c in found.get_columns("orders", "sales")] == ["id"]
    assert found.get_pk_constraint("orders", "sales")["constrained_columns"] == ["id"]


def test_nexuss_own_tables_and_temporary_ones_are_not_told(engine: Engine) -> None:
    found = inspect(engine)

    assert found.get_table_names() == []
    assert found.get_temp_table_names() == found.get_temp_view_names() == []
    assert "nexus_position" in engine.dialect.get_table_names(
        engine.connect(), sqlite_include_internal=True
    )


def test_a_table_that_is_not_there_is_named_whole(engine: Engine) -> None:
    with pytest.raises(exc.NoSuchTableError, match=r"sales\.nothing"):
        inspect(engine).get_columns("nothing", schema="sales")
