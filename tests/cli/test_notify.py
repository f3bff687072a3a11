"""What systemd hears."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.cli.notify import notify


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "s")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        listening.bind(path)
        yield listening


def test_a_manager_that_asks_is_told(manager: socket.socket) -> None:
    notify("READY=1")

    assert manager.recv(64) == b"READY=1"


def test_a_name_that_is_no_file_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"\0nexus-test-{id(monkeypatch)}"
    assert sys.platform == "linux", "abstract names are Linux's"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        listening.bind(name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:])
        notify("STOPPING=1")

        assert listening.recv(64) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    notify("READY=1")

    assert not Path("/nowhere").exists()
