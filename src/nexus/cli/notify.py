"""Tell systemd how the node fares, where it asks: its protocol is one datagram."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send `READY=1` or `STOPPING=1`, if this process was started by Type=notify.

    Whoever does not listen any more misses it: no reason to stop.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        sender.connect(address)
        sender.send(state.encode())
