"""A node of the previous release, from its wheel, in a process of its own."""

import os
import subprocess
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

WHEEL: Final = Path(__file__).parent / "wheels" / "nexus_sqlite-0.1.0-py3-none-any.whl"
"""Version 0.1.0 as it was built, but for the demonstration's sample database."""

MAIN: Final = "import sys; from nexus.cli import main; sys.exit(main())"


def installed(directory: Path) -> Path:
    """The Python of an environment with the previous release and today's libraries.

    Nothing is downloaded: a path in the environment leads to the libraries here.
    """
    venv.create(directory, with_pip=False, symlinks=True)
    python = directory / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    done = subprocess.run(
        [python, "-c", asked], capture_output=True, text=True, check=True
    )
    packages = Path(done.stdout.strip())
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(packages)
    own = sysconfig.get_paths()
    paths = dict.fromkeys((own["purelib"], own["platlib"]))
    (packages / "libraries.pth").write_text("".join(f"{path}\n" for path in paths))
    return python


class Released:
    """One `nexus serve` of that release; the calls of a process of multiprocessing."""

    def __init__(self, python: Path, settings: Mapping[str, str], log: Path) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("NEXUS_", "PYTHON", "COV"))
        }
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [python, "-c", MAIN, "serve"],
                env=kept | dict(settings),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    def join(self, timeout: float | None = None) -> None:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return


def version_of(python: Path) -> str:
    """What the release calls itself."""
    asked = "import nexus; print(nexus.__version__)"
    done = subprocess.run(
        [python, "-c", asked],
        capture_output=True,
        text=True,
        check=True,
        cwd=python.parent,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.stdout.strip()
