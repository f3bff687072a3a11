"""Whoever logs never waits for the reader, and never fails with it."""

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest

from nexus.cli.outlet import MOST_BYTES, SURE_BYTES, Outlet

LINE = "x" * 999 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, Outlet]]:
    """Where it is read, and an outlet into it."""
    source, target = os.pipe()
    with os.fdopen(target, "w") as stream:
        yield source, Outlet(stream)
    with suppress(OSError):
        os.close(source)


def read_to_the_end(source: int, outlet: Outlet) -> str:
    """All that comes once somebody reads, a last line `end` included."""
    found: list[bytes] = []

    def read() -> None:
        while not b"".join(found[-2:]).endswith(b"end\n"):
            found.append(os.read(source, 1 << 16))

    reader = threading.Thread(target=read)
    reader.start()
    outlet.close()
    outlet.write("end\n")
    reader.join()
    return b"".join(found).decode()


def test_a_line_is_there_at_once(pipe: tuple[int, Outlet]) -> None:
    source, outlet = pipe
    outlet.write("höst\n")
    outlet.flush()
    assert os.read(source, 100) == "höst\n".encode()
    assert not outlet.isatty()


def test_lines_that_nobody_reads_wait_and_come_in_their_order(
    pipe: tuple[int, Outlet],
) -> None:
    source, outlet = pipe
    lines = [f"{number} {LINE}" for number in range(200)]
    for line in lines:
        outlet.write(line)
    assert read_to_the_end(source, outlet) == "".join(lines) + "end\n"


def test_a_long_line_arrives_whole(pipe: tuple[int, Outlet]) -> None:
    source, outlet = pipe
    line = "y" * (40 * SURE_BYTES) + "\n"
    outlet.write(line)
    assert read_to_the_end(source, outlet) == line + "end\n"


def test_what_is_too_much_is_left_out_and_the_log_says_how_many_lines(
    pipe: tuple[int, Outlet],
) -> None:
    source, outlet = pipe
    count = 2 * MOST_BYTES // len(LINE)
    for _ in range(count):
        outlet.write(LINE)
    lines = read_to_the_end(source, outlet).splitlines()
    kept = lines.count(LINE.strip())
    told = [json.loads(line) for line in lines if "log_lines_lost" in line]
    assert 0 < kept < count
    assert sum(line["count"] for line in told) == count - kept


def test_a_reader_that_is_gone_costs_nothing_but_the_lines(
    pipe: tuple[int, Outlet],
) -> None:
    source, outlet = pipe
    os.close(source)
    assert outlet.write(LINE) == len(LINE)
    assert outlet.write("z" * 2 * SURE_BYTES) == 2 * SURE_BYTES
    outlet.close()


def test_a_full_disk_under_the_logs_file_costs_lines_and_it_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        outlet = Outlet(stream)
        with monkeypatch.context() as while_full:
            while_full.setattr(os, "write", no_space)
            assert outlet.write(LINE) == len(LINE)
            assert outlet.write(LINE) == len(LINE)
        outlet.write("end\n")
        outlet.close()
    end, lost = path.read_text().splitlines()
    assert (end, json.loads(lost)["count"]) == ("end", 2)


def no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_stream_that_is_none_of_the_systems_is_written_as_it_is() -> None:
    stream = StringIO()
    outlet = Outlet(stream)
    outlet.write(LINE)
    outlet.flush()
    assert stream.getvalue() == LINE
