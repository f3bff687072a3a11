"""Entries of several reigns in one write, each under its own history id."""

from nexus.model.cluster import NodeId
from nexus.model.entry import Record
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Reign
from nexus.node.streaming.framing import Framer, frames_of
from nexus.protocol.codec import Decoder
from nexus.protocol.messages import WalEntry

HISTORY = EpochHistory(
    (
        Reign(Epoch(1), HistoryId("one"), NodeId("a"), Offset(1), 0, "start"),
        Reign(Epoch(2), HistoryId("two"), NodeId("b"), Offset(3), 0, "promote"),
    )
)


def test_each_entry_carries_the_history_of_its_own_reign() -> None:
    records = [
        Record(Epoch(1), Offset(2), b"old"),
        Record(Epoch(2), Offset(3), b"new"),
        Record(Epoch(2), Offset(4), b"newer"),
    ]

    decoder = Decoder()
    decoder.handshake_done()
    messages = decoder.feed(b"".join(frames_of(records, HISTORY, Offset(2))))

    entries = [message for message in messages if isinstance(message, WalEntry)]
    found = [(e.offset, e.history_id, e.entry) for e in entries]
    assert found == [(2, "one", b"old"), (3, "two", b"new"), (4, "two", b"newer")]
    assert {entry.commit_offset for entry in entries} == {2}


def test_nothing_is_framed_as_nothing() -> None:
    assert frames_of([], HISTORY, Offset(2)) == []


def test_the_same_run_is_encoded_once_and_another_one_anew() -> None:
    records = [Record(Epoch(1), Offset(1), b"a"), Record(Epoch(1), Offset(2), b"b")]
    framer = Framer()

    first = framer.frames(records, HISTORY, Offset(0))

    assert framer.frames(list(records), HISTORY, Offset(0)) is first
    assert framer.frames(records[1:], HISTORY, Offset(0)) != first
    assert framer.frames(records, HISTORY, Offset(3)) == frames_of(
        records, HISTORY, Offset(3)
    )
    assert framer.frames([], HISTORY, Offset(3)) == []


def test_large_entries_are_compressed_only_where_that_was_asked_for() -> None:
    records = [Record(Epoch(1), Offset(1), bytes(100_000))]
    framer = Framer()

    plain = framer.frames(records, HISTORY, Offset(0), compress=False)
    packed = framer.frames(records, HISTORY, Offset(0), compress=True)

    assert len(b"".join(plain)) > 100_000
    assert len(b"".join(packed)) < 1_000
