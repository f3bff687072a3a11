"""`Row`: a row whose values have names, as sqlite3.Row."""

from collections.abc import Iterator, Sequence
from typing import Any

from typing_extensions import override

from nexus.model.names import folded


class Row:
    """Values by number, slice or name; names match in any case of ASCII's letters."""

    __slots__ = ("_description", "_values")

    def __init__(self, cursor: Any, values: tuple[Any, ...], /) -> None:
        if not isinstance(values, tuple):
            raise TypeError(
                f"Row() argument 2 must be tuple, not {type(values).__name__}"
            )
        self._description = cursor.description or ()
        self._values = values

    def keys(self) -> list[str]:
        """The columns' names."""
        return [column[0] for column in self._description]

    def __getitem__(self, key: Any, /) -> Any:
        if isinstance(key, str):
            wanted = folded(key)
            for index, column in enumerate(self._description):
                if column[0] == key or folded(column[0]) == wanted:
                    return self._values[index]
            raise IndexError("No item with that key")
        if isinstance(key, int | slice):
            return self._values[key]
        raise IndexError("Index must be int or string")

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __reversed__(self) -> Iterator[Any]:
        return iter(self._values[::-1])

    @override
    def __hash__(self) -> int:
        return hash(self._description) ^ hash(self._values)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return self._description == other._description and self._values == other._values

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} {self._values!r}>"


Sequence.register(Row)
