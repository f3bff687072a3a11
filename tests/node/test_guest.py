"""A named database's calls stand under its node's URL."""

from nexus.node.guest import path_of


def test_a_named_database_has_a_path_and_the_main_one_has_none() -> None:
    assert path_of("orders") == "/databases/orders"
    assert path_of("") == ""
