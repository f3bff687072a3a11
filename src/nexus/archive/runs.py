"""A run: some entries of one reign as one object of the archive.

    "NEXUSRUN"  length:4  header  zstd frame  crc32:4          little-endian

In the frame each entry is `length:4, payload`. The CRC-32 is over all before it.
"""

import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Final
from zlib import crc32

import msgspec
import zstandard

from nexus.archive.names import ReignName, RunName
from nexus.errors import ArchiveIncompleteError
from nexus.model.entry import Record, written_us
from nexus.model.position import Epoch, HistoryId, Offset

MAGIC: Final = b"NEXUSRUN"
FORMAT: Final = 1
_LENGTH: Final = struct.Struct("<I")
_START: Final = len(MAGIC) + _LENGTH.size
_MOST_HEADER: Final = 4096
_WINDOW: Final = 32 << 20
"""What a run may ask of a reader's memory."""
_READ_BYTES: Final = 1 << 20


class RunHeader(msgspec.Struct, frozen=True, array_like=True):
    """What a run holds."""

    format: int
    cluster_id: str
    epoch: Epoch
    history_id: HistoryId
    first: Offset
    last: Offset
    earliest_us: int
    """When the earliest of its entries was written, microseconds since 1970."""
    latest_us: int
    """When the latest of them was."""
    size: int
    """Bytes of the entries before compression."""


def pack_run(
    reign: ReignName, records: Sequence[Record], *, level: int
) -> tuple[RunName, bytes]:
    """The name and the bytes of a run of these entries; they have no gap."""
    times = [written_us(record.payload) for record in records]
    body = b"".join(
        part
        for record in records
        for part in (_LENGTH.pack(len(record.payload)), record.payload)
    )
    header = RunHeader(
        FORMAT,
        reign.cluster_id,
        reign.epoch,
        reign.history_id,
        records[0].offset,
        records[-1].offset,
        min(times),
        max(times),
        len(body),
    )
    packed = zstandard.ZstdCompressor(level=level).compress(body)
    return _name(header), _framed(header, packed)


def _name(header: RunHeader) -> RunName:
    reign = ReignName(header.cluster_id, header.epoch, header.history_id)
    return RunName(reign, header.first, header.last, header.earliest_us)


def _framed(header: RunHeader, packed: bytes) -> bytes:
    text = msgspec.msgpack.encode(header)
    whole = b"".join((MAGIC, _LENGTH.pack(len(text)), text, packed))
    return whole + _LENGTH.pack(crc32(whole))


class Run:
    """A run's bytes, checked: whole, and what its name says."""

    def __init__(self, name: RunName, data: bytes) -> None:
        """Raises ArchiveIncompleteError that names the object."""
        self._name = name
        end = len(data) - _LENGTH.size
        if end < _START or _LENGTH.pack(crc32(memoryview(data)[:end])) != data[end:]:
            raise self._damaged(
                f"its CRC-32 is not that of its {len(data)} bytes: it is cut off or "
                "damaged"
            )
        (length,) = _LENGTH.unpack_from(data, len(MAGIC))
        if data[: len(MAGIC)] != MAGIC or length > _MOST_HEADER:
            raise self._damaged("it is no run of entries")
        try:
            self.header = msgspec.msgpack.decode(
                data[_START : _START + length], type=RunHeader
            )
        except msgspec.MsgspecError as error:
            raise self._damaged(f"its header is malformed: {error}") from error
        if self.header.format != FORMAT:
            raise self._damaged(
                f"it has format {self.header.format}, this version reads {FORMAT}"
            )
        if _name(self.header) != name:
            raise self._damaged(f"it says that it is {_name(self.header)}")
        self._packed = memoryview(data)[_START + length : end]

    def records(self) -> Iterator[Record]:
        """Its entries in order; raises ArchiveIncompleteError for damage within."""
        header = self.header
        try:
            last = header.first - 1
            for last, payload in enumerate(self._payloads(), header.first):
                yield Record(header.epoch, Offset(last), payload)
        except zstandard.ZstdError as error:
            raise self._damaged(f"it cannot be unpacked: {error}") from error
        if last != header.last:
            raise self._damaged(f"it ends with entry {last}")

    def _payloads(self) -> Iterator[bytes]:
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        rest = b""
        with unpacker.stream_reader(BytesIO(self._packed)) as source:
            while block := source.read(_READ_BYTES):
                buffer = rest + block if rest else block
                at = 0
                while at + _LENGTH.size <= len(buffer):
                    (length,) = _LENGTH.unpack_from(buffer, at)
                    end = at + _LENGTH.size + length
                    if end > len(buffer):
                        break
                    yield buffer[at + _LENGTH.size : end]
                    at = end
                rest = buffer[at:]
        if rest:
            raise self._damaged("its last entry is cut off")

    def _damaged(self, why: str) -> ArchiveIncompleteError:
        return ArchiveIncompleteError(f"the archive's object {self._name}: {why}")
