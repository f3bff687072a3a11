from typing import Any

import pytest

from nexus.errors import ProtocolError
from nexus.model.cluster import LinkState, NodeId
from nexus.model.position import Epoch, Offset, Position
from nexus.protocol.messages import (
    ErrorCode,
    RequestSnapshot,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
)
from nexus.replication.effects import (
    MASTER,
    Connect,
    Disconnect,
    Diverged,
    Install,
    Level,
    ReceiveSnapshot,
    Report,
    Send,
    StoreChunk,
)
from nexus.replication.following.full_sync import FullSync
from nexus.replication.following.incoming import Incoming
from nexus.replication.following.keeping import Keeping
from nexus.replication.following.link import Link, retries
from nexus.replication.settings import RecoveredState, ReplicaSettings
from replication.examples import ONE_REIGN, welcome

POSITION = ONE_REIGN.position_at(Offset(7))
META = SnapshotMeta("s7", 300, 3, 0, POSITION)
NEW = Send(MASTER, RequestSnapshot(NodeId("b"), takes_growing=True))


class Transfer:
    """A full sync with its link and log, connected and in want of a snapshot."""

    def __init__(self, end: int = 5) -> None:
        settings = ReplicaSettings(addresses=("a",))
        recovered = RecoveredState(history=ONE_REIGN, durable_offset=Offset(end))
        self.link = Link(settings, lambda: 0.0)
        self.log = Incoming(recovered)
        keeping, wait = Keeping(self.log), retries(settings, lambda: 0.0)
        self.full_sync = FullSync(NodeId("b"), self.link, self.log, keeping, wait)
        self.link.started()
        self.connect()

    def connect(self) -> None:
        self.link.connected(0)
        self.link.welcomed(1_000, 0)
        self.log.met(welcome(), 0)

    def receive(self, message: Any) -> Any:
        return self.full_sync.receive(message, ONE_REIGN)

    def chunk(self, index: int, snapshot_id: str = "s7") -> Any:
        return self.receive(SnapshotChunk(snapshot_id, index, b"data", 0))


def test_a_snapshot_comes_whole_and_is_installed() -> None:
    transfer = Transfer()

    assert transfer.full_sync.begin(Offset(5), 0) == (NEW,)
    assert transfer.receive(META) == (ReceiveSnapshot(META, 0),)
    for index in range(3):
        (effect,) = transfer.chunk(index)
        assert isinstance(effect, StoreChunk)
    assert transfer.receive(SnapshotComplete("s7", success=True)) == (
        Install("s7", POSITION),
    )
    assert transfer.link.awaits_disk
    assert transfer.full_sync.installed(POSITION, ONE_REIGN, 0) == (
        Send(MASTER, SnapshotComplete("s7", success=True)),
        Disconnect("the snapshot is installed: connecting anew"),
        Connect("a", 0),
    )
    assert transfer.log.received == 7
    assert transfer.full_sync.completed == 1


def test_own_entries_are_kept_before_they_are_replaced_and_only_once() -> None:
    transfer = Transfer()

    first, request = transfer.full_sync.begin(Offset(3), 0)
    transfer.link.broken("lost")
    transfer.connect()
    again = transfer.full_sync.begin(Offset(3), 5_000)

    assert isinstance(first, Diverged)
    assert first.after == 3
    assert (request,) == again == (NEW,)


def test_a_broken_transfer_goes_on_at_the_next_chunk_without_delay() -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)
    transfer.receive(META)
    transfer.chunk(0)
    transfer.chunk(1)
    transfer.link.broken("lost")
    transfer.connect()

    assert transfer.full_sync.begin(Offset(5), 1) == (
        Send(MASTER, RequestSnapshot(NodeId("b"), "s7", 2, takes_growing=True)),
    )
    assert transfer.receive(META) == (ReceiveSnapshot(META, 2),)
    assert len(transfer.chunk(2)) == 1


def test_another_snapshot_than_the_one_begun_starts_anew() -> None:
    transfer = Transfer()
    transfer.full_sync.resume_from("s5", 2)
    transfer.full_sync.begin(Offset(5), 0)

    assert transfer.receive(META) == (ReceiveSnapshot(META, 0),)


def test_a_new_full_sync_soon_after_the_last_waits() -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)
    transfer.full_sync.failed("bad", 10)
    transfer.connect()

    assert transfer.full_sync.begin(Offset(5), 20) == ()
    assert transfer.full_sync.request(999) == ()
    assert transfer.full_sync.request(1_000) == (NEW,)
    assert transfer.full_sync.request(99_999) == ()
    transfer.full_sync.failed("bad", 1_000)
    transfer.connect()
    assert transfer.full_sync.begin(Offset(5), 2_999) == ()
    transfer.full_sync.steady()
    assert transfer.full_sync.request(2_999) == (NEW,)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (META, "was not asked for"),
        (SnapshotChunk("s9", 0, b"", 0), "not under way"),
        (SnapshotChunk("s7", 1, b"", 0), "chunk 1 of snapshot s7 came where 0 of 3"),
        (SnapshotComplete("s7", success=True), "ended after 0 chunks"),
        (SnapshotComplete("s7", success=False), "ended after 0 chunks"),
        (SnapshotComplete("s9", success=True), "snapshot s9 ended"),
    ],
)
def test_a_frame_out_of_place_ends_it_and_begins_anew_later(
    message: Any, words: str
) -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)
    transfer.receive(META)

    with pytest.raises(ProtocolError, match=words):
        transfer.receive(message)
    transfer.link.given_up("odd", ErrorCode.MALFORMED)
    transfer.connect()
    assert transfer.full_sync.begin(Offset(5), 9_999) == (NEW,)


def test_a_chunk_beyond_the_last_is_refused() -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)
    transfer.receive(META)
    for index in range(3):
        transfer.chunk(index)

    with pytest.raises(ProtocolError, match="3 of 3"):
        transfer.chunk(3)


def test_frames_without_a_transfer_are_refused() -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)

    with pytest.raises(ProtocolError, match="not under way"):
        transfer.chunk(0)
    with pytest.raises(ProtocolError, match="ended after 0"):
        transfer.receive(SnapshotComplete("s7", success=True))


def test_a_snapshot_that_is_not_of_the_masters_history_is_refused() -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)

    with pytest.raises(ProtocolError, match="history does not contain"):
        transfer.receive(SnapshotMeta("s7", 300, 3, 0, Position(Epoch(9), Offset(7))))


def test_a_bad_archive_is_reported_and_asked_for_again_later() -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)
    transfer.receive(META)

    assert transfer.full_sync.failed("CRC", 0) == (
        Report(Level.ERROR, "install_failed", "CRC"),
        Send(MASTER, SnapshotComplete("s7", success=False)),
        Disconnect("CRC"),
        Connect("a", 1_000),
    )


def test_an_install_that_outlives_its_connection_asks_for_the_next() -> None:
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)
    transfer.receive(META)
    for index in range(3):
        transfer.chunk(index)
    transfer.receive(SnapshotComplete("s7", success=True))

    assert transfer.link.broken("lost") == ()
    assert transfer.full_sync.installed(POSITION, ONE_REIGN, 0) == (Connect("a", 0),)
    assert transfer.link.state is LinkState.RECONNECTING


# --- A snapshot that is still being made ---------------------------------------------

EARLY = SnapshotMeta("s7", 0, 0, 0, POSITION)


def growing(chunks: int) -> Transfer:
    """A transfer of one, after so many chunks."""
    transfer = Transfer()
    transfer.full_sync.begin(Offset(5), 0)
    transfer.receive(EARLY)
    for index in range(chunks):
        transfer.chunk(index)
    return transfer


def test_a_snapshot_may_come_while_it_grows_and_is_installed_when_it_is_whole() -> None:
    transfer = growing(3)
    with pytest.raises(ProtocolError, match="ended after 3 chunks"):
        growing(3).receive(SnapshotComplete("s7", success=True))
    assert transfer.receive(META) == (ReceiveSnapshot(META, 3),)
    assert transfer.receive(SnapshotComplete("s7", success=True)) == (
        Install("s7", POSITION),
    )


def test_one_that_broke_while_it_grew_goes_on_when_it_is_whole_or_still_grows() -> None:
    for meta in (META, EARLY):
        transfer = growing(2)
        transfer.link.broken("lost")
        transfer.connect()
        transfer.full_sync.begin(Offset(5), 1)

        assert transfer.receive(meta) == (ReceiveSnapshot(meta, 2),)
        assert len(transfer.chunk(2)) == 1


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (EARLY, "was not asked for"),
        (SnapshotMeta("s9", 300, 3, 0, POSITION), "s9 was not asked for"),
        (SnapshotMeta("s7", 300, 3, 0, ONE_REIGN.position_at(Offset(6))), "not asked"),
        (SnapshotMeta("s7", 200, 2, 0, POSITION), "has 2 chunks, 3 came"),
    ],
)
def test_figures_that_do_not_fit_what_grew_are_refused(
    meta: SnapshotMeta, words: str
) -> None:
    transfer = growing(3)

    with pytest.raises(ProtocolError, match=words):
        transfer.receive(meta)


def test_a_snapshot_older_than_what_both_logs_share_is_refused() -> None:
    transfer = Transfer(end=9)
    transfer.full_sync.begin(Offset(8), 0)

    with pytest.raises(ProtocolError, match="the master's up to entry 8"):
        transfer.receive(META)
