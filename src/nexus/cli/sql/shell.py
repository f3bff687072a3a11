"""The shell: statements and dot commands, one after another."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from nexus.cli.answer import Answer
from nexus.cli.nodestream import StepError
from nexus.cli.outcome import NotDoneError
from nexus.cli.sources import Source
from nexus.cli.sql.caret import pointed
from nexus.cli.sql.completion import Schema, read_schema
from nexus.cli.sql.lines import decoded
from nexus.cli.sql.printing import SHOWS, Mode
from nexus.cli.sql.script import Entry, entries, grouped
from nexus.cli.terminal import harmless, print_error
from nexus.errors import NexusError
from nexus.model.statements import split

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

_LINE: Final = "in the statement that begins in line "

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

    def obey(
        self, script: Iterable[Entry], is_ready: Callable[[], bool] = lambda: True
    ) -> None:
        """Take one entry after another; raises the first error.

        `is_ready` tells whether the next line of the script need not be waited for.
        """
        groups = grouped(script, most=self.source.most_at_once, is_ready=is_ready)
        for group in groups:
            try:
                if len(group) > 1:
                    self._run_each(group)
                elif not self._take(group[0].text):
                    return
            except NexusError as error:
                _tell_line(error, group)
                raise

    def run(self, text: str) -> None:
        """Run an entry's statements, and print what they gave."""
        self._show(text, lambda: [self.source.run(text)])

    def _run_each(self, group: Sequence[Entry]) -> None:
        """The same for statements that stand each for itself."""
        text = "".join(entry.text for entry in group)

        def ask() -> list[Answer]:
            return one_by_one(self.source.run_each(split(text)))

        try:
            self._show(text, ask)
        except StepError as error:
            for result in error.before:
                SHOWS[self.mode](Answer([result]))
            raise

    def _show(self, text: str, ask: Callable[[], list[Answer]]) -> None:
        began = time.monotonic()
        try:
            with self._turn:
                answers = ask()
        except NexusError as error:
            if place := _place(text, error):
                error.add_note(place)
            raise
        took = time.monotonic() - began
        for answer in answers:
            SHOWS[self.mode](answer)
        if self.is_timed:
            print(f"took {took * 1000:,.1f} ms")
        if any(not result.columns for one in answers for result in one.results):
            self._schema = None

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
        with self._turn:
            answer = self.source.run(query.format(wanted=quoted))
        for result in answer.results:
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
        self._depth += 1
        try:
            with Path(name).expanduser().open("rb") as file:
                self.obey(entries(decoded(file, name)))
        except OSError as error:
            reason = error.strerror or error
            raise NotDoneError(f"'{name}' cannot be read: {reason}") from None
        finally:
            self._depth -= 1


def one_by_one(answer: Answer) -> list[Answer]:
    """An answer for each result; where it stands in the log comes with the last."""
    if not answer.results:
        return [answer]
    *others, last = answer.results
    return [
        *(Answer([result]) for result in others),
        msgspec.structs.replace(answer, results=[last]),
    ]


def _tell_line(error: NexusError, group: Sequence[Entry]) -> None:
    """Note in which line of the script it is, unless a file within it was told."""
    index = getattr(error, "index", 0) if len(group) > 1 else 0
    line = group[min(index, len(group) - 1)].line
    if line and not any(_LINE in note for note in getattr(error, "__notes__", ())):
        error.add_note(f"{_LINE}{line}")


def _place(text: str, error: NexusError) -> str:
    """Where in the text the error is, where SQLite said so."""
    offset = getattr(error, "error_offset", None)
    return pointed(text, getattr(error, "index", 0), offset)
