"""What fits at the cursor comes from the database itself."""

from collections.abc import Sequence

import pytest

from nexus.cli.answer import Answer
from nexus.cli.sources import FileSource
from nexus.cli.sql.completion import Schema, candidates, read_schema
from nexus.errors import StatementError

SCHEMA = Schema(
    {"artists": ("id", "name"), "albums": ("id", "artist_id", "title")},
    ("abs", "group_concat"),
)


@pytest.mark.parametrize(
    ("before", "word", "first"),
    [
        ("select * from al", "al", ["albums"]),
        ("select * from ", "", ["artists", "albums"]),
        ("insert into ar", "ar", ["artists"]),
        ("select a.n from artists a where a.", "", ["id", "name"]),
        ("select albums.t", "t", ["title"]),
        ("select 1 from albums b join artists as r on r.n", "n", ["name"]),
        ("update albums set ti", "ti", ["title"]),
        ("select * from albums where ar", "ar", ["artist_id", "artists"]),
        ("SEL", "SEL", ["SELECT"]),
        ("sel", "sel", ["select"]),
        ("select group_c", "group_c", ["group_concat"]),
        ("select 1 + ", "", []),
        ("select 1", "", []),
    ],
)
def test_the_likeliest_names_come_first(
    before: str, word: str, first: list[str]
) -> None:
    found, names = candidates(before, SCHEMA)

    assert found == word
    assert names[: len(first)] == first
    assert names or not first


def test_no_name_is_offered_twice() -> None:
    _, names = candidates("select 1 from albums join artists on i", SCHEMA)

    assert names.count("id") == 1


def test_tables_and_views_and_functions_are_read(source: FileSource) -> None:
    schema = read_schema(source)

    assert schema.columns == {
        "artists": ("id", "name"),
        "albums": ("id", "artist_id", "title"),
        "long_titles": ("title",),
    }
    assert {"abs", "json_each"} & set(schema.functions) == {"abs"}


class Deaf:
    """A node that refuses everything."""

    name = "deaf"
    holds_writer = False
    most_at_once = 1

    def run(self, sql: str) -> Answer:
        raise StatementError(f"not {sql}")

    def run_each(self, statements: Sequence[str]) -> Answer:
        return self.run(statements[0])

    def close(self) -> None:
        """Nothing is held."""


def test_what_a_node_does_not_tell_is_not_offered() -> None:
    assert read_schema(Deaf()) == Schema()
