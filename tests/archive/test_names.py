"""What an object holds, told by its name alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.keeping import reign
from nexus.archive.names import Name, ReignName, RunName, SnapshotName, parse
from nexus.errors import ArchiveError
from nexus.model.position import Epoch, HistoryId, Offset, Position

REIGN = ReignName("c1", Epoch(3), HistoryId("9f86"))
NUMBERS = st.integers(1, (1 << 63) - 1)


def test_names_say_what_is_in_them() -> None:
    run = RunName(REIGN, Offset(7), Offset(9), 12)
    snapshot = SnapshotName(REIGN, Offset(9), 13)

    assert REIGN.history == "c1/00000000000000000003-9f86/history.json"
    assert str(run) == (
        "c1/00000000000000000003-9f86/"
        "00000000000000000007-00000000000000000009-00000000000000000012.entries"
    )
    assert str(snapshot) == (
        "c1/00000000000000000003-9f86/"
        "00000000000000000009-00000000000000000013.snapshot"
    )
    assert snapshot.position == Position(Epoch(3), Offset(9), HistoryId("9f86"))
    assert run.cluster_id == snapshot.cluster_id == "c1"


@given(
    st.from_regex(r"[0-9A-Za-z_-]{1,64}", fullmatch=True),
    st.from_regex(r"[0-9a-f]{1,16}", fullmatch=True),
    NUMBERS,
    NUMBERS,
    NUMBERS,
)
def test_a_name_reads_back_as_what_it_was_made_from(
    cluster: str, history_id: str, epoch: int, one: int, other: int
) -> None:
    folder = ReignName(cluster, Epoch(epoch), HistoryId(history_id))
    first, last = sorted((one, other))
    names: list[Name] = [
        RunName(folder, Offset(first), Offset(last), one),
        SnapshotName(folder, Offset(first), other),
    ]

    assert [parse(str(name)) for name in names] == names
    assert parse(folder.history) == folder


@pytest.mark.parametrize(
    "text",
    [
        "",
        "history.json",
        "c1/3-9f86/history.json",
        f"{REIGN.folder}/other.json",
        f"{REIGN.folder}/{'0' * 20}-{'0' * 20}-{'0' * 20}.entries",
        f"{REIGN.folder}/{9:020d}-{7:020d}-{0:020d}.entries",
        f"../{REIGN.history}",
        f"{REIGN.history}\n",
        f"a b/{REIGN.folder}/history.json",
        "litestream/generations/1/snapshots/2.snapshot.lz4",
    ],
)
def test_what_is_not_ours_has_no_meaning(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("odd", ["", "../x", "a/b", "a\nb", "a\0", "'", "x" * 65, "é"])
def test_ids_that_could_leave_their_folder_are_refused(odd: str) -> None:
    with pytest.raises(ArchiveError, match="cannot be a folder's name"):
        ReignName.of(odd, reign(3, "9f86"))
    with pytest.raises(ArchiveError, match="cannot be a folder's name"):
        ReignName.of("c1", reign(3, odd))
