"""Read a person's entries: history, completion, several lines, colours."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import completion_is_selected
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer
from typing_extensions import override

from nexus.cli.sql.completion import candidates
from nexus.cli.sql.printing import Mode
from nexus.cli.sql.script import is_whole
from nexus.cli.sql.shell import Shell

HISTORY_FILE: Final = Path("~/.nexus_history")
PROMPT: Final = "nexus> "
CONTINUATION: Final = "   ...> "


def typed(shell: Shell, **terminal: Any) -> Iterator[str]:
    """Each entry as it is finished, until Ctrl-D; Ctrl-C drops what was typed.

    `terminal` may name another `input` and `output` than this process's own.
    """
    session: PromptSession[str] = PromptSession(
        message=PROMPT,
        prompt_continuation=CONTINUATION,
        multiline=True,
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=Names(shell),
        complete_in_thread=True,
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
        key_bindings=_keys(),
        **terminal,
    )
    while True:
        try:
            entry = session.prompt()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if entry.strip():
            yield entry


class Names(Completer):
    """Completes dot commands, and the names that the shell's database has."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    @override
    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What may stand at the cursor."""
        del complete_event
        before = document.text_before_cursor
        if before.startswith("."):
            word, names = self._of_command(before)
        else:
            word, names = candidates(before, self._shell.schema)
        return [Completion(name, start_position=-len(word)) for name in names]

    def _of_command(self, before: str) -> tuple[str, list[str]]:
        name, space, argument = before.partition(" ")
        known: Iterable[str] = self._shell.commands
        if space:
            known = {
                ".mode": tuple(Mode),
                ".timer": ("on", "off"),
                ".schema": tuple(self._shell.schema.columns),
                ".tables": tuple(self._shell.schema.columns),
            }.get(name, ())
        word = argument if space else name
        return word, [each for each in known if each.startswith(word)]


def _keys() -> KeyBindings:
    """Enter ends an entry that is whole, else begins its next line."""
    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected)
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text
        if not text.strip() or is_whole(text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return keys


def _history() -> History:
    """The file of earlier entries, for this user alone; none where it cannot be."""
    path = HISTORY_FILE.expanduser()
    with suppress(OSError):
        path.touch(mode=0o600)
        # One that cannot be read would leave the prompt waiting for it.
        with path.open("r+b"):
            return FileHistory(path)
    return InMemoryHistory()
