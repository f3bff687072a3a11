"""A connection is cut off once, however often that is asked for."""

import asyncio
from typing import Any

from typing_extensions import override

from nexus.node.network.aborting import cut_off


class Transport(asyncio.WriteTransport):
    """As TLS's of Python 3.11.2."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = 0
        self._protocol: Any = self

    @override
    def abort(self) -> None:
        self._protocol.lets_go()

    def lets_go(self) -> None:
        self.aborted += 1
        self._protocol = None


def test_a_transport_that_is_closed_already_may_be_cut_off_again() -> None:
    transport = Transport()

    cut_off(transport)
    cut_off(transport)

    assert transport.aborted == 1
