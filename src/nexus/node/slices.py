"""Have a thread run soon after it wakes: Linux is asked for short slices.

The loop and the writer sleep and wake several times a batch, and each time may have to
wait until another thread's slice ends, some milliseconds. Since Linux 6.12 a thread may
ask for slices of its own length: its share of the processor stays the same, its turn
comes earlier (https://docs.kernel.org/scheduler/sched-eevdf.html). That needs no
privilege; elsewhere nothing changes.
"""

import ctypes
import platform
import struct
import sys
from typing import Final

SLICE_NS: Final = 100_000
"""The shortest that Linux gives."""

_CALLS: Final = {"x86_64": (315, 314), "aarch64": (275, 274)}
"""By machine, the numbers of sched_getattr and sched_setattr: older C libraries have
no names for them."""

_LARGEST_32: Final = (1 << 31) - 1
"""`sys.maxsize` of a 32-bit Python, for which the numbers mean other calls."""

_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")
"""Size, policy, flags, niceness, priority, runtime (here: the slice), deadline, period
(https://man7.org/linux/man-pages/man2/sched_setattr.2.html)."""

_SHARING: Final = (0, 3)
"""SCHED_OTHER and SCHED_BATCH: whoever chose another policy has decided already."""

_RESET_ON_FORK: Final = 0x01
"""What the thread starts has slices as usual: it applies, unpacks, packs or queries."""


def take_short_slices() -> bool:
    """Ask for this thread; whether that was possible. An older Linux ignores it.

    Not for a thread that is favoured by its policy or niceness, and stays so.
    """
    attributes = _attributes()
    if attributes is None:
        return False
    size, policy, flags, niceness, priority, *_ = attributes
    if policy not in _SHARING or niceness < 0:
        return False
    wanted = _ATTRIBUTES.pack(
        size, policy, flags | _RESET_ON_FORK, niceness, priority, SLICE_NS, 0, 0
    )
    return _call(1, ctypes.create_string_buffer(wanted), 0)


def slice_ns() -> int:
    """How long this thread's slices are; 0 where Linux does not tell."""
    attributes = _attributes()
    return 0 if attributes is None else attributes[5]


def _attributes() -> tuple[int, ...] | None:
    answer = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if not _call(0, answer, _ATTRIBUTES.size, 0):
        return None
    return _ATTRIBUTES.unpack(answer.raw)


def _call(which: int, attributes: ctypes.Array[ctypes.c_char], *more: int) -> bool:
    """Call one of the two for this thread; False where it is missing or refused."""
    numbers = _CALLS.get(platform.machine()) if sys.maxsize > _LARGEST_32 else None
    if sys.platform != "linux" or numbers is None:
        return False
    return bool(ctypes.CDLL(None).syscall(numbers[which], 0, attributes, *more) == 0)
