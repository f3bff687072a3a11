"""A file is recognised by its path, and nothing about it changes by that."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from nexus.storage.sqlite import sighting
from nexus.storage.sqlite.sighting import Sighting

TICKING_CLOCK = 5
"""CLOCK_REALTIME_COARSE of clock_gettime(2): files that nobody asks after have it."""


@pytest.fixture(params=["descriptor", "inode"])
def path(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A file, on a system that tells the path of a descriptor and on another one."""
    if request.param == "inode":
        monkeypatch.setattr(sighting, "_OPENS_NOTHING", None)
    path = tmp_path / "nexus.db-wal"
    path.write_bytes(b"frames")
    return path


def test_a_file_that_only_grows_stands(path: Path) -> None:
    seen = Sighting(str(path))
    path.write_bytes(b"more frames")

    assert seen.stands()


def test_a_file_that_was_removed_does_not_stand(path: Path) -> None:
    seen = Sighting(str(path))
    path.unlink()

    assert not seen.stands()


def test_a_file_in_the_place_of_another_does_not_stand(path: Path) -> None:
    seen = Sighting(str(path))
    path.with_name("other").write_bytes(b"frames")
    path.with_name("other").replace(path)

    assert not seen.stands()


def test_a_file_in_the_place_of_none_does_not_stand(path: Path) -> None:
    path.unlink()
    seen = Sighting(str(path))
    assert seen.stands()

    path.write_bytes(b"frames")
    assert not seen.stands()


def test_a_lock_of_the_process_outlives_a_sighting(path: Path) -> None:
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        seen = Sighting(str(path))
        seen.close()
        seen.close()

        child = os.fork()
        if child == 0:
            try:
                with path.open("r+b") as other:
                    fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os._exit(3)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 3


def test_a_look_gives_the_file_no_finer_time(tmp_path: Path) -> None:
    """Programs that ask for times move the clock of all files: hence the tries."""
    path = tmp_path / "nexus.db-wal"
    coarse = 0
    with path.open("wb", buffering=0) as file:
        seen = Sighting(str(path))
        for _ in range(2000):
            file.write(b"frame")
            assert seen.stands()
            file.write(b"frame")
            ticked = time.clock_gettime_ns(TICKING_CLOCK)
            coarse += os.fstat(file.fileno()).st_mtime_ns <= ticked
            if coarse == 20:
                break
            time.sleep(
                0.005
            )  # that fstat does give it a finer time, until the next tick
        seen.close()

    assert coarse == 20
