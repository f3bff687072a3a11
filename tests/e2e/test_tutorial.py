"""From a laptop to three machines: the whole tutorial, run as it stands there."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from e2e.cluster import free_port

pytestmark = pytest.mark.timeout(400)

TUTORIAL: Final = Path(__file__).parents[2] / "docs/start/three-machines.md"
BLOCK: Final = re.compile(r"```(shell|python)\n(.*?)```", re.DOTALL)
NAMED: Final = re.compile(r"# (\S+\.py)\n")

PATIENCE_S: Final = 300.0


def script_of(page: str, ports: dict[str, str]) -> str:
    """All that the page says, as one script; its files are written where they stand."""
    for port, own in ports.items():
        page = page.replace(port, own)
    lines = []
    for kind, block in BLOCK.findall(page):
        named = NAMED.match(block)
        if kind == "shell":
            lines.append(block)
        elif named is not None:
            lines.append(f"cat > {named[1]} <<'END OF FILE'\n{block}END OF FILE\n")
    return "\n".join(lines)


def run(script: str, directory: Path) -> tuple[int, str]:
    """The script's exit status and what it printed; its processes end with it."""
    binaries = Path(sys.executable).parent
    known = {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(directory)}
    printed = directory / "printed"
    with printed.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=directory,
            env=known,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = shell.wait(PATIENCE_S)
        finally:
            # Nodes of a script that ended early; else they have stopped, or will.
            if shell.returncode != 0:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
    return status, printed.read_text(errors="replace")


def test_the_tutorial_runs_as_it_stands(tmp_path: Path) -> None:
    ports = {"15474": str(free_port()), "15475": str(free_port())}
    script = script_of(TUTORIAL.read_text(), ports)

    status, printed = run(script, tmp_path)

    assert status == 0, printed[-3000:]
    assert re.findall(r"(\d+) orders", printed) == ["4", "5"]
    before_the_mistake = printed.rpartition("restored offset")[2]
    for what in ("tea", "milk", "bread", "butter", "honey"):
        assert what in before_the_mistake
    assert "too late" not in before_the_mistake
    for name in ("m1", "m2", "m3"):
        assert "Traceback" not in (tmp_path / name / "log").read_text()
