"""What kind of statement a piece of SQL is."""

import pytest

from nexus.model.statements import (
    BeginMode,
    StatementKind,
    begin_mode,
    classify,
    identifiers,
    parameters,
    split,
    tail,
    variables,
)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("select 1", StatementKind.READ),
        (
            "  -- a comment\n/* and\nmore */ INSERT into t values (1)",
            StatementKind.WRITE,
        ),
        ("with x as (select 1) select * from x", StatementKind.READ),
        ("with x as (select 1) delete from t", StatementKind.WRITE),
        ("explain delete from t", StatementKind.READ),
        ("create table t(x)", StatementKind.SCHEMA),
        ("rollback", StatementKind.ROLLBACK),
        ("rollback to savepoint s", StatementKind.ROLLBACK_TO),
        ("rollback transaction to s", StatementKind.ROLLBACK_TO),
        ("end transaction", StatementKind.COMMIT),
        ("analyze", StatementKind.LOCAL),
        ("vacuum into 'x'", StatementKind.VACUUM),
        ("attach 'x' as y", StatementKind.REFUSED),
        ("pragma user_version", StatementKind.PRAGMA),
        (" ; -- nothing", StatementKind.EMPTY),
    ],
)
def test_the_first_words_tell_the_kind(sql: str, kind: StatementKind) -> None:
    assert classify(sql) is kind


@pytest.mark.parametrize(
    ("sql", "mode"),
    [
        ("begin", BeginMode.DEFERRED),
        ("BEGIN DEFERRED TRANSACTION", BeginMode.DEFERRED),
        ("begin immediate", BeginMode.AT_ONCE),
        ("; begin /* now */ Exclusive transaction", BeginMode.AT_ONCE),
        ("begin concurrent", BeginMode.AT_ONCE),
        ("BEGIN TRANSACTION READONLY", BeginMode.READ_ONLY),
    ],
)
def test_a_begin_says_when_it_takes_the_writer(sql: str, mode: BeginMode) -> None:
    assert begin_mode(sql) is mode


def test_a_script_is_split_where_sqlite_ends_its_statements() -> None:
    script = (
        "insert into t values (';');\n"
        "create trigger x after insert on t begin delete from t; end; -- done\n"
        "select 1"
    )

    parts = split(script)

    assert len(parts) == 3
    assert parts[1].startswith("create trigger")
    assert parts[2].endswith("select 1")


def test_identifiers_are_found_in_every_kind_of_quotes() -> None:
    found = identifiers("select \"A b\", [c], `d`, e from main.F where x = 'not_me'")

    assert {"a b", "c", "d", "e", "f"} <= found
    assert "not_me" not in found


def test_a_with_that_leads_to_no_verb_is_left_to_sqlite() -> None:
    assert classify("with x as (select 1)") is StatementKind.READ


def test_behind_the_last_token_there_is_nothing() -> None:
    assert tail("begin immediate;", 1) == "immediate;"
    assert tail("begin immediate;", 2) == ""


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select 1", []),
        ("select '?', \"a?\" -- ?", []),
        ("values (?, ?12, :a, @b, $c, ?)", ["?", "?12", ":a", "@b", "$c", "?"]),
    ],
)
def test_variables_are_found_outside_of_text_alone(sql: str, found: list[str]) -> None:
    assert variables(sql) == found


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select 1", ()),
        ("select ?2, ?, :a, ?2, :a", ("", "?2", "?", ":a")),
        ("select ?, ?1", ("?1",)),
    ],
)
def test_parameters_have_the_places_that_sqlite_gives_them(
    sql: str, found: tuple[str, ...]
) -> None:
    assert parameters(sql, most=9) == found


@pytest.mark.parametrize("sql", ["select ?0", "select ?10"])
def test_a_parameter_beyond_the_last_place_is_none(sql: str) -> None:
    with pytest.raises(ValueError, match=r"between \?1 and \?9"):
        parameters(sql, most=9)
