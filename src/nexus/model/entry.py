"""One committed transaction: operations at a position.

An entry's payload is encoded once, by the master's writer; the same bytes are kept
in every log, sent over every wire and applied on every node.
"""

from typing import Final, TypeVar

import msgspec

from nexus.model.operation import Configuration, Operation, Tokens
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


Kind = TypeVar("Kind", Configuration, Tokens)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Payload)

encode_payload: Final = _encoder.encode
decode_payload: Final = _decoder.decode

_OWN: Final = b"\xa0\xc4\x00"
"""No transaction id and no schema hash: an entry of Nexus's own."""

_NUMBER_BYTES: Final = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3} | {
    0xD2: 5,
    0xD3: 9,
}
"""What a MessagePack integer takes, by its first byte; 1 where none is named."""


def is_own(payload: bytes) -> bool:
    """Whether the entry is one of Nexus's own; cheap, nothing is decoded."""
    behind_time = 1 + _NUMBER_BYTES.get(payload[1], 1)
    return payload[behind_time : behind_time + len(_OWN)] == _OWN


def written_us(payload: bytes) -> int:
    """When the entry was captured, microseconds since 1970; cheap.

    0 for what no payload begins with, or a time before 1970.
    """
    kind = payload[1] if len(payload) > 1 else 0
    if kind < 0x80:  # noqa: PLR2004 - MessagePack's small integers are their own byte
        return kind
    if not 0xCC <= kind <= 0xCF:  # noqa: PLR2004 - its unsigned integers
        return 0
    return int.from_bytes(payload[2 : 1 + _NUMBER_BYTES[kind]], "big")


def tokens_of(payload: bytes) -> Tokens | None:
    """The change of tokens that an entry brings, if it does; cheap for all others."""
    return _own_operation(payload, Tokens)


def configuration_of(payload: bytes) -> Configuration | None:
    """The configuration that an entry brings, if it does; cheap for all other entries.

    Raises msgspec.DecodeError for an entry of Nexus's own that is none.
    """
    return _own_operation(payload, Configuration)


def _own_operation(payload: bytes, kind: type[Kind]) -> Kind | None:
    if not is_own(payload):
        return None
    operations = decode_payload(payload).operations
    return next((one for one in operations if isinstance(one, kind)), None)
