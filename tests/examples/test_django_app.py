"""The example project works as its guide says."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "examples" / "django_app"


def test_the_projects_own_tests_pass_on_a_node_of_their_own(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "test", "--no-color"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "Ran 10 tests" in ended.stderr
    assert list(tmp_path.iterdir()) == []
