"""Tell what of a database replicates as it is, and what needs a change first."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Group
from rich.text import Text

from nexus.cli.options import AsJson, FunctionModules, functions_of
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import console, harmless, in_a_line, plain_table, print_json
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.findings import Report
from nexus.storage.importing.preflight import check as check_database

LEVELS: Final = {
    "ok": ("as it is", "green"),
    "cared": ("cared for", "cyan"),
    "look": ("look at it", "yellow"),
    "change": ("change it", "bold red"),
}
"""How a finding's level is said, and its colour."""

DatabaseFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A SQLite database, which is only read.")
]


def check(
    file: DatabaseFile, *, functions: FunctionModules = "", as_json: AsJson = False
) -> None:
    """Report what in a database must change to replicate it."""
    refuse_directory(file)
    report = check_database(file, functions_of(functions))
    if as_json:
        print_json(report_document(report))
    else:
        console().print(findings_table(report))
    if not report.ok:
        raise NotDoneError(refusal(file, report))


def refuse_directory(path: Path) -> None:
    """Raise NotDoneError for a directory, which says what was meant instead."""
    database = DataDirectory(path).database
    try:
        is_directory, is_of_a_node = path.is_dir(), database.is_file()
    except OSError:
        return  # what cannot be looked into is told of as a file is
    if not is_directory:
        return
    if is_of_a_node:
        raise NotDoneError(
            f"'{path}' is a node's data directory: its {database.name} replicates "
            "already; name the file of a database that is to be imported"
        )
    raise NotDoneError(
        f"'{path}' is a directory; name the file of an SQLite database in it"
    )


def report_document(report: Report) -> dict[str, Any]:
    """For --json."""
    return {"ok": report.ok, **msgspec.to_builtins(report)}


def findings_table(report: Report) -> Group:
    """A row for each finding; under the table, the statements that mend them."""
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("table", no_wrap=True)
    table.add_column("what")
    table.add_column("why", style="dim")
    urgency = list(reversed(LEVELS))
    for finding in sorted(
        report.findings, key=lambda one: (urgency.index(one.level), one.table)
    ):
        words, style = LEVELS[finding.level]
        table.add_row(
            Text(words, style=style),
            Text(in_a_line(finding.table)),
            Text(in_a_line(finding.what)),
            Text(in_a_line(finding.why)),
        )
    if not report.findings:
        table.add_row(Text("as it is", style=LEVELS["ok"][1]), "", "there is no table")
    statements = [finding.statement for finding in report.findings]
    mends = [harmless(statement) for statement in statements if statement]
    if not mends:
        return Group(table)
    return Group(
        table, Text("\nrun before the import:", style="bold"), *map(Text, mends)
    )


def refusal(file: Path, report: Report) -> str:
    """Why this database cannot be imported, in one line."""
    changes = [finding for finding in report.findings if finding.level == "change"]
    tables = ", ".join(sorted({finding.table or file.name for finding in changes}))
    number = f"{len(changes)} change{'' if len(changes) == 1 else 's'}"
    return (
        f"'{file}' needs {number} before it can be replicated ({tables}); "
        f"nexus check {file} shows what to do"
    )
