"""Rows whose values have names."""

import pytest

from nexus.client.row import Row


class Described:
    """What a row needs of a cursor."""

    description = tuple((name, *[None] * 6) for name in ("id", "Name", "ÄÖ"))


def made(*values: object) -> Row:
    return Row(Described(), values)


def test_a_value_is_found_by_number_by_slice_and_by_name_in_any_case() -> None:
    row = made(1, "x", None)

    assert (row[0], row[-1], row[0:2], row["NAME"]) == (1, None, (1, "x"), "x")
    assert row.keys() == ["id", "Name", "ÄÖ"]
    assert (len(row), list(row), list(reversed(row))) == (
        3,
        [1, "x", None],
        [None, "x", 1],
    )


@pytest.mark.parametrize("key", ["äö", "nobody", 3, None, 1.0])
def test_a_name_or_number_that_is_none_of_its_own_is_an_index_error(
    key: object,
) -> None:
    with pytest.raises(IndexError):
        made(1, 2, 3)[key]


def test_rows_of_equal_names_and_values_are_equal() -> None:
    assert made(1, 2, 3) == made(1, 2, 3)
    assert hash(made(1, 2, 3)) == hash(made(1, 2, 3))
    assert made(1, 2, 3) != made(1, 2, 4)
    assert made(1, 2, 3) != (1, 2, 3)
    assert "(1, 2, 3)" in repr(made(1, 2, 3))


def test_only_a_tuple_makes_a_row() -> None:
    with pytest.raises(TypeError, match="must be tuple, not list"):
        Row(Described(), [1])  # type: ignore[arg-type]
