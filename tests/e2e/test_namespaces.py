"""The network that the other tests break: what is cut is lost, and only that."""

import subprocess
import sys

from e2e.namespaces import Machine, networked

SEND = (
    "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
    "s.sendto(b'!', (sys.argv[1], 7777))"
)
RECEIVE = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
    "s.bind(('', 7777)); print('ready', flush=True); input(); s.settimeout(0.5);\n"
    "try: s.recv(1); print('came')\n"
    "except TimeoutError: print('lost')"
)


def arrives(source: Machine, target: Machine) -> bool:
    """Whether one datagram does."""
    python = (sys.executable, "-S", "-c")
    with subprocess.Popen(
        ["nsenter", f"--net={target.namespace}", *python, RECEIVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as receiver:
        assert receiver.stdout
        assert receiver.stdout.readline() == "ready\n"
        subprocess.run(
            ["nsenter", f"--net={source.namespace}", *python, SEND, target.address],
            check=True,
        )
        assert receiver.stdin
        receiver.stdin.write("sent\n")
        receiver.stdin.flush()
        return receiver.stdout.readline() == "came\n"


def test_a_cut_loses_the_packets_of_one_direction_until_it_is_healed() -> None:
    with networked(2) as network:
        one, other = network.machines
        assert arrives(one, other)
        network.cut(one.address, other.address)
        assert not arrives(one, other)
        assert arrives(other, one)
        network.heal()
        assert arrives(one, other)
