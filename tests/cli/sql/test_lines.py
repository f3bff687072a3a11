"""Lines come as they are, and it is known whether the next one must be waited for."""

import os
from pathlib import Path

import pytest

from nexus.cli.outcome import NotDoneError
from nexus.cli.sql.lines import READ_BYTES, Arriving, decoded


def test_only_a_line_feed_ends_a_line() -> None:
    said = ["a\r\n", "b\x0c\u2028\x1c\n", "c"]

    assert list(decoded([line.encode() for line in said], "it")) == said


def test_a_line_that_is_no_text_is_named() -> None:
    with pytest.raises(NotDoneError, match="'it' cannot be read: line 2 is not UTF-8"):
        list(decoded([b"a\n", b"b\xff\n"], "it"))


def test_lines_of_a_pipe_are_ready_when_they_have_come() -> None:
    end, other = os.pipe()
    try:
        arriving = Arriving(end)
        lines = iter(arriving)
        assert not arriving.is_ready()
        os.write(other, b"one\ntwo\nthr")
        assert arriving.is_ready()
        assert next(lines) == b"one\n"
        assert arriving.is_ready()
        assert next(lines) == b"two\n"
        assert not arriving.is_ready()
        os.write(other, b"ee")
        os.close(other)
        assert list(lines) == [b"three"]
        assert arriving.is_ready()
    finally:
        os.close(end)


def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    long = b"x" * (3 * READ_BYTES) + b"\n"
    with (tmp_path / "script").open("w+b") as file:
        file.write(long + b"y\n")
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)

        assert list(Arriving(file.fileno())) == [long, b"y\n"]
