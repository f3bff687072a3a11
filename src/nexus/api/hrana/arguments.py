"""Bind a statement's arguments by place, whether they come by place or by name."""

from collections.abc import Sequence
from typing import Any, Final

from nexus.api.hrana.messages import NamedArg, Value
from nexus.api.hrana.values import read_value
from nexus.api.refusals import ArgumentsError
from nexus.model.statements import parameters as numbered
from nexus.model.statements import remembered

MOST_PARAMETERS: Final = 32_766
"""Of one statement, as SQLite has it."""

_SIGNS: Final = ":@$?"


def bind(sql: str, args: list[Value], named_args: list[NamedArg]) -> tuple[Any, ...]:
    """A value for each parameter of `sql`.

    What comes by name goes before what comes by place. Raises ArgumentsError where a
    parameter has no argument, or an argument no parameter.
    """
    if not args and not named_args and not any(sign in sql for sign in _SIGNS):
        return ()
    names = parameters(sql)
    if len(args) > len(names):
        raise ArgumentsError(
            f"the statement has {len(names)} parameters, and {len(args)} arguments came"
        )
    values = dict(enumerate(map(read_value, args)))
    for named in named_args:
        values[_place_of(named.name, names)] = read_value(named.value)
    missing = [
        place for place, name in enumerate(names) if name and place not in values
    ]
    if missing:
        at = missing[0]
        raise ArgumentsError(f"parameter {at + 1} ({names[at]}) has no argument")
    return tuple(values.get(place) for place in range(len(names)))


def _place_of(name: str, names: Sequence[str]) -> int:
    spelled = [name] if name[:1] in _SIGNS else [sign + name for sign in ":@$"]
    for each in spelled:
        if each in names:
            return names.index(each)
    raise ArgumentsError(f"the statement has no parameter {name!r}")


@remembered
def parameters(sql: str) -> tuple[str, ...]:
    """The statement's parameters by place, "" at one that none has.

    Raises ArgumentsError where SQLite has no such place.
    """
    try:
        return numbered(sql, most=MOST_PARAMETERS)
    except ValueError as error:
        raise ArgumentsError(str(error)) from None
