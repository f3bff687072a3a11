"""Lines become entries where a statement is whole."""

from nexus.cli.sql.script import entries, is_whole


def test_lines_join_until_a_statement_is_whole() -> None:
    lines = [
        "create trigger r after insert on t begin\n",
        "  delete from u;\n",
        "end;\n",
        "select 1",
    ]

    assert list(entries(lines)) == ["".join(lines[:3]), "select 1\n"]


def test_a_dot_command_is_an_entry_of_its_own() -> None:
    lines = ["", ".mode csv", "select", ".5;", ".tables"]

    assert list(entries(lines)) == [".mode csv\n", "select\n.5;\n", ".tables\n"]


def test_a_semicolon_within_a_string_ends_nothing() -> None:
    assert not is_whole("select ';")
    assert is_whole("select ';';")
