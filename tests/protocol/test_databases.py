"""A greeting names the database that its sender means, or none: the main one."""

import pytest

from nexus.protocol.databases import database_of, features_for
from nexus.protocol.messages import VOTES


@pytest.mark.parametrize("name", ["", "orders", "a-b_c", "database:"])
def test_the_name_that_was_put_in_is_the_name_that_comes_out(name: str) -> None:
    assert database_of((VOTES, *features_for(name))) == name


def test_who_names_none_means_the_main_one_and_says_nothing_of_it() -> None:
    assert features_for("") == ()
    assert database_of((VOTES,)) == ""
