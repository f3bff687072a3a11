"""The caret stands under the place that SQLite names."""

import apsw
import pytest

from nexus.cli.sql.caret import pointed
from nexus.storage.sqlite.complaints import error_offset


def met(sql: str) -> int | None:
    """Where SQLite says that the error is."""
    with pytest.raises(apsw.Error) as caught:
        apsw.Connection(":memory:").execute(sql)
    return error_offset(caught.value)


@pytest.mark.parametrize(
    ("sql", "line", "under"),
    [
        ("select missing;", "select missing;", "missing"),
        ("select 'ä€😀', missing", "select 'ä€😀', missing", "missing"),
        ("select 1,\n\tmissing\nfrom sqlite_schema", "\tmissing", "missing"),
        ("selec 1", "selec 1", "selec"),
    ],
)
def test_the_caret_stands_under_the_word_at_fault(
    sql: str, line: str, under: str
) -> None:
    shown, _, marked = pointed(sql, 0, met(sql)).partition("\n")

    assert shown == f"  {line}"
    assert marked == "  " + line[: line.index(under)].translate(SPACES) + "^"


SPACES = {code: " " for code in range(0x20000) if chr(code) != "\t"}


def test_the_statement_at_fault_is_the_one_that_is_shown() -> None:
    text = "select 1; select missing; select 2"

    assert pointed(text, 1, 7) == "  select missing;\n         ^"


def test_an_error_of_no_place_shows_nothing() -> None:
    assert pointed("select 1", 0, None) == ""
    assert pointed("select 1", 3, 0) == ""
