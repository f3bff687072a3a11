"""Machines with a network of their own, on which packets can be lost one way.

Each machine is a network namespace; a router between them forwards, and drops what
`cut` names without a word to either side, as a broken switch does. All of it ends with
the processes that hold the namespaces, so nothing is left after a test that was killed.
"""

import itertools
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RIGHTS: Final = (
    "no network namespace could be made ({}): these tests need root and Debian's "
    "iproute2 (apt-get install iproute2); in a container docker run --privileged"
)
PATIENCE_S: Final = 60.0
HOLD: Final = (
    "echo 1 > /proc/sys/net/ipv4/ip_forward && ip link set lo up && echo ready && cat"
)

Cut = tuple[str, str]
"""Whose packets do not arrive, and where."""


_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a node runs: its address, and the namespace that it enters."""

    address: str
    namespace: Path


@dataclass
class Network:
    """Some machines and the test's own process, joined by a router."""

    router: Path
    here: str
    """The address of the test's process, as the machines see it."""
    machines: tuple[Machine, ...]
    _cuts: set[Cut] = field(default_factory=set)

    def cut(self, source: str, target: str) -> None:
        """From now on no packet of `source` arrives at `target`."""
        if (source, target) not in self._cuts:
            self._cuts.add((source, target))
            self._configure("add", {(source, target)})

    def heal(self) -> None:
        """Every packet arrives again."""
        self._configure("del", self._cuts)
        self._cuts.clear()

    def _configure(self, verb: str, cuts: Iterable[Cut]) -> None:
        rules = [f"rule {verb} from {a} to {b} blackhole" for a, b in sorted(cuts)]
        configure(rules, self.router)


@contextmanager
def networked(count: int) -> Iterator[Network]:
    """A network of so many machines; fails where the rights for it are missing."""
    # What the last network of this process had may go a moment after its end.
    network = next(_NUMBERS)
    subnet = f"10.213.{(os.getpid() + 101 * network) % 256}"
    with ExitStack() as stack:
        router = stack.enter_context(held_namespace())
        here = f"{subnet}.1"
        device = f"nexus{os.getpid() % 100_000}x{network}"
        join(router, None, device, here, f"{subnet}.2")
        configure([f"route add {subnet}.0/24 via {subnet}.2"])
        machines = []
        for number in range(1, count + 1):
            namespace = stack.enter_context(held_namespace())
            address, gateway = (f"{subnet}.{4 * number + end}" for end in (1, 2))
            join(router, namespace, "wire", address, gateway)
            configure([f"route add default via {gateway}"], namespace)
            machines.append(Machine(address, namespace))
        yield Network(router, here, tuple(machines))


def join(
    router: Path, namespace: Path | None, device: str, address: str, gateway: str
) -> None:
    """Lay a wire between a namespace, or here, and the router."""
    far = f"to{address.rpartition('.')[2]}"
    pid = router.parts[2]
    wire = f"link add {device} type veth peer name {far} netns {pid}"
    own = [f"address add {address}/30 dev {device}", f"link set {device} up"]
    configure([wire, *own], namespace)
    configure([f"address add {gateway}/30 dev {far}", f"link set {far} up"], router)


@contextmanager
def held_namespace() -> Iterator[Path]:
    """A network namespace that ends with this block, or with this process."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stderr
        if holder.stdout.readline() != b"ready\n":
            raise AssertionError(RIGHTS.format(holder.stderr.read().decode().strip()))
        yield Path(f"/proc/{holder.pid}/ns/net")


def configure(lines: Sequence[str], namespace: Path | None = None) -> None:
    """Have `ip` do these lines, in a namespace or here."""
    enter = ["nsenter", f"--net={namespace}"] if namespace else []
    ended = subprocess.run(
        [*enter, "ip", "-batch", "-"],
        input="\n".join([*lines, ""]),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    if ended.returncode:
        raise AssertionError(RIGHTS.format(ended.stderr.strip()))
