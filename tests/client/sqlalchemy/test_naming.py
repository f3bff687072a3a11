"""A schema's tables in the one database there is."""

import pytest
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    exc,
    insert,
    inspect,
    select,
)

from nexus.client.sqlalchemy.naming import joined, parted


def test_a_name_is_joined_to_its_schema_and_parted_from_it() -> None:
    assert joined("users", "sales") == "sales.users"
    assert joined("users", None) == joined("users", "main") == "users"
    assert parted("sales.users.old") == ("sales", "users.old")
    assert parted("users") == (None, "users")
    assert parted(".users") == (None, ".users")


def test_tables_of_one_name_in_two_schemas_are_two_tables(engine: Engine) -> None:
    metadata = MetaData()
    ours = Table("users", metadata, Column("id", Integer, primary_key=True))
    theirs = Table(
        "users", metadata, Column("id", Integer, primary_key=True), schema="sales"
    )
    metadata.create_all(engine)

    with engine.begin() as connection:
        connection.execute(insert(ours).values(id=1))
        connection.execute(insert(theirs).values(id=2))
        both = connection.execute(
            select(ours.c.id, theirs.c.id).where(ours.c.id < theirs.c.id)
        ).all()

    assert both == [(1, 2)]
    assert inspect(engine).get_table_names() == ["users"]
    assert inspect(engine).get_table_names(schema="sales") == ["users"]
    assert inspect(engine).get_schema_names() == ["main", "sales"]


def test_a_foreign_key_reaches_into_another_schema(engine: Engine) -> None:
    metadata = MetaData()
    Table("users", metadata, Column("id", Integer, primary_key=True), schema="people")
    orders = Table(
        "orders",
        metadata,
        Column("user", ForeignKey("people.users.id")),
        schema="sales",
    )
    metadata.create_all(engine)

    (key,) = inspect(engine).get_foreign_keys("orders", schema="sales")

    assert (key["referred_schema"], key["referred_table"]) == ("people", "users")
    with engine.begin() as connection, pytest.raises(exc.IntegrityError):
        connection.execute(insert(orders).values(user=7))


def test_an_index_belongs_to_its_tables_schema(engine: Engine) -> None:
    metadata = MetaData()
    for schema in (None, "sales"):
        table = Table("users", metadata, Column("name", String(9)), schema=schema)
        Index("by_name", table.c.name)
    metadata.create_all(engine)

    for schema in (None, "sales"):
        (index,) = inspect(engine).get_indexes("users", schema=schema)
        assert index["name"] == "by_name"
    metadata.drop_all(engine)
    assert inspect(engine).get_schema_names() == ["main"]


def test_a_schema_is_translated_when_the_statement_runs(engine: Engine) -> None:
    metadata = MetaData()
    table = Table("users", metadata, Column("id", Integer, primary_key=True))
    for schema in ("a", 'b"c', "main"):
        there = engine.execution_options(schema_translate_map={None: schema})
        with there.begin() as connection:
            metadata.create_all(connection)
            connection.execute(insert(table).values(id=5))
            assert connection.execute(select(table.c.id)).scalar() == 5

    assert inspect(engine).get_schema_names() == ["main", "a", 'b"c']


def test_main_is_the_database_and_no_schema_of_its_own(engine: Engine) -> None:
    table = Table("users", MetaData(), Column("id", Integer), schema="main")
    table.create(engine)

    with engine.begin() as connection:
        connection.execute(insert(table).values(id=3))

    assert inspect(engine).get_table_names() == ["users"]
    assert inspect(engine).has_table("users", schema="main")
