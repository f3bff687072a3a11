import resource
import subprocess
import sys

import pytest

from nexus.cli.demo.processes import CHINOOK
from nexus.cli.descriptors import ENOUGH, raise_limit

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1_024, 4_096, 4_096),
        (1_024, 1 << 20, ENOUGH),
        (1_024, INFINITE, ENOUGH),
        (1 << 20, 1 << 20, 1 << 20),
        (INFINITE, INFINITE, INFINITE),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_it_may(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))

    assert raise_limit() == after
    assert asked == ([] if soft == after else [(after, hard)])


def test_a_system_that_refuses_leaves_it_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: int, __: tuple[int, int]) -> None:
        raise OSError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4_096))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    assert raise_limit() == 256


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_command_is_done_whatever_of_its_standard_files_is_closed(
    closed: str,
) -> None:
    ended = subprocess.run(
        [
            "sh",
            "-c",
            f'exec "$0" -m nexus check "$1" {closed}',
            sys.executable,
            CHINOOK,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ("Invoice" in ended.stdout) is (">&-" not in closed)
