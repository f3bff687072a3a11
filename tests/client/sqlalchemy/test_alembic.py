"""Alembic's migrations: batches too, and all of a migration or nothing of it."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Engine, exc, inspect, text


def configured(connection: sa.Connection) -> MigrationContext:
    """As `context.configure` of an env.py makes it."""
    return MigrationContext.configure(connection, opts={"transactional_ddl": True})


def make_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = configured(connection)
        with context.begin_transaction(_per_migration=False):
            op = Operations(context)
            op.create_table(
                "users",
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("name", sa.String(20)),
            )
            op.create_table(
                "orders",
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column(
                    "user", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE")
                ),
            )
            op.execute("insert into users values (1, 'ada')")
            op.execute("insert into orders values (10, 1)")


def test_a_batch_rebuilds_a_table_and_keeps_what_refers_to_it(engine: Engine) -> None:
    make_tables(engine)

    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = off")
        connection.commit()  # else the migration's transaction would not be Alembic's
        context = configured(connection)
        with (
            context.begin_transaction(_per_migration=False),
            Operations(context).batch_alter_table("users") as batch,
        ):
            batch.alter_column("name", nullable=False)
            batch.add_column(sa.Column("born", sa.Integer))
            batch.create_unique_constraint("one_of_a_name", ["name"])

    found = inspect(engine)
    columns = {c["name"]: c["nullable"] for c in found.get_columns("users")}
    assert columns == {"id": False, "name": False, "born": True}
    assert found.get_unique_constraints("users")[0]["name"] == "one_of_a_name"
    with engine.connect() as connection:
        kept = connection.execute(text("select id, user from orders")).all()
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    assert (kept, broken) == ([(10, 1)], [])


def test_a_migration_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    make_tables(engine)

    def migrate() -> None:
        with engine.connect() as connection:
            context = configured(connection)
            with context.begin_transaction(_per_migration=False):
                op = Operations(context)
                op.add_column("users", sa.Column("born", sa.Integer))
                op.create_table("half", sa.Column("id", sa.Integer))
                op.execute("insert into users(id, name) values (1, 'twice')")

    with pytest.raises(exc.IntegrityError):
        migrate()

    found = inspect(engine)
    assert found.get_table_names() == ["orders", "users"]
    assert [c["name"] for c in found.get_columns("users")] == ["id", "name"]


def test_a_table_of_a_schema_is_altered_by_its_whole_name(engine: Engine) -> None:
    with engine.connect() as connection:
        context = configured(connection)
        with context.begin_transaction(_per_migration=False):
            op = Operations(context)
            op.create_table("users", sa.Column("id", sa.Integer), schema="sales")
            op.add_column("users", sa.Column("name", sa.String(9)), schema="sales")
            op.rename_table("users", "people", schema="sales")

    found = inspect(engine)
    assert [c["name"] for c in found.get_columns("people", "sales")] == ["id", "name"]


def test_autogenerate_finds_nothing_to_do_after_create_all(engine: Engine) -> None:
    metadata = sa.MetaData()
    sa.Table(
        "users",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(20), index=True),
    )
    metadata.create_all(engine)

    with engine.connect() as connection:
        assert compare_metadata(configured(connection), metadata) == []
