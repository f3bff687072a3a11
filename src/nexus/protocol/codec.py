"""Turn messages into frames, and frames, cut anywhere, back into messages.

    [message_type:1][length:4][payload:length][crc32:4]          little-endian

The CRC-32 (IEEE) covers type, length and payload. The payload is the MessagePack
array of the message's fields.
"""

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

from nexus.errors import ProtocolError
from nexus.model.entry import Record
from nexus.model.position import EpochHistory, HistoryId, Offset
from nexus.protocol.calls import (
    Attach,
    Attached,
    Begin,
    Cancel,
    Commit,
    Done,
    Execute,
    Failed,
    Fetch,
    Recall,
    Rollback,
    Rows,
)
from nexus.protocol.messages import (
    Challenge,
    Error,
    Hello,
    Message,
    Ping,
    Pong,
    RequestSnapshot,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    TakeOver,
    VoteReply,
    VoteRequest,
    WalAck,
    WalEntry,
    Welcome,
)
from nexus.protocol.parts import COMPRESS_FROM, split_entry

CODES: Final[dict[type[Message], int]] = {
    Hello: 0x01,
    Welcome: 0x02,
    Challenge: 0x03,
    Ping: 0x10,
    Pong: 0x11,
    WalEntry: 0x20,
    WalAck: 0x21,
    RequestSnapshot: 0x30,
    SnapshotMeta: 0x31,
    SnapshotChunk: 0x32,
    SnapshotComplete: 0x33,
    VoteRequest: 0x40,
    VoteReply: 0x41,
    TakeOver: 0x42,
    Attach: 0x50,
    Attached: 0x51,
    Execute: 0x52,
    Begin: 0x53,
    Commit: 0x54,
    Rollback: 0x55,
    Recall: 0x56,
    Fetch: 0x57,
    Cancel: 0x58,
    Rows: 0x59,
    Done: 0x5A,
    Failed: 0x5B,
    Error: 0xFF,
}

HANDSHAKE_FRAME_BYTES: Final = 64 << 10
"""A whole frame before the handshake is done; a stranger gets no more memory."""

FRAME_BYTES: Final = 64 << 20
"""A whole frame after the handshake."""

HANDSHAKE_HISTORY_BYTES: Final = 48 << 10
"""What a Hello or Welcome spends on reigns; the rest is for its other fields."""

LARGE: Final = frozenset(
    CODES[kind] for kind in (WalEntry, SnapshotChunk, Execute, Rows, Done)
)
"""The messages that may ever need more than HANDSHAKE_FRAME_BYTES.

Most others hold lists of small values: 64 MiB of those would take ten times as much
memory once decoded. Clients and nodes that have proved who they are may send them.
"""

PIECE_BYTES: Final = 64 << 10
"""So much is written before a heartbeat has its turn."""

HEADER: Final = Struct("<BI")
CHECKSUM: Final = Struct("<I")
OVERHEAD: Final = HEADER.size + CHECKSUM.size

HTTP_ANSWER: Final = b"HTTP/"
HTTP_CALLS: Final = frozenset({b"GET /", b"POST ", b"PUT /", b"HEAD ", b"DELET"})
"""As much of each as a frame's header is long."""

TLS_HANDSHAKE, TLS_MAJOR = 0x16, 0x03
"""The first two bytes of whatever begins as TLS does."""

RESIDUE: Final = 0x2144DF1C
"""The CRC-32 of anything followed by its own CRC-32, little-endian."""

NAMES: Final = {code: kind.__name__ for kind, code in CODES.items()}
DECODERS: Final[dict[int, Callable[[memoryview], Message]]] = {
    code: msgspec.msgpack.Decoder(kind).decode for kind, code in CODES.items()
}
WAL_ENTRY: Final = CODES[WalEntry]
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encode: Final = msgspec.msgpack.Encoder().encode
_header: Final = HEADER.pack
_checksum: Final = CHECKSUM.pack
_read_header: Final = HEADER.unpack_from


def _frame_limits(large: int) -> list[int]:
    """The most bytes that a whole frame may take, by its code; 0 where unknown."""
    limits = [0] * 256
    for code in NAMES:
        limits[code] = large if code in LARGE else min(large, HANDSHAKE_FRAME_BYTES)
    return limits


HANDSHAKE_LIMITS: Final = _frame_limits(HANDSHAKE_FRAME_BYTES)
LIMITS: Final = _frame_limits(FRAME_BYTES)


def encode(message: Message) -> bytes:
    """The message as one frame.

    Raises ProtocolError where no peer would take a frame of that size.
    """
    code = CODES[type(message)]
    frame = _framed(code, message)
    if len(frame) > LIMITS[code]:
        raise _oversize(code, len(frame), LIMITS[code])
    return frame


def encode_entries(
    records: Iterable[Record],
    history_id: HistoryId,
    commit_offset: Offset,
    *,
    compress: bool = True,
) -> list[bytes]:
    """The frames of a run of entries of one reign, in order, in pieces to be written.

    Each is of whole frames, and of no more than twice PIECE_BYTES. Large payloads go as
    `split_entry` has them.
    """
    pieces: list[bytes] = []
    frames: list[bytes] = []
    size = 0
    for record in records:
        offset, epoch, payload = record.offset, record.epoch, record.payload
        if len(payload) < COMPRESS_FROM:
            # A tuple of WalEntry's fields: no object is made for each entry.
            entry = (offset, epoch, history_id, commit_offset, payload, 0, 1, False)
            frame = _framed(WAL_ENTRY, entry)
        else:
            entries = split_entry(record, history_id, commit_offset, compress=compress)
            *firsts, frame = map(encode, entries)
            if firsts:
                pieces += (b"".join(frames), *firsts)
                frames, size = [], 0
        frames.append(frame)
        size += len(frame)
        if size >= PIECE_BYTES:
            pieces.append(b"".join(frames))
            frames, size = [], 0
    pieces.append(b"".join(frames))
    return [piece for piece in pieces if piece]


def history_for_handshake(history: EpochHistory) -> EpochHistory:
    """The newest reigns of a history, as many as a handshake's frame has room for.

    A fork from an older reign than these is not found: it ends in a full sync.
    """
    room = HANDSHAKE_HISTORY_BYTES
    first = len(history.reigns)
    while first > 0:
        room -= len(_encode(history.reigns[first - 1]))
        if room < 0:
            break
        first -= 1
    return EpochHistory(history.reigns[first:]) if first else history


class Decoder:
    """The receiving end of one connection: bytes in, messages out.

    Holds at most one incomplete frame besides what it was last fed. After the first
    ProtocolError every further call raises it again.
    """

    def __init__(self, max_frame: int = HANDSHAKE_FRAME_BYTES) -> None:
        is_default = max_frame == HANDSHAKE_FRAME_BYTES
        self._limits = HANDSHAKE_LIMITS if is_default else _frame_limits(max_frame)
        self._buffer = bytearray()
        # Bytes that the buffer must hold before it is worth another look.
        self._wanted = HEADER.size
        self._error: ProtocolError | None = None

    def handshake_done(self) -> None:
        """From now on take large frames."""
        self._limits = LIMITS

    def feed(self, data: bytes) -> list[Message]:
        """The messages whose last byte is in `data`, in order.

        Raises ProtocolError with what is wrong; the messages before a bad frame in the
        same `data` are lost with it.
        """
        if self._error is not None:
            raise self._error
        try:
            if self._buffer:
                return self._feed_buffer(data)
            messages: list[Message] = []
            stop = self._take(memoryview(data), messages)
        except ProtocolError as error:
            self._error = error
            self._buffer = bytearray()
            raise
        if stop < len(data):
            self._buffer += memoryview(data)[stop:]
        return messages

    def _feed_buffer(self, data: bytes) -> list[Message]:
        buffer = self._buffer
        messages: list[Message] = []
        buffer += data
        if len(buffer) >= self._wanted:
            with memoryview(buffer) as view:
                stop = self._take(view, messages)
            del buffer[:stop]
        return messages

    def _take(self, view: memoryview, messages: list[Message]) -> int:
        """Decode all whole frames; where the first byte stands that is left over."""
        start, size, limits = 0, len(view), self._limits
        code: int
        length: int
        while size - start >= HEADER.size:
            code, length = _read_header(view, start)
            stop = start + OVERHEAD + length
            if stop - start > limits[code]:
                raise _oversize(code, stop - start, limits[code])
            if stop > size:
                self._wanted = stop - start
                return start
            if crc32(view[start:stop]) != RESIDUE:
                raise _damaged(code, view[start:stop])
            try:
                messages.append(DECODERS[code](view[start + 5 : stop - 4]))
            except UNDECODABLE as error:
                raise _malformed(code, error) from None
            start = stop
        self._wanted = HEADER.size
        return start


def _framed(code: int, fields: object) -> bytes:
    payload = _encode(fields)
    header = _header(code, len(payload))
    return b"".join((header, payload, _checksum(crc32(payload, crc32(header)))))


def _oversize(code: int, size: int, limit: int) -> ProtocolError:
    if code == TLS_HANDSHAKE and (size - OVERHEAD) & 0xFF == TLS_MAJOR:
        return ProtocolError(
            "the peer speaks TLS, and this port does not; set tls.cert_file and "
            "tls.key_file here, or leave them out there"
        )
    begins = HEADER.pack(code, (size - OVERHEAD) & 0xFFFF_FFFF)
    if begins == HTTP_ANSWER:
        return ProtocolError(
            "the peer speaks HTTP: that is a node's http_addr; name its "
            "replication.bind_addr, whose port is 15475 unless it was set"
        )
    if begins in HTTP_CALLS:
        return ProtocolError(
            "the peer speaks HTTP, and this is the port for nodes and clients of "
            "nexus://; HTTP goes to http_addr, whose port is 15474 unless it was set"
        )
    if code not in NAMES:
        return ProtocolError(
            f"message type 0x{code:02x} is not of this protocol; the peer is no Nexus "
            "node, or one of a newer version"
        )
    return ProtocolError(
        f"a {NAMES[code]} frame of {size} bytes is over the limit of {limit} bytes"
    )


def _damaged(code: int, frame: memoryview) -> ProtocolError:
    (found,) = CHECKSUM.unpack(frame[-CHECKSUM.size :])
    expected = crc32(frame[: -CHECKSUM.size])
    return ProtocolError(
        f"a {NAMES[code]} frame of {len(frame)} bytes carries the CRC-32 "
        f"{found:08x}, but its bytes have {expected:08x}: it was damaged on the way"
    )


def _malformed(code: int, error: Exception) -> ProtocolError:
    return ProtocolError(f"the payload of a {NAMES[code]} frame is malformed: {error}")
