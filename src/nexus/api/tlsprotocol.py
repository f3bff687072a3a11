"""HTTP over TLS: what differs from HTTP on a plain socket."""

from typing_extensions import override

from nexus.api.protocol import BoundedHttpProtocol
from nexus.api.refusals import UnauthorisedError
from nexus.api.security import FORWARDED_BY
from nexus.node.network.connection import is_of_a_node
from nexus.node.network.credentials import Credentials


def protocol_over_tls(
    over: type[BoundedHttpProtocol], credentials: Credentials
) -> type[BoundedHttpProtocol]:
    """The same protocol for connections that have shaken hands with these."""

    class Protocol(over):  # type: ignore[misc, valid-type]
        """One connection."""

        plain = over
        """For who comes without TLS."""

        @override
        def eof_received(self) -> bool:
            # TLS knows no half of a connection: it closes after this.
            super().eof_received()
            return False

        @override
        def _end_answers(self) -> None:
            """Nothing to do: the connection closes in a moment."""

        @override
        def on_header(self, name: bytes, value: bytes) -> None:
            if (
                credentials.asks_nodes
                and name.lower() == FORWARDED_BY
                and not is_of_a_node(self.transport)
            ):
                raise UnauthorisedError(
                    "the call says that a node has passed it on, but comes without a "
                    "node's certificate"
                )
            super().on_header(name, value)

    return Protocol
