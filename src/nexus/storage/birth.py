"""When a file was made, as its file system has it: a copy of it was made later.

No user can set that time; it stays through restarts and moves within the file system.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import Final

AT_FDCWD: Final = -100
STATX_BTIME: Final = 0x800
"""Of Linux's statx: what is asked for, and what it says that it knows."""

_MASK: Final = struct.Struct("=I")
_TIME: Final = struct.Struct("=qI")
_TIME_AT: Final = 80
_SIZE: Final = 256


def birth_of(path: Path) -> str:
    """Seconds and nanoseconds; empty where the system does not tell."""
    if sys.platform == "darwin":
        return str(path.stat().st_birthtime)
    found = ctypes.create_string_buffer(_SIZE)
    try:
        statx = ctypes.CDLL(None).statx
    except (AttributeError, OSError):  # an older C library
        return ""
    if statx(AT_FDCWD, os.fsencode(path), 0, STATX_BTIME, found):
        return ""
    (known,) = _MASK.unpack_from(found)
    if not known & STATX_BTIME:
        return ""
    seconds, nanoseconds = _TIME.unpack_from(found, _TIME_AT)
    return f"{seconds}.{nanoseconds:09}"
