"""The process that packs: what it answers, and what its end is told as."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus.errors import DiskFullError, NodeStoppedError, StorageError
from nexus.storage.snapshots.copier import Packed
from nexus.storage.snapshots.packing import Packer
from storage.logs import file_size_limit
from storage.snapshotting import empty_manifest, verify

PATIENCE_S = 60


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A database file that comes to its end only when it is let go: a pipe."""
    path = tmp_path / "slow"
    os.mkfifo(path)
    return path


def pack(packer: Packer, database: Path, *, size: int, level: int = 1) -> Packed:
    archive = database.parent / "archive"
    return packer.pack(database, archive, empty_manifest(), size=size, level=level)


def packing_process(packer: Packer) -> int:
    """The id of the one process, once it runs."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for process in tuple(packer._running):
            return process.pid
    raise AssertionError("no process was started")


def test_an_archive_of_the_first_bytes_is_made(tmp_path: Path) -> None:
    database = tmp_path / "file"
    database.write_bytes(os.urandom(5000) + b"behind")

    packed = pack(Packer(), database, size=5000)

    manifest = verify(tmp_path / "archive")
    (file,) = manifest.files
    assert (file.size, file.crc32) == (packed.size, packed.crc32) == (5000, file.crc32)
    assert packed.archive_size == (tmp_path / "archive").stat().st_size
    assert manifest.position == empty_manifest().position


def test_a_process_that_is_killed_is_an_error_that_says_so(slow: Path) -> None:
    packer = Packer()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(pack, packer, slow, size=5000)
        os.kill(packing_process(packer), signal.SIGKILL)
        with pytest.raises(StorageError, match=r"status -9: it was killed; try again"):
            result.result(PATIENCE_S)

    assert not packer._running


def test_closing_ends_what_is_being_packed(slow: Path) -> None:
    packer = Packer()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(pack, packer, slow, size=5000)
        process = packing_process(packer)
        packer.close()
        with pytest.raises(NodeStoppedError, match="the snapshot is not made"):
            result.result(PATIENCE_S)

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_after_closing_nothing_is_started(tmp_path: Path) -> None:
    packer = Packer()
    packer.close()
    packer.close()

    with pytest.raises(NodeStoppedError, match="makes no snapshot"):
        pack(packer, tmp_path / "file", size=1)

    assert not (tmp_path / "archive").exists()


def test_several_may_pack_at_once_and_closing_ends_all(tmp_path: Path) -> None:
    packer, many = Packer(), 3
    started = threading.Barrier(many + 1, timeout=PATIENCE_S)
    for index in range(many):
        os.mkfifo(tmp_path / str(index))

    def one(index: int) -> None:
        started.wait()
        packer.pack(
            tmp_path / str(index),
            tmp_path / f"{index}.archive",
            empty_manifest(),
            size=10,
            level=1,
        )

    with ThreadPoolExecutor(many) as pool:
        results = [pool.submit(one, index) for index in range(many)]
        started.wait()
        packing_process(packer)
        packer.close()
        for result in results:
            with pytest.raises(NodeStoppedError):
                result.result(PATIENCE_S)


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    database = tmp_path / "file"
    database.write_bytes(os.urandom(1 << 20))

    with file_size_limit(100_000), pytest.raises(DiskFullError, match="free some"):
        pack(Packer(), database, size=1 << 20)


def test_a_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    database = tmp_path / "file"
    database.write_bytes(bytes(1000))

    with pytest.raises(StorageError, match="ended 24 bytes early"):
        pack(Packer(), database, size=1024)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        pack(Packer(), tmp_path / "file", size=1024)


def test_an_error_of_another_kind_brings_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "odd.py"
    odd.write_text("raise ValueError('this is odd')", encoding="utf-8")
    monkeypatch.setattr("nexus.storage.snapshots.copier.__file__", str(odd))

    with pytest.raises(StorageError, match="status 1: ValueError: this is odd"):
        pack(Packer(), tmp_path / "file", size=1000)


def test_an_interpreter_that_cannot_be_started_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))

    with pytest.raises(StorageError, match="no-python"):
        pack(Packer(), tmp_path / "file", size=1)


def test_a_module_of_the_working_directory_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("zstandard", "json", "tarfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "file"
    database.write_bytes(bytes(1000))

    assert pack(Packer(), database, size=1000).size == 1000
