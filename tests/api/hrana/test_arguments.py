import pytest

from nexus.api.hrana.arguments import bind, parameters
from nexus.api.hrana.messages import IntegerValue, NamedArg, NullValue
from nexus.api.refusals import ArgumentsError

ONE, TWO = IntegerValue("1"), IntegerValue("2")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ()),
        ("select ?, ?", ("?", "?")),
        ("select ?2, ?", ("", "?2", "?")),
        ("select :a, :a, @a, $a", (":a", "@a", "$a")),
        ("select ?2, :b, ?12", ("", "?2", ":b", *[""] * 8, "?12")),
        ("select '?', \"?\", `:a` -- ?\n /* ? */", ()),
    ],
)
def test_parameters_are_numbered_as_sqlite_does(
    sql: str, expected: tuple[str, ...]
) -> None:
    assert parameters(sql) == expected


@pytest.mark.parametrize("sql", ["select ?0", "select ?32767"])
def test_a_number_beyond_sqlites_is_refused(sql: str) -> None:
    with pytest.raises(ArgumentsError, match=r"between \?1 and"):
        parameters(sql)


def test_what_comes_by_name_goes_before_what_comes_by_place() -> None:
    named = [NamedArg("a", TWO)]

    assert bind("select :a, ?", [ONE, ONE], named) == (2, 1)


def test_a_place_that_no_parameter_has_needs_no_argument() -> None:
    assert bind("select ?2", [], [NamedArg("?2", ONE)]) == (None, 1)
    assert bind("select ?1", [NullValue()], []) == (None,)


@pytest.mark.parametrize(
    ("sql", "args", "named", "message"),
    [
        ("select ?", [], [], r"parameter 1 \(\?\) has no argument"),
        ("select :a", [], [], r"parameter 1 \(:a\)"),
        ("select 1", [ONE], [], "0 parameters, and 1 arguments"),
        ("select :a", [], [NamedArg("b", ONE)], "no parameter 'b'"),
        ("select :a", [], [NamedArg("@a", ONE)], "no parameter '@a'"),
    ],
)
def test_parameters_and_arguments_that_do_not_fit_are_refused(
    sql: str, args: list[IntegerValue], named: list[NamedArg], message: str
) -> None:
    with pytest.raises(ArgumentsError, match=message):
        bind(sql, list(args), named)
