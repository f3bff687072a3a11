"""A disk of its own for nodes, in a mount namespace that ends with the test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RIGHTS = (
    "a disk could not be mounted ({}): these tests need root, or CAP_SYS_ADMIN "
    "in a container (docker run --cap-add SYS_ADMIN --security-opt apparmor=unconfined)"
)


class SmallDisk:
    """Nodes enter its namespace; the test reaches its files from outside."""

    def __init__(self, mount: Path, holder: subprocess.Popen[bytes]) -> None:
        self.mount = mount
        """Where a node in the namespace sees it."""
        self.outside = Path(f"/proc/{holder.pid}/root{mount}")
        """The same directory for the test; not for SQLite, which resolves the link."""
        self.namespace = Path(f"/proc/{holder.pid}/ns/mnt")

    def fill(self, *, leave: int = 0) -> None:
        """Take all space but `leave` bytes, as another program's files would."""
        statistics = os.statvfs(self.outside)
        size = statistics.f_bavail * statistics.f_frsize - leave
        with (self.outside / "filler").open("ab") as file:
            if size > 0:
                os.posix_fallocate(file.fileno(), file.tell(), size)

    def free(self) -> None:
        """Give the space back."""
        (self.outside / "filler").unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """As a file system does after an error of its device."""
        self._remount("ro")

    def _remount(self, option: str) -> None:
        subprocess.run(
            [
                "nsenter",
                f"--mount={self.namespace}",
                *("mount", "-o", f"remount,{option}", str(self.mount)),
            ],
            check=True,
        )


@contextmanager
def small_disk(mount: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """A tmpfs of this size at `mount`; fails where the rights for it are missing."""
    with mounted(mount, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs") as disk:
        yield disk


@contextmanager
def mounted(mount: Path, *what: str) -> Iterator[SmallDisk]:
    """What `mount` makes of these arguments, at this place."""
    mount.mkdir(exist_ok=True)
    script = 'mount "$@" && echo ready && cat'
    holder = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", *what, str(mount)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdin
    assert holder.stdout
    assert holder.stderr
    try:
        if holder.stdout.readline() != b"ready\n":
            raise AssertionError(RIGHTS.format(holder.stderr.read().decode().strip()))
        yield SmallDisk(mount, holder)
    finally:
        holder.stdin.close()
        holder.wait(60)
        holder.stdout.close()
        holder.stderr.close()
