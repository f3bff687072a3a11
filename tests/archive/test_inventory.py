"""What a listing says, and which cluster and history are meant."""

import pytest

from archive.keeping import history, reign
from nexus.archive.inventory import (
    Inventory,
    chosen_cluster,
    is_newest,
    newest_reign,
    side_histories,
    take_stock,
)
from nexus.archive.names import ReignName, RunName, SnapshotName
from nexus.errors import ArchiveError
from nexus.model.position import Epoch, HistoryId, Offset, Position

FIRST, SECOND = reign(1, "aa"), reign(2, "bb", 5)


def named(epoch: int, history_id: str) -> ReignName:
    return ReignName("c1", Epoch(epoch), HistoryId(history_id))


def of(*reigns: ReignName) -> Inventory:
    return Inventory("c1", frozenset(reigns))


def test_a_listing_is_sorted_by_cluster_and_kind() -> None:
    run = RunName(named(1, "aa"), Offset(1), Offset(4), 9)
    snapshot = SnapshotName(named(1, "aa"), Offset(2), 9)
    other = ReignName("c2", Epoch(1), HistoryId("cc"))
    texts = [str(run), str(snapshot), named(1, "aa").history, other.history, "else"]

    found = take_stock((text, 7) for text in texts)

    assert sorted(found) == ["c1", "c2"]
    assert found["c1"].runs == {run}
    assert found["c1"].snapshots == {snapshot}
    assert found["c1"].histories == {named(1, "aa")}
    assert found["c1"].sizes == dict.fromkeys(texts[:3], 7)
    assert found["c1"].without(run, snapshot).reigns == {named(1, "aa")}


def test_the_cluster_must_be_clear() -> None:
    found = {"c1": Inventory("c1"), "c2": Inventory("c2")}

    assert chosen_cluster(found, "c2", "/a").cluster_id == "c2"
    assert chosen_cluster({"c1": Inventory("c1")}, None, "/a").cluster_id == "c1"
    with pytest.raises(ArchiveError, match="several clusters: c1, c2; say which"):
        chosen_cluster(found, None, "/a")
    with pytest.raises(ArchiveError, match="nothing of cluster 'c3', but of c1, c2"):
        chosen_cluster(found, "c3", "/a")
    with pytest.raises(ArchiveError, match="nothing of any cluster"):
        chosen_cluster({}, None, "/a")


def test_the_highest_epoch_counts_unless_a_history_is_named() -> None:
    inventory = of(named(1, "aa"), named(1001, "bb"), named(2, "cc"))

    assert newest_reign(inventory, None) == named(1001, "bb")
    assert newest_reign(inventory, "cc") == named(2, "cc")
    with pytest.raises(ArchiveError, match="no history 'dd'"):
        newest_reign(inventory, "dd")


def test_two_masters_of_one_epoch_are_named_and_not_chosen_from() -> None:
    inventory = of(named(1, "aa"), named(2, "bb"), named(2, "cc"))

    with pytest.raises(ArchiveError, match=r"histories bb and cc; say which"):
        newest_reign(inventory, None)
    assert newest_reign(inventory, "bb") == named(2, "bb")


def test_forks_are_the_reigns_of_no_ancestor() -> None:
    inventory = of(named(1, "aa"), named(2, "bb"), named(2, "cc"))

    assert side_histories(inventory, history(FIRST, SECOND)) == [named(2, "cc")]


def test_a_master_is_the_newest_while_no_other_has_its_epoch() -> None:
    position = Position(Epoch(2), Offset(9), HistoryId("bb"))

    assert is_newest(of(named(1, "aa"), named(2, "bb")), position)
    assert not is_newest(of(named(2, "bb"), named(2, "cc")), position)
    assert not is_newest(of(named(2, "bb"), named(3, "dd")), position)


def test_only_snapshots_of_the_history_are_its_own() -> None:
    before = SnapshotName(named(1, "aa"), Offset(4), 0)
    beyond = SnapshotName(named(1, "aa"), Offset(5), 0)
    later = SnapshotName(named(2, "bb"), Offset(6), 0)
    inventory = Inventory("c1", snapshots=frozenset({later, beyond, before}))

    assert inventory.snapshots_of(history(FIRST, SECOND)) == [before, later]
