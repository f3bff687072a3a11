"""As many open files as the system allows: each connection is one."""

import resource
from typing import Final

ENOUGH: Final = 65_536
"""More than all limits of connections together; some systems say that any number is."""


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # a system that promises more than it gives
        return soft
    return wanted
