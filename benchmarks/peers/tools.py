"""Commands of the peers: found, installed where that is possible, run, read."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from nexus.cli.outcome import NotDoneError

POSTGRES_BIN: Final = Path("/usr/lib/postgresql/15/bin")

PACKAGES: Final[Mapping[str, str]] = {
    "postgresql-15": str(POSTGRES_BIN / "postgres"),
    "mariadb-server": "mariadbd",
    "sysbench": "sysbench",
}
"""Debian's packages, each with a command that only it brings."""

INSTALL_TIMEOUT_S: Final = 300.0
COMMAND_TIMEOUT_S: Final = 60.0
SAID: Final = 400
"""Characters of a failed command's output that tell why."""

SBIN: Final = "/usr/sbin"


def search_path() -> str:
    """PATH with the directory of servers, which users' often lack."""
    return f"{os.environ.get('PATH', '')}:{SBIN}"


def missing_packages() -> list[str]:
    """Those of PACKAGES that are not there."""
    return [
        package
        for package, command in PACKAGES.items()
        if shutil.which(command, path=search_path()) is None
    ]


def require_packages() -> None:
    """Install what is missing, as root on Debian; else say how to get it."""
    missing = missing_packages()
    if not missing:
        return
    if os.geteuid() or shutil.which("apt-get") is None:
        raise NotDoneError(
            f"{', '.join(missing)} missing; on Debian 12: "
            f"sudo apt-get install {' '.join(missing)}"
        )
    run(["apt-get", "update", "--quiet=2"], timeout_s=INSTALL_TIMEOUT_S)
    install = ["apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends"]
    run([*install, *missing], timeout_s=INSTALL_TIMEOUT_S)


def owner_for(server: str) -> str | None:
    """The system user to run `server` as; None: whoever runs this, who is not root."""
    if os.geteuid():
        return None
    pwd.getpwnam(server)
    return server


def give_directory(path: Path, owner: str | None) -> None:
    """Make `path`, in the hands of `owner`."""
    path.mkdir(mode=0o700)
    if owner is not None:
        shutil.chown(path, owner, pwd.getpwnam(owner).pw_gid)


def environment() -> dict[str, str]:
    """For every command: no one's PG* settings, and answers in English."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "MYSQL"))}
    ours = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return {**kept, **ours, "PATH": search_path()}


def run(
    command: Sequence[str],
    *,
    owner: str | None = None,
    timeout_s: float = COMMAND_TIMEOUT_S,
    cwd: Path | None = None,
) -> str:
    """Run to the end; its standard output. Raises NotDoneError if it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=environment(),
            cwd=cwd or "/",
            user=owner,
            group=owner,
            extra_groups=None if owner is None else (),
        )
    except subprocess.TimeoutExpired:
        raise NotDoneError(f"{command[0]} took more than {timeout_s:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-SAID:]
        raise NotDoneError(f"{' '.join(command[:2])} failed: {said}")
    return done.stdout


def pgbench_rate(output: str, count: int) -> float:
    """Commits a second as pgbench tells them, connecting left out."""
    done = re.search(r"transactions actually processed: (\d+)/", output)
    rate = re.search(r"^tps = ([0-9.]+) \(without initial", output, re.MULTILINE)
    if done is None or rate is None or int(done[1]) != count:
        raise NotDoneError(f"pgbench did not do {count} commits: {output[-SAID:]}")
    return float(rate[1])


def sysbench_rate(output: str, count: int) -> float:
    """Commits a second as sysbench tells them, connecting left out."""
    done = re.search(r"transactions:\s+(\d+)\s+\(([0-9.]+) per sec", output)
    if done is None or int(done[1]) != count:
        raise NotDoneError(f"sysbench did not do {count} commits: {output[-SAID:]}")
    return float(done[2])


def pairs(output: str) -> dict[str, str]:
    """Lines of a name, a tab and a value, as both command-line clients print them."""
    split = (line.partition("\t") for line in output.splitlines())
    return {name: value for name, tab, value in split if tab}
