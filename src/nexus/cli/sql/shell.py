"""The shell: statements and dot commands, one after another."""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from nexus.cli.answer import Answer
from nexus.cli.outcome import NotDoneError
from nexus.cli.sources import Source
from nexus.cli.sql.caret import pointed
from nexus.cli.sql.completion import Schema, read_schema
from nexus.cli.sql.printing import SHOWS, Mode
from nexus.cli.sql.script import entries
from nexus.cli.terminal import harmless, print_error
from nexus.errors import NexusError

HELP: Final = """\
End a statement with ';'. Several before one Enter are one transaction; BEGIN … COMMIT
may have any number of entries between them.
  .tables [PATTERN]   the tables and views, or those that are LIKE it
  .schema [NAME]      how they were made
  .mode [MODE]        how rows are printed: {modes}
  .timer on|off       say how long each entry took
  .read FILE          run what a file says
  .quit               leave (or Ctrl-D)"""

OPEN: Final = (
    "a transaction is open. While you say nothing the cluster's only writer waits for "
    "you, so it is rolled back after 5 s (limits.idle_transaction_ms of the node); "
    "statements before one Enter, or of a .read, need no waiting"
)
"""Told a person once, who may type more slowly than that."""

MOST_DEPTH: Final = 16
"""Files that read files: at this depth one surely reads itself."""

_TABLES: Final = """\
select name from sqlite_schema where type in ('table', 'view')
and name not like 'sqlite#_%' escape '#' and name not like 'nexus#_%' escape '#'
and name like {wanted} order by name"""
_SCHEMA: Final = """\
select sql || ';' from sqlite_schema where sql is not null
and name not like 'nexus#_%' escape '#' and tbl_name like {wanted}"""


class Shell:
    """Runs what is typed, read or piped; remembers how to print it."""

    def __init__(self, source: Source, mode: Mode = Mode.TABLE) -> None:
        self.source = source
        self.mode = mode
        self.is_timed = False
        self._told_of_writer = False
        self._schema: Schema | None = None
        self._turn = threading.Lock()
        """Names are looked up in another thread than entries are run in."""
        self._depth = 0
        self._commands: dict[str, Callable[[str], None]] = {
            ".tables": lambda pattern: self._list(_TABLES, pattern),
            ".schema": lambda name: self._list(_SCHEMA, name),
            ".mode": self._set_mode,
            ".timer": self._set_timer,
            ".read": self._read,
            ".help": lambda _: print(HELP.format(modes=", ".join(Mode))),
        }

    @property
    def commands(self) -> tuple[str, ...]:
        """The names of all dot commands."""
        return (*self._commands, ".quit")

    @property
    def schema(self) -> Schema:
        """The names that may be completed, as they were after the last entry."""
        known = self._schema
        if known is None:
            with self._turn:
                known = read_schema(self.source)
            # One that was not told, in a failed transaction say, is asked for again.
            self._schema = known if known.functions else None
        return known

    def converse(self, typed: Iterable[str]) -> None:
        """Take one entry after another; an error is told and ends nothing."""
        for entry in typed:
            try:
                if not self._take(entry):
                    return
            except NexusError as error:
                print_error(error)
            except KeyboardInterrupt:
                print_error("given up; what was sent may still be done")
            if self.source.holds_writer and not self._told_of_writer:
                self._told_of_writer = True
                print(OPEN)

    def obey(self, script: Iterable[str]) -> None:
        """Take one entry after another; raises the first error."""
        for entry in script:
            if not self._take(entry):
                return

    def run(self, text: str) -> None:
        """Run an entry's statements, and print what they gave."""
        began = time.monotonic()
        try:
            answer = self._ask(text)
        except NexusError as error:
            if place := _place(text, error):
                error.add_note(place)
            raise
        took = time.monotonic() - began
        SHOWS[self.mode](answer)
        if self.is_timed:
            print(f"took {took * 1000:,.1f} ms")
        if any(not result.columns for result in answer.results):
            self._schema = None

    def _ask(self, text: str) -> Answer:
        with self._turn:
            return self.source.run(text)

    def _take(self, entry: str) -> bool:
        """Do it; False ends the shell."""
        text = entry.strip()
        if not text.startswith("."):
            self.run(entry)
            return True
        name, _, argument = text.removesuffix(";").partition(" ")
        if name in (".quit", ".exit"):
            return False
        command = self._commands.get(name)
        if command is None:
            raise NotDoneError(f"there is no {name}; .help lists what there is")
        command(argument.strip())
        return True

    def _list(self, query: str, wanted: str) -> None:
        quoted = "'" + (wanted or "%").replace("'", "''") + "'"
        for result in self._ask(query.format(wanted=quoted)).results:
            for (line,) in result.rows:
                print(harmless(str(line)))

    def _set_mode(self, name: str) -> None:
        if not name:
            print(self.mode)
            return
        try:
            self.mode = Mode(name)
        except ValueError:
            raise NotDoneError(
                f"there is no mode '{name}'; choose of {', '.join(Mode)}"
            ) from None

    def _set_timer(self, name: str) -> None:
        if name not in ("on", "off"):
            raise NotDoneError("write .timer on, or .timer off")
        self.is_timed = name == "on"

    def _read(self, name: str) -> None:
        if self._depth == MOST_DEPTH:
            raise NotDoneError(f"'{name}' reads itself, it seems; nothing more is read")
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise NotDoneError(f"'{name}' cannot be read: {reason}") from None
        self._depth += 1
        try:
            self.obey(entries(text.splitlines()))
        finally:
            self._depth -= 1


def _place(text: str, error: NexusError) -> str:
    """Where in the text the error is, where SQLite said so."""
    offset = getattr(error, "error_offset", None)
    return pointed(text, getattr(error, "index", 0), offset)
