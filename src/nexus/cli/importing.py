"""Make an existing database a node's, after the same check as `nexus check`."""

from nexus.cli.check import (
    DatabaseFile,
    findings_table,
    refusal,
    refuse_directory,
    report_document,
)
from nexus.cli.options import AsJson, FunctionModules, NodeDirectory, functions_of
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import console, print_json
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database
from nexus.storage.importing.preflight import check


def import_file(
    file: DatabaseFile,
    data: NodeDirectory,
    *,
    functions: FunctionModules = "",
    as_json: AsJson = False,
) -> None:
    """Make a node's data directory from an existing database file."""
    refuse_directory(file)
    known = functions_of(functions)
    report = check(file, known)
    if not report.ok:
        if as_json:
            print_json(report_document(report))
        else:
            console().print(findings_table(report))
        raise NotDoneError(refusal(file, report))
    import_database(file, DataDirectory(data), known)
    if as_json:
        print_json({"data_dir": str(data), **report_document(report)})
        return
    print(f"imported '{file}' into '{data}'; start it with nexus serve --data {data}")
