"""Tell whether a path leads to the same file still, and leave its times alone."""

import os
from typing import Final

_OPENS_NOTHING: Final = getattr(os, "O_PATH", None)


class Sighting:
    """The file that stood at a path when it was looked at.

    To ask for its inode at each commit would be dear: since Linux 6.13 a file whose
    times were asked for gets a finer one at its next change, and no file that changes
    later may get an earlier one. So the log's time would move with every record, and
    each of its syncs would have to write its inode too, a third wait for the disk
    (https://docs.kernel.org/filesystems/multigrain-ts.html). Where the kernel tells
    what path a descriptor has, that is asked instead. The descriptor can neither read
    nor write, and closing it drops no lock (open(2), O_PATH).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._link = ""
        if _OPENS_NOTHING is not None:
            try:
                self._descriptor = os.open(path, _OPENS_NOTHING | os.O_CLOEXEC)
                self._link = f"/proc/self/fd/{self._descriptor}"
                self._mark()
            except OSError:  # no such file, or a system without /proc
                self.close()
        self._seen = self._mark()

    def stands(self) -> bool:
        """Whether the path leads to that file, or to none as it did then."""
        return self._mark() == self._seen

    def close(self) -> None:
        """Let go of the file; again is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._link = -1, ""

    def _mark(self) -> str:
        """What is another one when the file is another one."""
        if self._link:
            return os.readlink(self._link)  # noqa: PTH115 - a commit's path
        try:
            return str(os.stat(self._path).st_ino)  # noqa: PTH116 - a commit's path
        except FileNotFoundError:
            return ""
