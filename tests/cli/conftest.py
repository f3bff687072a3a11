"""Fixtures of the command line's tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from cli.fake_nodes import FakeNode
from nexus.cli import main


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    status: int
    output: str
    error: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command line in this process."""
    for name in ("NEXUS_CLUSTER_SECRET", "NEXUS_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def run_it(*arguments: object) -> Ended:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        output, error = capfd.readouterr()
        return Ended(status, output, error)

    return run_it


@pytest.fixture
def start() -> Iterator[Callable[[], FakeNode]]:
    """Start fake nodes; all end with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(FakeNode())
