from nexus.api.answers import History, Snapshot
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position, Reign
from nexus.storage.snapshots.store import SnapshotInfo


def test_positions_are_told_as_text() -> None:
    position = Position(Epoch(3), Offset(120), HistoryId("9f86d081"))

    snapshot = Snapshot.of(
        SnapshotInfo("s", "2025-01-02T03:04:05Z", position, 120, 9, 5, "0badcafe", 2)
    )

    assert snapshot.position == "3:120@9f86d081"
    assert snapshot.wal_offset == 120


def test_a_reign_is_told_with_its_time_and_first_position() -> None:
    reign = Reign(
        Epoch(1), HistoryId("h1"), "n0", Offset(1), 1_700_000_000_500_000, "x"
    )

    [told] = History.of(EpochHistory((reign,))).history

    assert told.started_at == "2023-11-14T22:13:20.500000+00:00"
    assert told.first_position == "1:1@h1"
