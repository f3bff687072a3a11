"""What a statement's text asks for, and how it is bound."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.client import parameters
from nexus.client.exceptions import OperationalError, ProgrammingError
from nexus.client.parameters import bind, bind_all, plan_for

PIECES = [
    "?",
    "?1",
    "?3",
    "?12",
    ":a",
    "@a",
    "$a",
    ":b",
    "$b::c",
    "'?'",
    '"x"',
    "/*?*/ 1",
]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_parameters_have_the_places_and_names_that_sqlite_gives_them(
    pieces: list[str],
) -> None:
    sql = f"select {','.join(pieces)}"
    names = plan_for(sql).names
    cursor = apsw.Connection(":memory:").cursor()
    cursor.execute(sql, (None,) * len(names))  # a wrong number is an error

    assert tuple(cursor.bindings_names) == names


def test_names_are_bound_by_place_whatever_kind_of_mapping_has_them() -> None:
    plan = plan_for("select :a, :b, :a")

    assert bind(plan, {"b": 2, "a": 1}) == (1, 2)
    assert bind(plan, defaultdict(int)) == (0, 0)
    assert bind(plan, [1, 2]) == (1, 2)


@pytest.mark.parametrize(
    ("sql", "given", "complaint"),
    [
        ("select ?", (), "uses 1, and there are 0"),
        ("select ?", {"a": 1}, "Binding 1 has no name"),
        ("select :a", {}, "parameter :a"),
        ("select ?", 5, "unsupported type"),
        ("select ?", iter([1]), "unsupported type"),
    ],
)
def test_parameters_that_do_not_fit_are_the_programs_error(
    sql: str, given: Any, complaint: str
) -> None:
    with pytest.raises(ProgrammingError, match=complaint):
        bind(plan_for(sql), given)


class Text(str):
    """A value of a kind that has to be made a plain one."""

    __slots__ = ()


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, True, Text("a")]),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.sampled_from(["ascii", "\ud800", "Zürich"]),
    st.binary(max_size=3),
    st.just(object()),
)
COLUMNS = st.sampled_from([VALUES, st.integers(0, 9), st.just("text"), st.none()])
PAIRS = st.tuples(COLUMNS, COLUMNS).flatmap(lambda kinds: st.lists(st.tuples(*kinds)))
ODD = st.one_of(PAIRS, st.lists(st.lists(VALUES, max_size=3).map(tuple)))


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What it gives, types and all, or what it raises."""
    try:
        rows = call()
    except Exception as error:  # noqa: BLE001 - compared with the other's
        return type(error), str(error)
    return rows, [[type(value) for value in row] for row in rows]


@given(ODD)
def test_many_rows_are_bound_as_each_of_them_is(rows: list[tuple[Any, ...]]) -> None:
    plan = plan_for("insert into t values (?, ?)")

    assert outcome(lambda: bind_all(plan, rows)) == outcome(
        lambda: [bind(plan, row) for row in rows]
    )


def test_rows_that_are_read_but_once_may_share_one_object() -> None:
    plan = plan_for("insert into t values (?)")
    row = [0]

    def reused() -> Iterator[list[int]]:
        for row[0] in range(3):
            yield row

    assert bind_all(plan, reused()) == [(0,), (1,), (2,)]


@pytest.mark.parametrize("sql", ["select 1; select 2", "select '\0'"])
def test_a_text_that_is_no_single_statement_has_no_plan(sql: str) -> None:
    with pytest.raises(ProgrammingError):
        plan_for(sql)


def test_a_place_beyond_sqlites_is_refused() -> None:
    with pytest.raises(OperationalError, match="between"):
        plan_for("select ?999999")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "REMEMBERED", 2)
    for number in range(5):
        plan_for(f"select {number}")
    long = f"select '{'x' * parameters.LONGEST_REMEMBERED}'"
    plan_for(long)

    assert len(parameters._plans) <= 2
    assert long not in parameters._plans


@pytest.mark.parametrize(
    ("sql", "inserts"),
    [
        ("insert into t values (1)", True),
        ("replace into t values (1)", True),
        ("with x as (select 1) insert into t select * from x", True),
        ("update t set a = 1", False),
        ("select 1", False),
    ],
)
def test_an_insert_is_known_by_its_verb(sql: str, *, inserts: bool) -> None:
    assert plan_for(sql).inserts is inserts
