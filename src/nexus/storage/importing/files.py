"""Tell whether a path is a file that may be a database, and if not, what it is."""

import errno
import os
import stat
from pathlib import Path

from nexus.errors import StorageError


def require_file(path: Path) -> None:
    """Raise StorageError for what is no file, cannot be read, or is empty.

    It is not opened: to close it again would drop the locks that SQLite has there.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise StorageError(_why_absent(path, error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise StorageError(
            f"{path} is {_kind(found.st_mode)}, and a SQLite database is a file; name "
            "one"
        )
    if not os.access(path, os.R_OK):
        raise StorageError(
            f"{path} may not be read by this user; run this as the user that it "
            "belongs to, or let this one read it (chmod)"
        )
    if not found.st_size:
        raise StorageError(
            f"{path} is empty: SQLite makes such a file of a name at which there was "
            "none; name the one that holds the tables"
        )


def _why_absent(path: Path, error: OSError) -> str:
    mend = "name an existing SQLite database"
    if error.errno == errno.ELOOP:
        return f"{path} is a symbolic link that leads back to itself; {mend}"
    if not isinstance(error, FileNotFoundError):
        return f"{path} cannot be reached: {error.strerror}; {mend}"
    if path.is_symlink():
        return f"{path} is a symbolic link to {path.readlink()}, which is gone; {mend}"
    return f"there is no file {path}; {mend}"


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a device",
        stat.S_IFCHR: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "no ordinary file")
