"""One committed transaction: operations at a position.

An entry's payload is encoded once, by the master's writer; the same bytes are kept
in every log, sent over every wire and applied on every node.
"""

from typing import Final

import msgspec

from nexus.model.operation import Operation
from nexus.model.position import Epoch, Offset


class Payload(msgspec.Struct, frozen=True, array_like=True):
    """What an entry says; MessagePack, fields in this order."""

    timestamp_us: int
    """When the transaction was captured, microseconds since 1970."""
    transaction_id: str
    """The client's idempotency key, or empty."""
    schema_hash: bytes
    """Hash of the schema before the first operation; empty: not checked."""
    operations: tuple[Operation, ...]
    answer: bytes = b""
    """The client's answer, kept only beside a transaction id."""
    mode: str = ""
    """`sync` or `async` where the entry's first operation is `Reigned`."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """An entry as the log and the wire hold it: place and encoded payload."""

    epoch: Epoch
    offset: Offset
    payload: bytes

    def decoded(self) -> Payload:
        """The payload's meaning; raises msgspec.DecodeError for foreign bytes."""
        return decode_payload(self.payload)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Payload)

encode_payload: Final = _encoder.encode
decode_payload: Final = _decoder.decode
