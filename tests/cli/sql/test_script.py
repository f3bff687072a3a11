"""Lines become entries where a statement is whole."""

from nexus.cli.sql.script import MOST_CHARACTERS, Entry, entries, grouped, is_whole


def test_lines_join_until_a_statement_is_whole() -> None:
    lines = [
        "create trigger r after insert on t begin\n",
        "  delete from u;\n",
        "end;\n",
        "select 1",
    ]

    assert list(entries(lines)) == [
        Entry("".join(lines[:3]), 1),
        Entry("select 1\n", 4),
    ]


def test_a_dot_command_is_an_entry_of_its_own() -> None:
    lines = ["", ".mode csv", "select", ".5;", ".tables"]

    assert [(one.text, one.line) for one in entries(lines)] == [
        (".mode csv\n", 2),
        ("select\n.5;\n", 3),
        (".tables\n", 5),
    ]


def test_a_semicolon_within_a_string_ends_nothing() -> None:
    assert not is_whole("select ';")
    assert is_whole("select ';';")


def groups(*texts: str, most: int = 100, ready: bool = True) -> list[list[str]]:
    script = [Entry(text) for text in texts]
    found = grouped(script, most=most, is_ready=lambda: ready)
    return [[entry.text for entry in group] for group in found]


def test_statements_that_are_there_are_sent_together_up_to_a_query() -> None:
    write, query = "insert into t values (1);", "select 1;"

    assert groups(write, write, query, write) == [[write, write, query], [write]]
    assert groups(write, write, write, most=2) == [[write, write], [write]]
    assert groups(write, write, ready=False) == [[write], [write]]


def test_a_command_and_what_is_one_transaction_stand_alone() -> None:
    write, both = "delete from t;", "delete from t; delete from u;"

    assert groups(write, ".tables", write, both, write) == [
        [write],
        [".tables"],
        [write],
        [both],
        [write],
    ]


def test_large_statements_are_sent_in_small_groups() -> None:
    large = f"insert into t values ('{'x' * MOST_CHARACTERS}');"

    assert groups(large, large) == [[large], [large]]
