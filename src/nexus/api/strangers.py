"""Say to whoever sends no HTTP what it seems to be, and where it belongs."""

from typing import Final

import httptools

from nexus.api.refusals import NotHttpError
from nexus.errors import NexusError
from nexus.protocol.calls import Attach
from nexus.protocol.codec import CODES
from nexus.protocol.messages import Hello

TLS_HANDSHAKE: Final = b"\x16\x03"

NATIVE_CODES: Final = (CODES[Attach], CODES[Hello])
"""How frames of Nexus's own protocol begin; their length is below 64 KiB."""


def told_of(
    error: httptools.HttpParserError, data: bytes, native_port: int
) -> NexusError:
    """What the parser makes of it; what was raised while it called, is its context."""
    if isinstance(error.__context__, NexusError):
        return error.__context__
    if data.startswith(TLS_HANDSHAKE):
        return NotHttpError("the request begins like TLS, which is not spoken here")
    if data[0] in NATIVE_CODES and data[3:5] == b"\0\0":
        where = f"port {native_port}" if native_port else "replication.bind_addr"
        return NotHttpError(
            "this is the node's port for HTTP; clients of nexus:// and replicas go to "
            f"its {where}"
        )
    return NotHttpError(f"the request is not HTTP: {error}")
