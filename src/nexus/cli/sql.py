"""Run SQL: one statement, a script, or a shell with history."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import apsw
import typer
from rich.text import Text

from nexus.cli.options import AsJson, SecretFile
from nexus.cli.remote import known_secret
from nexus.cli.sources import Answer, Rows, Source, open_source, write_value
from nexus.cli.terminal import console, count, plain_table, print_error, print_json
from nexus.errors import NexusError

try:
    import readline
except ImportError:  # pragma: no cover - a Python built without it has no history
    readline = None  # type: ignore[assignment]

HISTORY_FILE: Final = Path("~/.nexus_history")
HISTORY_LINES: Final = 1000
PROMPT: Final = "nexus> "
CONTINUATION: Final = "   ...> "
HELP: Final = """\
End a statement with ';'. Several on one line are one transaction.
  .tables          the tables and views
  .schema [NAME]   how they were made
  .quit            leave (or Ctrl-D)"""

Show = Callable[[Answer], None]


def sql(
    target: Annotated[
        str,
        typer.Argument(metavar="URL|DIR", help="A node, or a data directory to read."),
    ],
    statement: Annotated[
        str | None,
        typer.Argument(help="SQL to run; without it, a shell (or standard input)."),
    ] = None,
    *,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    secret_file: SecretFile = None,
) -> None:
    """Run SQL on a node, or read a data directory."""
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    show = show_json if as_json else show_csv if as_csv else show_table
    source = open_source(target, known_secret(secret_file))
    try:
        if statement is not None:
            show(source.run(statement))
        elif sys.stdin.isatty():
            shell(source, show)
        else:
            for text in complete_statements(sys.stdin):
                show(source.run(text))
    finally:
        source.close()


def complete_statements(lines: Iterable[str]) -> Iterator[str]:
    """Group lines into texts that end with a whole statement."""
    pending = ""
    for line in lines:
        pending += line if line.endswith("\n") else f"{line}\n"
        if apsw.complete(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending


def shell(source: Source, show: Show) -> None:
    """Read, run, print, until the end of input; an error ends no session."""
    print(f"{source.name}   (.help for help)")
    _load_history()
    try:
        for text in _typed():
            if not _command(text.strip(), source):
                return
            if text.lstrip().startswith("."):
                continue
            try:
                show(source.run(text))
            except NexusError as error:
                print_error(str(error))
    finally:
        _save_history()


def show_table(answer: Answer) -> None:
    """For people: tables, and what a write did."""
    for result in answer.results:
        if result.columns:
            console().print(_table(result))
        elif result.rows_affected < 0:
            print("done")  # a statement that counts no rows, like CREATE TABLE
        else:
            print(f"{count(result.rows_affected)} {_plural(result, 'row')} changed")
    if answer.offset:
        nodes = f"{answer.durable_on} node{'' if answer.durable_on == 1 else 's'}"
        line = f"{answer.outcome} at offset {count(answer.offset)}, durable on {nodes}"
        console().print(Text(line, style="dim"))


def show_json(answer: Answer) -> None:
    """For programs: every result with its columns and rows."""
    document: dict[str, object] = {
        "results": [
            {
                "columns": result.columns,
                "rows": [[write_value(cell) for cell in row] for row in result.rows],
                "rows_affected": result.rows_affected,
                "last_insert_rowid": result.last_insert_rowid,
            }
            for result in answer.results
        ]
    }
    if answer.offset:
        document |= {
            "offset": answer.offset,
            "epoch": answer.epoch,
            "outcome": answer.outcome,
            "durable_on": answer.durable_on,
        }
    print_json(document)


def show_csv(answer: Answer) -> None:
    """For spreadsheets: the rows of every query, each under its header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for result in answer.results:
        if result.columns:
            writer.writerow(result.columns)
            writer.writerows([_text(cell) for cell in row] for row in result.rows)


def _table(result: Rows) -> object:
    table = plain_table()
    for place, column in enumerate(result.columns):
        numeric = any(isinstance(row[place], int | float) for row in result.rows[:20])
        table.add_column(Text(column), justify="right" if numeric else "left")
    for row in result.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return Text(str(_text(value)))


def _text(value: object) -> object:
    return f"x'{value.hex()}'" if isinstance(value, bytes) else value


def _plural(result: Rows, noun: str) -> str:
    return noun if result.rows_affected == 1 else f"{noun}s"


def _typed() -> Iterator[str]:
    pending = ""
    while True:
        try:
            line = input(CONTINUATION if pending else PROMPT)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            # As in every shell: Ctrl-C drops what was typed, not the session.
            print()
            pending = ""
            continue
        pending += f"{line}\n"
        if not pending.strip():
            pending = ""
        elif pending.startswith(".") or apsw.complete(pending):
            yield pending
            pending = ""


def _command(text: str, source: Source) -> bool:
    """Do a dot command; False ends the shell."""
    if not text.startswith("."):
        return True
    name, _, argument = text.partition(" ")
    wanted = argument.strip().replace("'", "''")
    match name:
        case ".quit" | ".exit":
            return False
        case ".tables":
            _list(
                source,
                "select name from sqlite_schema where type in ('table', 'view') "
                "and name not like 'sqlite#_%' escape '#' "
                "and name not like 'nexus#_%' escape '#' order by name",
            )
        case ".schema":
            _list(
                source,
                "select sql || ';' from sqlite_schema where sql is not null "  # noqa: S608
                "and name not like 'nexus#_%' escape '#' "
                f"and ('{wanted}' = '' or tbl_name = '{wanted}')",
            )
        case _:
            print(HELP)
    return True


def _list(source: Source, query: str) -> None:
    try:
        for result in source.run(query).results:
            for row in result.rows:
                print(row[0])
    except NexusError as error:
        print_error(str(error))


def _load_history() -> None:
    if readline is not None:
        with suppress(OSError):
            readline.read_history_file(HISTORY_FILE.expanduser())


def _save_history() -> None:
    if readline is not None:
        with suppress(OSError):
            readline.set_history_length(HISTORY_LINES)
            readline.write_history_file(HISTORY_FILE.expanduser())
