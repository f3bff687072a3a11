"""What Django finds in a database."""

from typing import Any


def test_nexuss_own_tables_are_not_the_applications(wrapper: Any) -> None:
    with wrapper.cursor() as cursor:
        cursor.execute("create table t(a integer primary key)")
        cursor.execute("create view v as select a from t")
        cursor.execute("select count(*) from nexus_position")
        assert cursor.fetchone() == (1,)

        assert wrapper.introspection.table_names(include_views=True) == ["t", "v"]
        assert wrapper.introspection.get_primary_key_column(cursor, "t") == "a"
