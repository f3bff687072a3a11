"""What runs in a node's process: `nexus serve`, with its output in a file."""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from nexus.cli import main


def serve_as(settings: Mapping[str, str], log: Path, namespace: str) -> None:
    """Be one node, as `nexus serve` with these settings would; ends the process.

    `namespace` names a mount namespace in which the node is to run, or is empty.
    """
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    if namespace:
        enter(namespace)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    for name in [name for name in os.environ if name.startswith("NEXUS_")]:
        del os.environ[name]
    os.environ.update(settings)
    sys.exit(main(["serve"]))


def enter(namespace: str) -> None:
    """See the mounts of this namespace; os.setns came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY)
    if libc.setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "setns", namespace)
    os.close(descriptor)
