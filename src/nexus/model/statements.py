"""Tell what kind of statement a piece of SQL is, by its first words.

SQLite's grammar decides a statement's kind by its first keyword
(https://www.sqlite.org/lang.html), so that a small reader of tokens is enough; what a
statement then touches is SQLite's own matter. Nothing here parses an expression, but
the tokens are exactly SQLite's, so that no text hides a second statement.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from functools import lru_cache, wraps
from typing import Final, TypeVar

from nexus.model.names import folded


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


CONTROL: Final = frozenset(
    {
        StatementKind.BEGIN,
        StatementKind.COMMIT,
        StatementKind.ROLLBACK,
        StatementKind.SAVEPOINT,
        StatementKind.RELEASE,
        StatementKind.ROLLBACK_TO,
    }
)
"""Who writes one of these says where transactions begin and end."""

_TOKEN: Final = re.compile(
    r"""
      (?P<space>[ \t\n\f\r\ufeff]+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<variable>[$@:#](?:[A-Za-z0-9_$\x80-\U0010ffff]|::)++(?:\([^\s)]*\))?)
    | (?P<quoted>"(?:[^"]+|"")*+"|`(?:[^`]+|``)*+`|\[[^\]]*\])
    | (?P<text>'(?:[^']+|'')*+')
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

REMEMBERED: Final = 4096
LONGEST_REMEMBERED: Final = 4096
"""Characters; together they bound what the caches hold."""

_BEFORE_NAMES: Final = {
    *("TABLE", "INDEX", "VIEW", "TRIGGER", "EXISTS", "INTO", "UPDATE", "FROM", "JOIN"),
    *("ON", "TO", "REFERENCES", "."),
}

_ROW_WORDS: Final = {"SELECT", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"}


Answer = TypeVar("Answer")


def remembered(question: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """Cache answers about statements; long texts are asked anew, or they would stay."""
    cached = lru_cache(maxsize=REMEMBERED)(question)

    @wraps(question)
    def answer(sql: str) -> Answer:
        return cached(sql) if len(sql) <= LONGEST_REMEMBERED else question(sql)

    return answer


@remembered
def classify(sql: str) -> StatementKind:
    """The kind of the statement in `sql`; REFUSED if there are several."""
    if has_several(sql):
        return StatementKind.REFUSED
    found = words(sql, most=2)
    if not found:
        blank = all(text == ";" for _, text in tokens(sql))
        return StatementKind.EMPTY if blank else StatementKind.READ
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


@remembered
def is_vacuum(sql: str) -> bool:
    """Whether it is VACUUM of this database, and into no other file."""
    return classify(sql) is StatementKind.VACUUM and "into" not in identifiers(sql)


def has_several(sql: str) -> bool:
    """Whether there is more than one statement; SQLite would run them all."""
    return ";" in sql.rstrip("; \t\r\n") and len(split(sql)) > 1


def _main_verb(sql: str) -> StatementKind:
    """The verb of a statement that begins with WITH: the first one outside brackets."""
    depth = 0
    for kind, text in tokens(sql):
        if text in "()":
            depth += 1 if text == "(" else -1
        elif kind == "word" and depth == 0 and text.upper() in _ROW_WORDS:
            return _FIRST_WORDS[text.upper()]
    return StatementKind.READ


@remembered
def may_have_rows(sql: str) -> bool:
    """Whether the statement can give rows: a query, or RETURNING."""
    return classify(sql) is StatementKind.READ or "returning" in identifiers(sql)


def writes_and_answers(sql: str) -> bool:
    """Whether the statement can change rows and give some: RETURNING."""
    return classify(sql) is StatementKind.WRITE and may_have_rows(sql)


_AT_ONCE: Final = {"IMMEDIATE", "EXCLUSIVE", "CONCURRENT"}


class BeginMode(Enum):
    """How a transaction begins."""

    DEFERRED = auto()
    """It takes the writer with its first write, if one comes."""
    AT_ONCE = auto()
    """It takes the writer: IMMEDIATE, and what amounts to that."""
    READ_ONLY = auto()
    """It never takes the writer: READONLY, which libSQL's clients say."""


def begin_mode(sql: str) -> BeginMode:
    """What a BEGIN asks for."""
    named = {word.upper() for word in words(sql, most=3)}
    if named & _AT_ONCE:
        return BeginMode.AT_ONCE
    return BeginMode.READ_ONLY if "READONLY" in named else BeginMode.DEFERRED


def savepoint_name(sql: str) -> str:
    """The name in a SAVEPOINT, RELEASE or ROLLBACK TO; folded, as they match."""
    parts = [text for _, text in tokens(sql) if text != ";"]
    return folded(unquote(parts[-1]))


def tokens(sql: str) -> list[tuple[str, str]]:
    """All tokens but blanks and comments, as (kind, text).

    Kinds are `word`, `quoted` (an identifier), `text` (a literal), `variable` and
    `other`.
    """
    return [
        (str(match.lastgroup), match.group())
        for match in _TOKEN.finditer(sql)
        if match.lastgroup != "space"
    ]


def variables(sql: str) -> list[str]:
    """`?`, `?5`, `:name`, `@name` and `$name`, in their order."""
    if not any(sign in sql for sign in "?:@$"):
        return []
    found: list[str] = []
    counting = False
    for kind, text in tokens(sql):
        if counting and kind == "other" and text.isdecimal():
            found[-1] += text
            continue
        counting = text == "?"
        if counting or (kind == "variable" and text[0] != "#"):
            found.append(text)
    return found


def parameters(sql: str, *, most: int) -> tuple[str, ...]:
    """The parameters by place, as they are written; "" at a place that none has.

    `?` takes the next place, `?5` the fifth, a name the next one at its first use
    (https://www.sqlite.org/lang_expr.html#varparam). Raises ValueError for a place
    that is not between 1 and `most`.
    """
    found: dict[int, str] = {}
    named: dict[str, int] = {}
    last = 0
    for text in variables(sql):
        if text == "?":
            place = last + 1
        elif text[0] == "?":
            place = int(text[1:])
        else:
            place = named.setdefault(text, last + 1)
        if not 1 <= place <= most:
            raise ValueError(f"a parameter is between ?1 and ?{most}")
        if found.get(place, "?") == "?":
            found[place] = text
        last = max(last, place)
    return tuple([found.get(place, "") for place in range(1, last + 1)])


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
    """Every word and quoted identifier of a statement, unquoted and folded."""
    return {
        folded(unquote(text))
        for kind, text in tokens(sql)
        if kind in ("word", "quoted")
    }


def names(sql: str) -> set[str]:
    """The identifiers, and the literals where SQLite takes a literal for a name."""
    found, before = identifiers(sql), ""
    for kind, text in tokens(sql):
        if kind == "text" and before in _BEFORE_NAMES:
            found.add(folded(unquote(text)))
        before = text.upper()
    return found


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
    """The statements of a script, each complete, without empty ones.

    A trigger's own semicolons end nothing: it ends at the one after its END, as in
    https://www.sqlite.org/c3ref/complete.html.
    """
    found: list[str] = []
    start = 0
    opening: list[str] = []
    last_two = ("", "")
    for match in _TOKEN.finditer(sql):
        if match.lastgroup == "space":
            continue
        text = match.group().upper()
        if not opening:
            start = match.start()
            if text == ";":
                continue
        if len(opening) < _TRIGGER_WORDS:
            opening.append(text)
        if text == ";" and (last_two == (";", "END") or not _is_trigger(opening)):
            found.append(sql[start : match.end()])
            opening = []
        last_two = (last_two[1], text)
    if opening:
        found.append(sql[start:].rstrip())
    return found


_TRIGGER_WORDS: Final = 4
"""EXPLAIN CREATE TEMP TRIGGER."""


def _is_trigger(opening: list[str]) -> bool:
    first = opening[1:] if opening[0] == "EXPLAIN" else opening
    return first[:1] == ["CREATE"] and (
        first[1:2] == ["TRIGGER"]
        or (first[1:2] in (["TEMP"], ["TEMPORARY"]) and first[2:3] == ["TRIGGER"])
    )
