"""Tell what kind of statement a piece of SQL is, by its first words.

SQLite's grammar decides a statement's kind by its first keyword
(https://www.sqlite.org/lang.html), so that a small reader of tokens is enough; what a
statement then touches is SQLite's own matter. Nothing here parses an expression.
"""

import re
from enum import Enum, auto
from functools import lru_cache
from typing import Final

import apsw


class StatementKind(Enum):
    """What Nexus does with a statement."""

    READ = auto()
    WRITE = auto()
    SCHEMA = auto()
    PRAGMA = auto()
    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    SAVEPOINT = auto()
    RELEASE = auto()
    ROLLBACK_TO = auto()
    LOCAL = auto()
    """ANALYZE, REINDEX: each node's own matter, never logged."""
    VACUUM = auto()
    REFUSED = auto()
    EMPTY = auto()


_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<word>[^\W\d]\w*\$*)
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    | (?P<text>'(?:[^']|'')*')
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_FIRST_WORDS: Final = {
    "SELECT": StatementKind.READ,
    "VALUES": StatementKind.READ,
    "EXPLAIN": StatementKind.READ,
    "INSERT": StatementKind.WRITE,
    "REPLACE": StatementKind.WRITE,
    "UPDATE": StatementKind.WRITE,
    "DELETE": StatementKind.WRITE,
    "CREATE": StatementKind.SCHEMA,
    "DROP": StatementKind.SCHEMA,
    "ALTER": StatementKind.SCHEMA,
    "PRAGMA": StatementKind.PRAGMA,
    "BEGIN": StatementKind.BEGIN,
    "COMMIT": StatementKind.COMMIT,
    "END": StatementKind.COMMIT,
    "SAVEPOINT": StatementKind.SAVEPOINT,
    "RELEASE": StatementKind.RELEASE,
    "ANALYZE": StatementKind.LOCAL,
    "REINDEX": StatementKind.LOCAL,
    "VACUUM": StatementKind.VACUUM,
    "ATTACH": StatementKind.REFUSED,
    "DETACH": StatementKind.REFUSED,
}

_ROW_WORDS: Final = {"SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"}


@lru_cache(maxsize=4096)
def classify(sql: str) -> StatementKind:
    """The kind of the (first) statement in `sql`."""
    found = words(sql, most=2)
    if not found:
        return StatementKind.EMPTY
    first = found[0].upper()
    if first == "WITH":
        return _main_verb(sql)
    if first == "ROLLBACK":
        return (
            StatementKind.ROLLBACK_TO
            if "TO" in (word.upper() for word in words(sql, most=3))
            else StatementKind.ROLLBACK
        )
    return _FIRST_WORDS.get(first, StatementKind.READ)


def _main_verb(sql: str) -> StatementKind:
    """The verb of a statement that begins with WITH: the first one outside brackets."""
    depth = 0
    for kind, text in tokens(sql):
        if text in "()":
            depth += 1 if text == "(" else -1
        elif kind == "word" and depth == 0 and text.upper() in _ROW_WORDS:
            return _FIRST_WORDS[text.upper()]
    return StatementKind.READ


@lru_cache(maxsize=4096)
def may_have_rows(sql: str) -> bool:
    """Whether the statement can give rows: a query, or RETURNING."""
    return classify(sql) is StatementKind.READ or "returning" in identifiers(sql)


def savepoint_name(sql: str) -> str:
    """The name in a SAVEPOINT, RELEASE or ROLLBACK TO; in lower case, as they match."""
    parts = [text for _, text in tokens(sql) if text != ";"]
    return unquote(parts[-1]).lower()


def tokens(sql: str) -> list[tuple[str, str]]:
    """All tokens but blanks and comments, as (kind, text).

    Kinds are `word`, `quoted` (an identifier), `text` (a literal) and `other`.
    """
    return [
        (str(match.lastgroup), match.group())
        for match in _TOKEN.finditer(sql)
        if match.lastgroup != "space"
    ]


def tail(sql: str, count: int) -> str:
    """What follows the first `count` tokens, semicolons not counted."""
    for match in _TOKEN.finditer(sql):
        if match.lastgroup == "space" or match.group() == ";":
            continue
        if count == 0:
            return sql[match.start() :]
        count -= 1
    return ""


def words(sql: str, *, most: int) -> list[str]:
    """The first words of a statement, leading semicolons passed over."""
    found = []
    for match in _TOKEN.finditer(sql):
        if match.lastgroup == "word":
            found.append(match.group())
            if len(found) == most:
                break
        elif match.lastgroup != "space" and not (match.group() == ";" and not found):
            break
    return found


def identifiers(sql: str) -> set[str]:
    """Every word and quoted identifier of a statement, unquoted, in lower case."""
    return {
        unquote(text).lower()
        for kind, text in tokens(sql)
        if kind in ("word", "quoted")
    }


def unquote(identifier: str) -> str:
    """An identifier without its quotes."""
    opening = identifier[:1]
    if opening == "[":
        return identifier[1:-1]
    if opening in ('"', "`", "'"):
        return identifier[1:-1].replace(opening * 2, opening)
    return identifier


def quote(identifier: str) -> str:
    """An identifier in double quotes, whatever it contains."""
    return '"' + identifier.replace('"', '""') + '"'


def split(sql: str) -> list[str]:
    """The statements of a script, each complete, without empty ones."""
    found = []
    pending = ""
    for piece in re.split(r"(?<=;)", sql):
        pending += piece
        if apsw.complete(pending):
            if classify(pending) is not StatementKind.EMPTY:
                found.append(pending.strip())
            pending = ""
    if classify(pending) is not StatementKind.EMPTY:
        found.append(pending.strip())
    return found
