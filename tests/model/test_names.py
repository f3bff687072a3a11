"""Names as SQLite compares them."""

import apsw
import pytest

from nexus.model.names import folded


@pytest.mark.parametrize("name", ["T", "Ä", "ÄB", "\u212a", "İ", "Straße", "ǅ", ""])
def test_two_names_are_one_to_sqlite_where_they_fold_to_the_same(name: str) -> None:
    query = "select ?1 = ?2 collate nocase"

    for other in (name.lower(), name.upper(), folded(name)):
        same = apsw.Connection("").execute(query, (name, other)).get
        assert bool(same) is (folded(name) == folded(other))
