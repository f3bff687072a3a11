"""What runs in a node's process: `nexus serve`, with its output in a file."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from nexus.cli import main


def serve_as(settings: Mapping[str, str], log: Path) -> None:
    """Be one node, as `nexus serve` with these settings would; ends the process."""
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    for name in [name for name in os.environ if name.startswith("NEXUS_")]:
        del os.environ[name]
    os.environ.update(settings)
    sys.exit(main(["serve"]))
