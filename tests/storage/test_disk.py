"""Disk errors by name, whole writes, and where zeros begin."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nexus.archive
import nexus.storage
from nexus.errors import DiskFullError, StorageError
from nexus.storage.disk import (
    fill_with_zeros,
    nonzero_end,
    reserve,
    storage_error,
    storage_errors,
    sync_data,
    sync_directory,
    write_at,
    write_durably,
)
from storage.logs import file_size_limit


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_kind_of_shortage_is_a_full_disk(number: int) -> None:
    error = storage_error(OSError(number, os.strerror(number)), "writing x")

    assert isinstance(error, DiskFullError)
    assert "writing x" in str(error)


def test_another_fault_of_the_disk_is_no_shortage() -> None:
    with (
        pytest.raises(StorageError, match="reading y: Input/output error") as caught,
        storage_errors("reading y"),
    ):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert not isinstance(caught.value, DiskFullError)


def test_a_write_that_does_not_fit_raises_and_never_passes_for_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)

    with file_size_limit(10_000), pytest.raises(OSError, match="File too large"):
        write_at(fd, b"x" * 8_000, 5_000)
    os.close(fd)

    assert path.stat().st_size == 10_000


def test_whoever_writes_files_syncs_them_as_this_system_needs_it() -> None:
    # The packer knows nothing of Nexus: what it writes is checked, and made again.
    packages = (Path(nexus.storage.__path__[0]), Path(nexus.archive.__path__[0]))
    by_themselves = {
        path.name
        for package in packages
        for path in package.rglob("*.py")
        if "os.fsync(" in path.read_text() or "os.fdatasync(" in path.read_text()
    }

    assert by_themselves == {"disk.py", "copier.py"}


def test_a_durable_write_is_whole_in_one_step_where_the_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)

    write_durably(fd, b"x" * 8_000, 5_000)
    os.close(fd)

    assert (tmp_path / "file").read_bytes() == bytes(5_000) + b"x" * 8_000
    assert not synced


@pytest.mark.parametrize("written", [3_000, errno.EOPNOTSUPP])
@pytest.mark.interpreted
def test_a_durable_write_that_is_cut_short_or_impossible_is_made_whole_and_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    def cut(fd: int, buffers: list[bytes], position: int, _: int) -> int:
        if written == errno.EOPNOTSUPP:
            raise OSError(written, os.strerror(written))
        return os.pwrite(fd, buffers[0][:written], position)

    synced: list[int] = []
    monkeypatch.setattr("os.pwritev", cut)
    monkeypatch.setattr("nexus.storage.disk.sync_data", synced.append)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)

    write_durably(fd, b"x" * 8_000, 5_000)
    os.close(fd)

    assert (tmp_path / "file").read_bytes() == bytes(5_000) + b"x" * 8_000
    assert synced == [fd]


def test_a_durable_write_that_fails_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.pwritev", broken)
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)

    with pytest.raises(OSError, match="Input/output error"):
        write_durably(fd, b"x", 0)
    os.close(fd)


@pytest.mark.parametrize("reserving", [reserve, fill_with_zeros])
def test_reserved_space_is_zero_and_keeps_what_stood_there(
    tmp_path: Path, reserving: Callable[[int, int], None]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    fd = os.open(path, os.O_RDWR)

    reserving(fd, 3_000_000)
    reserving(fd, 100_000)
    sync_data(fd)
    sync_directory(tmp_path)
    os.close(fd)

    assert path.read_bytes() == b"before" + bytes(2_999_994)


@given(
    start=st.integers(0, 3 << 20),
    byte=st.one_of(st.none(), st.integers(0, (3 << 20) - 1)),
)
def test_the_last_byte_that_is_not_zero_is_found(start: int, byte: int | None) -> None:
    fd = os.memfd_create("zeros")
    os.truncate(fd, 3 << 20)
    if byte is not None:
        os.pwrite(fd, b"\1", byte)

    found = nonzero_end(fd, start)
    os.close(fd)

    assert found == (start if byte is None or byte < start else byte + 1)
