"""Whether this process is a child, after fork(), of the one that opened something.

What is open is the parent's there: two who speak over one connection would take each
other's answers for their own.
"""

import os
from typing import Final

from nexus.errors import ForkedError


class _Forks:
    """How often this process's ancestors have forked since this was imported."""

    count = 0

    def note(self) -> None:
        self.count += 1


forks: Final = _Forks()
os.register_at_fork(after_in_child=forks.note)


def opened_before() -> ForkedError:
    """What is raised for the use of something of the parent's."""
    return ForkedError("this connection was opened before fork(); connect in the child")
