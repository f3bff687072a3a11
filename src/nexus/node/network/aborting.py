"""Cut a connection off, whatever has become of it meanwhile."""

from asyncio import WriteTransport
from contextlib import suppress


def cut_off(transport: WriteTransport) -> None:
    """Nothing more is sent or read; nothing happens where it is closed already.

    The first releases of Python 3.11 fail there with TLS: its transport has let go of
    its protocol by then.
    """
    with suppress(AttributeError):
        transport.abort()
