"""Standard error as a node writes to it: nothing of the node ever waits for its reader.

A terminal that was stopped (Ctrl-S), a pipe that is read no more, a full disk under the
log's file: whoever logs goes on, and later the log says how much it lacks.
"""

import atexit
import json
import os
import select
import threading
from collections import deque
from datetime import UTC, datetime
from io import TextIOBase, UnsupportedOperation
from typing import Final, TextIO

from typing_extensions import override

MOST_BYTES: Final = 1 << 20
"""Of lines that wait for their reader; what comes beyond is left out."""

SURE_BYTES: Final = 4096
"""A pipe that takes anything takes so much at once: POSIX's PIPE_BUF, on Linux."""

PATIENCE_S: Final = 1.0
"""In the end, for a reader that is only slow."""


class Outlet(TextIOBase):
    """A stream for lines; any thread may write. `MOST_BYTES` bound its memory."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._changing = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._drains = False
        """Whether a thread writes, or waits for the reader: then lines queue up."""
        self._lost = 0
        atexit.register(self.close)

    @override
    def write(self, text: str) -> int:
        """Written at once where there is room; else it waits, or is left out."""
        if self._descriptor is None:
            return self._stream.write(text)
        line = text.encode(errors="backslashreplace")
        with self._changing:
            if not self._drains and self._takes(line):
                self._lost = self._put(line, self._lost)
            elif self._size + len(line) > MOST_BYTES:
                self._lost += 1
            else:
                self._waiting.append(line)
                self._size += len(line)
                self._drain()
        return len(text)

    @override
    def flush(self) -> None:
        """Nothing is kept that could be written."""
        if self._descriptor is None:
            self._stream.flush()

    @override
    def isatty(self) -> bool:
        """Whether a person reads."""
        return self._stream.isatty()

    @override
    def close(self) -> None:
        """Let a reader that is only slow have the rest."""
        atexit.unregister(self.close)
        with self._changing:
            self._changing.wait_for(lambda: not self._drains, PATIENCE_S)

    def _takes(self, line: bytes) -> bool:
        assert self._descriptor is not None
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        found = dict(poll.poll(0)).get(self._descriptor, 0)
        # Of a pipe without a reader, which fails at once, as of one with room.
        return len(line) <= SURE_BYTES and bool(found)

    def _put(self, line: bytes, lost: int) -> int:
        """Write it, and behind it how many the log lacks; how many it lacks then."""
        assert self._descriptor is not None
        rest = line + tell("log_lines_lost", lost) if lost else line
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:  # a full disk, say
            return lost + 1
        return 0

    def _drain(self) -> None:
        """Have a thread wait for the reader, if none does."""
        if not self._drains:
            self._drains = True
            threading.Thread(
                target=self._write_waiting, name="nexus-log", daemon=True
            ).start()

    def _write_waiting(self) -> None:
        lost = 0
        while True:
            with self._changing:
                self._lost += lost
                if not self._waiting:
                    self._drains = False
                    self._changing.notify_all()
                    return
                line, lost = self._waiting.popleft(), self._lost
                self._size -= len(line)
                self._lost = 0
            lost = self._put(line, lost)


def _descriptor_of(stream: TextIO) -> int | None:
    """None where the stream is none of the system's, as a test's is not."""
    try:
        return stream.fileno()
    except (UnsupportedOperation, ValueError):
        return None


def tell(event: str, count: int) -> bytes:
    """A line of its own."""
    told = {
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "level": "warning",
        "event": event,
        "count": count,
    }
    return f"{json.dumps(told)}\n".encode()
