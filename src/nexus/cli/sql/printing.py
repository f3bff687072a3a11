"""Print what statements gave: for people, for spreadsheets, for programs."""

import csv
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

import msgspec
from rich.text import Text

from nexus.api.values import write_value
from nexus.cli.answer import Answer, Rows
from nexus.cli.terminal import console, count, harmless, harmless_json, plain_table

Show = Callable[[Answer], None]

_encode: Final = msgspec.json.Encoder().encode


class Mode(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    LINE = "line"
    LIST = "list"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"


def _show_table(answer: Answer) -> None:
    """For people: tables, and what a write did."""
    for result in answer.results:
        if result.columns:
            console().print(_table(result))
        else:
            _say_changed(result)
    _say_offset(answer)


def _show_lines(answer: Answer) -> None:
    """One column a line: for rows that are wider than the screen."""
    for result in answer.results:
        width = max(map(len, result.columns), default=0)
        for number, row in enumerate(result.rows):
            if number:
                print()
            for column, value in zip(result.columns, row, strict=True):
                print(harmless(f"{column:>{width}} = {written(value)}"))
        if not result.columns:
            _say_changed(result)
    _say_offset(answer)


def _show_list(answer: Answer) -> None:
    """One row a line, its values between bars, no head: for other tools."""
    for result in answer.results:
        for row in result.rows:
            print("|".join("" if value is None else _plain(value) for value in row))


def _show_markdown(answer: Answer) -> None:
    """A table as Markdown writes it."""
    for result in answer.results:
        if result.columns:
            print(_barred(map(_plain, result.columns)))
            print(_barred("---" for _ in result.columns))
            for row in result.rows:
                print(_barred(map(_plain, row)))


def _show_json(answer: Answer) -> None:
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
    print(harmless_json(msgspec.json.format(_encode(document), indent=2).decode()))


def _show_csv(answer: Answer) -> None:
    """For spreadsheets: the rows of every query, each under its header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for result in answer.results:
        if result.columns:
            writer.writerow(map(_plain, result.columns))
            writer.writerows(
                ["" if cell is None else _plain(cell) for cell in row]
                for row in result.rows
            )


SHOWS: Final[dict[Mode, Show]] = {
    Mode.TABLE: _show_table,
    Mode.LINE: _show_lines,
    Mode.LIST: _show_list,
    Mode.CSV: _show_csv,
    Mode.JSON: _show_json,
    Mode.MARKDOWN: _show_markdown,
}


def written(value: object) -> str:
    """A value as SQL would write it, text without quotes."""
    if value is None:
        return "NULL"
    return f"x'{value.hex()}'" if isinstance(value, bytes) else str(value)


def _plain(value: object) -> str:
    """The value itself for other tools, and what is harmless on a terminal."""
    return harmless(written(value)) if sys.stdout.isatty() else written(value)


def _table(result: Rows) -> object:
    table = plain_table()
    for place, column in enumerate(result.columns):
        numeric = any(isinstance(row[place], int | float) for row in result.rows[:20])
        table.add_column(Text(harmless(column)), justify="right" if numeric else "left")
    for row in result.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> Text:
    return Text(harmless(written(value)), style="dim" if value is None else "")


def _barred(cells: Iterable[str]) -> str:
    safe = (cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(safe)} |"


def _say_changed(result: Rows) -> None:
    if result.rows_affected < 0:
        print("done")  # a statement that counts no rows, like CREATE TABLE
    else:
        rows = "row" if result.rows_affected == 1 else "rows"
        print(f"{count(result.rows_affected)} {rows} changed")


def _say_offset(answer: Answer) -> None:
    if answer.offset:
        line = f"{answer.outcome} at offset {count(answer.offset)}"
        if answer.durable_on:
            line += f", durable on {answer.durable_on} node"
            line += "" if answer.durable_on == 1 else "s"
        console().print(Text(line, style="dim"))
