"""The program that packs a database file beside the node."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Final

import pytest

from nexus.storage.snapshots import copier
from nexus.storage.snapshots.copier import (
    DATABASE_NAME,
    NICENESS,
    Packed,
    pack_file,
    trailer,
    write_all,
)
from nexus.storage.snapshots.file import extract
from storage.snapshotting import MAX_SIZE, manifest_of, tar_names, verify

DATA = bytes(range(256)) * 100


def run(
    database: Path, archive: Path, *, size: int
) -> subprocess.CompletedProcess[str]:
    """As `packing` starts it, with an interpreter that knows nothing of Nexus."""
    site = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    return subprocess.run(
        [
            *(sys.executable, "-P", copier.__file__),
            *(str(database), str(size), str(archive), "3"),
        ],
        input=manifest_of(DATA).decode(),
        env={"PYTHONPATH": site},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def test_it_needs_nothing_of_nexus_and_says_what_it_wrote(
    tmp_path: Path, database: Path
) -> None:
    archive = tmp_path / "archive"

    done = run(database, archive, size=len(DATA))

    assert (done.returncode, done.stderr) == (0, "")
    packed = Packed(*json.loads(done.stdout))
    whole = archive.read_bytes()
    assert packed == Packed(len(DATA), zlib.crc32(DATA), len(whole), zlib.crc32(whole))
    assert verify(archive).files[0].crc32 == packed.crc32


def test_only_the_first_bytes_are_packed(tmp_path: Path, database: Path) -> None:
    archive = tmp_path / "archive"
    (tmp_path / "into").mkdir()

    assert run(database, archive, size=1000).returncode == 0

    extract(archive, tmp_path / "into", max_size=MAX_SIZE)
    assert (tmp_path / "into" / DATABASE_NAME).read_bytes() == DATA[:1000]


@pytest.mark.parametrize(
    ("size", "message"), [(len(DATA) + 7, "ended 7 bytes early"), (1 << 40, "early")]
)
def test_a_file_that_is_too_short_is_told_in_json(
    tmp_path: Path, database: Path, size: int, message: str
) -> None:
    done = run(database, tmp_path / "archive", size=size)

    number, told = json.loads(done.stdout)
    assert (done.returncode, number) == (1, 0)
    assert message in told


def test_a_missing_file_is_told_with_its_number(tmp_path: Path) -> None:
    done = run(tmp_path / "none", tmp_path / "archive", size=1)

    assert json.loads(done.stdout) == [2, "No such file or directory"]
    assert done.returncode == 1


def test_it_ends_when_the_node_that_wanted_it_is_gone(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = iter([7, 1])
    monkeypatch.setattr("os.getppid", lambda: next(parents))

    with database.open("rb") as source, pytest.raises(OSError, match="is gone"):
        pack_file(source, tmp_path / "archive", {}, size=len(DATA), level=1)


def test_an_interrupt_from_the_terminal_does_not_end_it(
    tmp_path: Path, database: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [
            *(sys.executable, copier.__file__),
            *(str(pipe), str(len(DATA)), str(tmp_path / "archive"), "1"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(manifest_of(DATA))
        process.stdin.close()
        with pipe.open("wb") as feed:  # opens once it reads: it is well under way
            process.send_signal(signal.SIGINT)
            feed.write(database.read_bytes())
        assert process.wait(120) == 0

    assert tar_names(tmp_path / "archive") == [DATABASE_NAME, "manifest.json"]


def test_a_write_that_takes_a_part_goes_on_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = io.BytesIO()

    def write(_: int, data: memoryview) -> int:
        return taken.write(data[:3])

    monkeypatch.setattr("os.write", write)
    write_all(1, b"0123456789")

    assert taken.getvalue() == b"0123456789"


def test_the_trailer_is_a_frame_that_every_zstd_skips() -> None:
    assert trailer(0x04030201) == b"\x5e\x2a\x4d\x18\x08\0\0\0NXCR\1\2\3\4"


ASK: Final = """
import os
from nexus.storage.snapshots import copier
copier.give_way()
print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_where_a_sandbox_forbids_it_to_be_nice_it_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def refuse(niceness: int) -> int:
        asked.append(niceness)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse)
    copier.give_way()

    assert asked == [NICENESS]


def test_it_is_nice_and_still_gets_its_share_of_a_busy_processor() -> None:
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    # A node that ran in this thread has left the flag: what it forks is as usual.
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK

    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True
    )

    assert [*map(int, done.stdout.split())] == [policy, min(usual + NICENESS, 19)]
