"""One server process of a peer, ended by its own id."""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from nexus.cli.outcome import NotDoneError
from peers.system import POLL_S, START_TIMEOUT_S
from peers.tools import SAID, environment

STOP_TIMEOUT_S: Final = 20.0


class ServerProcess:
    """Started at once; `stop` ends it, whatever happens."""

    def __init__(
        self, command: Sequence[str], log: Path, *, owner: str | None, cwd: Path
    ) -> None:
        self._name = Path(command[0]).name
        self._log = log
        with log.open("wb") as stream:
            # A session of its own: Ctrl-C in the terminal reaches this program alone,
            # which then ends the servers in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                env=environment(),
                cwd=cwd,
                user=owner,
                group=owner,
                extra_groups=None if owner is None else (),
            )

    def answering(
        self, answers: Callable[[], object], *, else_how: signal.Signals
    ) -> Self:
        """This server, once it answers; one that does not is ended."""
        try:
            self.wait_until(answers)
        except BaseException:
            self.stop(else_how)
            raise
        return self

    def wait_until(self, answers: Callable[[], object]) -> None:
        """Return once `answers` raises no NotDoneError any more."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                answers()
            except NotDoneError as error:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise NotDoneError(
                        f"{self._name} did not start ({error}): {self.last_words()}"
                    ) from None
                time.sleep(POLL_S)
            else:
                return

    def stop(self, how: signal.Signals) -> None:
        """End it in its own way, or kill it after STOP_TIMEOUT_S."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace").strip()[-SAID:]
