"""Show where in a statement SQLite met an error."""

from typing import Final

from nexus.model.statements import split

MARGIN: Final = "  "


def pointed(sql: str, index: int, error_offset: int | None) -> str:
    """The line at fault of the text's statement `index`, a caret under the place.

    `error_offset` counts the statement's bytes in UTF-8, as `sqlite3_error_offset`
    does. Empty where nothing can be shown.
    """
    statements = split(sql)
    if error_offset is None or index >= len(statements):
        return ""
    statement = statements[index]
    before = statement.encode()[:error_offset].decode(errors="replace")
    first = before.rpartition("\n")[2]
    line = statement.split("\n")[before.count("\n")]
    # A tab stays a tab, so that the caret stands where the eye looks.
    blank = "".join("\t" if letter == "\t" else " " for letter in first)
    return f"{MARGIN}{line}\n{MARGIN}{blank}^"
