"""What runs in a node's process: `nexus serve`, or an application with a node."""

import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final

import nexus
from nexus.cli import main

SLOWED: Final = {"fdatasync": 1.0, "fsync": 1.0, "pwrite": 0.1, "pwritev": 1.1}
"""What a slow disk delays, and by how much of what it is told."""


def serve_as(
    settings: Mapping[str, str], log: Path, namespace: str, slowness: Path
) -> None:
    """Be one node, as `nexus serve` with these settings would; ends the process.

    `namespace` names a mount namespace in which the node is to run, or is empty.
    Whenever the file `slowness` is there, it says how many milliseconds a sync takes,
    at most.
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
    put_on_a_disk(slowness)
    sys.exit(main(["serve"]))


def put_on_a_disk(slowness: Path) -> None:
    """What this process writes and syncs by itself takes as long as the file says."""

    def slowed(call: Callable[..., Any], share: float) -> Callable[..., Any]:
        def taking_its_time(*arguments: Any) -> Any:
            if slowness.exists():
                most_s = share * int(slowness.read_text() or 0) / 1000
                time.sleep(random.uniform(0, most_s))
            return call(*arguments)

        return taking_its_time

    for name, share in SLOWED.items():
        setattr(os, name, slowed(getattr(os, name), share))


def hold_a_transaction(data_dir: Path, pipe: Pipe) -> None:
    """An application with a node of its own, in the middle of a transaction."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ports = {"bind": "127.0.0.1:0", "http_addr": "127.0.0.1:0"}
    with nexus.open(data_dir, limits__idle_transaction_ms=600_000, **ports) as node:
        connection = node.connect()
        connection.execute("create table t(v)")
        connection.commit()
        connection.execute("insert into t values (1)")
        pipe.send("in the middle")
        threading.Event().wait()


def enter(namespace: str) -> None:
    """See the mounts of this namespace; os.setns came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY)
    if libc.setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), "setns", namespace)
    os.close(descriptor)
