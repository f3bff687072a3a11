"""Tell when rows become visible in a database file, read as any program would.

It runs beside the node, in a process of its own, and imports nothing of Nexus: what it
sees is what plain `sqlite3` sees. It is started by its path.
"""

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

POLL_S: Final = 0.001


def watch(file: Path, until: int) -> list[tuple[int, int]]:
    """(nanoseconds on the monotonic clock, highest id seen) at each change.

    Ends with the first sighting of the id `until`.
    """
    sightings: list[tuple[int, int]] = []
    seen = -1
    uri = f"{file.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        print("ready", flush=True)
        while seen < until:
            rows = connection.execute("select max(id) from bench").fetchall()
            now, highest = time.monotonic_ns(), rows[0][0] or 0
            if highest != seen:
                sightings.append((now, highest))
                seen = highest
            else:
                time.sleep(POLL_S)
    return sightings


def main(arguments: list[str]) -> int:
    """`watcher.py FILE ID`: prints `ready`, then all sightings as JSON."""
    file, until = arguments
    json.dump(watch(Path(file), int(until)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
