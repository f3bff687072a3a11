"""What a statement's text asks of a connection: its kind, and how it is bound."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from nexus.client.converters import plain, to_value
from nexus.client.exceptions import OperationalError, ProgrammingError
from nexus.client.session import Row
from nexus.model.statements import (
    StatementKind,
    classify,
    has_several,
    identifiers,
    parameters,
    words,
)

REMEMBERED: Final = 4096
LONGEST_REMEMBERED: Final = 4096
"""Texts and characters; together they bound what is remembered."""

_BEYOND: Final = 1 << 63

MOST_PARAMETERS: Final = 250_000
"""Places; SQLite itself is built with fewer or as many."""


class Plan(msgspec.Struct, frozen=True):
    """What there is to know of a text before it is run."""

    sql: str
    kind: StatementKind
    names: tuple[str | None, ...]
    """Of its parameters, without the sign; None where one has only a place."""
    inserts: bool
    """Whether it is an INSERT or REPLACE, and so has a rowid to tell."""
    changes_rows: bool
    """Whether it begins with INSERT, UPDATE, DELETE or REPLACE, and so begins a
    transaction and counts: with WITH before them it does neither, as in sqlite3."""


_plans: Final[dict[str, Plan]] = {}


def plan_for(sql: str) -> Plan:
    """The plan of a text; raises ProgrammingError where it is no single statement."""
    plan = _plans.get(sql)
    if plan is not None:
        return plan
    plan = _read(sql)
    if len(sql) <= LONGEST_REMEMBERED:
        if len(_plans) >= REMEMBERED:
            _plans.clear()
        _plans[sql] = plan
    return plan


def bind(plan: Plan, parameters: Any) -> Row:
    """The values by place, as SQLite numbers them.

    Raises ProgrammingError, and what Python raises for a value of no use.
    """
    names = plan.names
    if type(parameters) is not tuple:
        if isinstance(parameters, Mapping):
            return _bind_names(names, parameters)
        if not hasattr(type(parameters), "__getitem__"):
            raise ProgrammingError("parameters are of unsupported type")
        parameters = tuple([parameters[index] for index in range(len(parameters))])
    given: Row = parameters
    if not given and not names:
        return given
    if len(given) != len(names):
        raise ProgrammingError(
            "Incorrect number of bindings supplied. The current statement uses "
            f"{len(names)}, and there are {len(given)} supplied."
        )
    if not all(map(_is_ready, given)):
        return tuple([to_value(v, n) for n, v in enumerate(given, 1)])
    return given


def bind_all(plan: Plan, parameters: Iterable[Any]) -> list[Row]:
    """The same for each of many; raises what `bind` raises for the first that fails.

    Most loads are lists of tuples that can go to SQLite as they are: that is seen in a
    third of the time by looking at whole columns.
    """
    if type(parameters) in (list, tuple):  # another one may be read but once
        rows = list(parameters)
        if _are_ready(rows, len(plan.names)):
            return rows
    return [bind(plan, one) for one in parameters]


def _are_ready(rows: Sequence[Any], size: int) -> bool:
    """Whether all are tuples of this size whose values go to SQLite as they are."""
    if set(map(type, rows)) != {tuple} or set(map(len, rows)) != {size}:
        return False
    values = list(chain.from_iterable(rows))
    return all(_is_column_ready(values[place::size]) for place in range(size))


def _is_column_ready(values: Sequence[Any]) -> bool:
    kinds = set(map(type, values))
    if not kinds <= plain:
        return False
    if kinds == {str}:
        return all(map(str.isascii, values))
    if kinds == {int}:
        try:
            array("q", values)
        except OverflowError:
            return False
        return True
    return kinds <= {float, bytes} or all(map(_is_ready, values))


def _is_ready(value: Any) -> bool:
    """Whether a parameter can go to SQLite as it is; quick, for most can."""
    kind = type(value)
    if kind not in plain:
        return False
    if kind is int:
        return bool(-_BEYOND <= value < _BEYOND)
    return kind is not str or bool(value.isascii())


def _bind_names(names: tuple[str | None, ...], parameters: Mapping[str, Any]) -> Row:
    values = []
    for number, name in enumerate(names, 1):
        if name is None:
            raise ProgrammingError(
                f"Binding {number} has no name, but you supplied a dictionary (which "
                "has only names)."
            )
        try:
            given = parameters[name]
        except LookupError:
            raise ProgrammingError(
                f"You did not supply a value for binding parameter :{name}."
            ) from None
        values.append(to_value(given, number))
    return tuple(values)


def _read(sql: str) -> Plan:
    sql.encode()  # a lone surrogate: UnicodeEncodeError, as sqlite3 has it
    if "\0" in sql:
        raise ProgrammingError("the query contains a null character")
    if has_several(sql):
        raise ProgrammingError("You can only execute one statement at a time.")
    kind = classify(sql)
    first = words(sql, most=1)[0].lower() if kind is StatementKind.WRITE else ""
    verbs = identifiers(sql) if first == "with" else {first}
    return Plan(
        sql,
        kind,
        _names(sql),
        inserts=bool(verbs & {"insert", "replace"}),
        changes_rows=first not in ("", "with"),
    )


def _names(sql: str) -> tuple[str | None, ...]:
    """The parameters' names by place, without the sign."""
    try:
        written = parameters(sql, most=MOST_PARAMETERS)
    except ValueError:
        raise OperationalError(
            f"variable number must be between ?1 and ?{MOST_PARAMETERS}"
        ) from None
    return tuple([text[1:] or None for text in written])
