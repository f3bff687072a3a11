"""What a log may hold of what a master sends."""

from typing import Any

import msgspec
import pytest

from nexus.errors import ProtocolError
from nexus.model.entry import Payload, encode_payload
from nexus.model.operation import Operation, Reigned, Rows, Schema
from nexus.model.position import Epoch, HistoryId, Offset
from nexus.node.screening import screen
from nexus.protocol.messages import WalEntry
from node.builders import REIGN, mark


def entry(payload: bytes, offset: int = 1) -> WalEntry:
    return WalEntry(Offset(offset), REIGN.epoch, REIGN.history_id, Offset(0), payload)


def said(*operations: Operation) -> bytes:
    return encode_payload(Payload(0, "", b"", operations))


@pytest.mark.parametrize(
    "operations",
    [(), (Rows(b"anything"),), (Schema("x"), mark()), (Reigned(REIGN), mark())],
)
def test_what_can_be_decoded_passes(operations: tuple[Operation, ...]) -> None:
    screen(entry(said(*operations)))


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        b"\x93\x00\xa0",
        said(Schema("x"))[:-1],
        said(Schema("x")) + b"\x00",
        said(Schema("qq")).replace(b"qq", b"\xff\xfe"),
        msgspec.msgpack.encode([0, "", b"", [[99, "of a later version"]]]),
        msgspec.msgpack.encode({"timestamp_us": 0}),
        b"\x91" * 200_000,
    ],
)
def test_what_cannot_be_decoded_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="entry 1 says nothing"):
        screen(entry(payload))


@pytest.mark.parametrize(
    "changed",
    [
        {"epoch": Epoch(2)},
        {"history_id": HistoryId("beef")},
        {"first_offset": Offset(2)},
    ],
)
def test_a_reign_begins_where_its_entry_stands(changed: dict[str, Any]) -> None:
    reign = msgspec.structs.replace(REIGN, **changed)
    with pytest.raises(ProtocolError, match="does not begin there"):
        screen(entry(said(Reigned(reign))))


def test_a_reign_is_the_first_that_its_entry_tells() -> None:
    with pytest.raises(ProtocolError, match="does not begin there"):
        screen(entry(said(mark(), Reigned(REIGN))))
