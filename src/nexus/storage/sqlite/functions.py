"""The user's own SQL functions: modules that register them on every connection.

A module named in the setting `functions` has `register(connection)`, written as for
Python's `sqlite3`: it calls the connection's `create_function`, `create_aggregate` and
`create_collation`, and may ask with `execute`. Such a module serves both, unchanged.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import apsw

from nexus.errors import ConfigurationError

Register = Callable[["Registry"], None]


class Registry:
    """One connection, as a module's `register` sees it: that of `sqlite3`.

    https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.create_function
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def create_function(
        self,
        name: str,
        narg: int,
        func: Callable[..., Any],
        /,
        *,
        deterministic: bool = False,
    ) -> None:
        """Have `name` with `narg` arguments (-1: any number) call `func`."""
        self._connection.create_scalar_function(
            name, _told(name, func), narg, deterministic=deterministic
        )

    def create_aggregate(
        self, name: str, n_arg: int, aggregate_class: Callable[[], Any], /
    ) -> None:
        """Have `name` call `step(*arguments)` for each row, `finalize()` at the end."""

        def begin() -> tuple[Any, Callable[..., None], Callable[[Any], Any]]:
            return (
                aggregate_class(),
                _told(name, lambda rows, *values: rows.step(*values)),
                _told(name, lambda rows: rows.finalize()),
            )

        self._connection.create_aggregate_function(name, begin, n_arg)

    def create_collation(
        self, name: str, compare: Callable[[str, str], int], /
    ) -> None:
        """Order texts by `compare`, which is below, at or above 0."""
        self._connection.create_collation(name, _told(name, compare))

    def execute(self, sql: str, /) -> Any:
        """Ask SQLite what it has, before anything is created; a cursor."""
        return self._connection.execute(sql)


class Functions:
    """What the modules of a node's setting register."""

    def __init__(self, registers: Sequence[Register] = ()) -> None:
        self._registers = registers

    @classmethod
    def of_modules(cls, names: Sequence[str]) -> "Functions":
        """Import the modules; raises ConfigurationError naming the one that fails."""
        return cls([_register_of(name) for name in names])

    def add_to(self, connection: apsw.Connection) -> None:
        """Register all of them on `connection`."""
        registry = Registry(connection)
        for register in self._registers:
            register(registry)


NO_FUNCTIONS: Final = Functions()


def _register_of(name: str) -> Register:
    try:
        register: Register = import_module(name).register
    except AttributeError:
        raise ConfigurationError(
            f"functions: the module {name} has no register(connection) that creates "
            "SQL functions"
        ) from None
    except Exception as error:  # a module may raise what it likes
        raise ConfigurationError(
            f"functions: the module {name} cannot be imported: {error}; is it "
            "installed in the node's environment, and on its PYTHONPATH?"
        ) from error
    return register


def _told(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, whose failure is the statement's error and no bug of the node's."""

    def calling(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:
            raise apsw.SQLError(
                f"the function {name} raised {type(error).__name__}: {error}"
            ) from error

    return calling
