"""REGEXP on every node."""

from sqlalchemy import Engine, literal, select

from nexus.client.sqlalchemy.functions import matches


def test_a_pattern_is_found_anywhere_and_null_matches_nothing() -> None:
    assert matches("b+", "abbc") is True
    assert matches("^b", "abbc") is False
    assert matches("b", None) is None


def test_regexp_match_is_answered_by_the_node(engine: Engine) -> None:
    with engine.connect() as connection:
        found = connection.scalar(select(literal("abbc").regexp_match("b+c$")))

    assert found == 1
