"""What a node knows of itself: durable when told so, old or new after a crash."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from nexus.errors import StorageError
from nexus.model.cluster import NodeId, Role
from nexus.model.operation import Configuration
from nexus.model.position import Epoch, EpochHistory, HistoryId, Offset, Position
from nexus.storage.catalog import Base, Catalog, CatalogState, Intent
from storage.logs import file_size_limit

WHOLE = CatalogState(
    node_id=NodeId("a"),
    cluster_id="c",
    role=Role.REPLICA,
    epoch=Epoch(7),
    history_id=HistoryId("h"),
    voted_epoch=Epoch(8),
    voted_for=NodeId("b"),
    master_addr="10.0.0.1:15480",
    members=((NodeId("b"), "10.0.0.1:15480", "http://10.0.0.1:15474"),),
    log_watermark=Offset((1 << 63) - 1),
    intent=Intent(
        "full_sync",
        Position(Epoch(7), Offset(3), HistoryId("h")),
        Position(Epoch(7), Offset(9), HistoryId("h")),
    ),
)

UPDATER = """
import os, signal, sys
from pathlib import Path
from nexus.model.position import Epoch
from nexus.storage.catalog import Catalog
catalog = Catalog.open(Path(sys.argv[1]))
for epoch in range(1, 10_000):
    catalog.update(epoch=Epoch(epoch), cluster_id=str(epoch) * 2000)
    print(epoch, flush=True)
"""


def reopened(path: Path) -> CatalogState:
    with closing(Catalog.open(path)) as catalog:
        return catalog.state


def test_a_new_catalog_knows_nothing(tmp_path: Path) -> None:
    assert reopened(tmp_path / "catalog.db") == CatalogState()


def test_every_field_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(Catalog.open(path)) as catalog:
        assert catalog.update(**msgspec.structs.asdict(WHOLE)) == WHOLE
        assert catalog.state == WHOLE

    assert reopened(path) == WHOLE


def test_an_update_leaves_the_other_fields(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(Catalog.open(path)) as catalog:
        catalog.update(**msgspec.structs.asdict(WHOLE))
        catalog.update(intent=None)

    assert reopened(path) == msgspec.structs.replace(WHOLE, intent=None)


def test_a_field_that_does_not_exist_is_a_mistake_of_the_program(
    tmp_path: Path,
) -> None:
    with closing(Catalog.open(tmp_path / "catalog.db")) as catalog:
        with pytest.raises(TypeError):
            catalog.update(invented=1)
        assert catalog.state == CatalogState()


def test_what_was_returned_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    for wanted in (1, 2, 3, 5, 8, 13):
        with subprocess.Popen(
            [sys.executable, "-c", UPDATER, str(path)], stdout=subprocess.PIPE
        ) as updater:
            assert updater.stdout is not None
            for _ in range(wanted):
                updater.stdout.readline()
            updater.send_signal(signal.SIGKILL)
            told = wanted + len(updater.stdout.readlines())

        state = reopened(path)
        assert state.epoch in {told, told + 1}
        assert state.cluster_id == str(state.epoch) * 2000


def test_each_update_is_synced_with_its_journal(tmp_path: Path) -> None:
    with closing(Catalog.open(tmp_path / "catalog.db")) as catalog:
        connection = catalog._connection

        assert connection.pragma("synchronous") == 3, "EXTRA"
        assert connection.pragma("journal_mode") == "persist"


def test_a_vote_takes_no_space_that_was_not_taken_at_the_start(tmp_path: Path) -> None:
    def taken() -> dict[str, tuple[int, int]]:
        found = {file.name: file.stat() for file in tmp_path.iterdir()}
        return {name: (one.st_size, one.st_blocks) for name, one in found.items()}

    for _ in range(2):
        with closing(Catalog.open(tmp_path / "catalog.db")) as catalog:
            before = taken()
            for number in range(1, 40):
                catalog.update(epoch=Epoch(number), voted_for=NodeId("b" * number))
            catalog.update(cluster_id="c" * 8_000)
            catalog.update(epoch=Epoch(99))
            assert taken() == before
            catalog.update(cluster_id="c")


def test_a_full_disk_changes_nothing_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(Catalog.open(path)) as catalog:
        catalog.update(epoch=Epoch(4))
        with file_size_limit(8192), pytest.raises(StorageError, match="be written"):
            catalog.update(epoch=Epoch(5), cluster_id="x" * 50_000)
        assert catalog.state == CatalogState(epoch=Epoch(4))
        catalog.update(epoch=Epoch(6))

    assert reopened(path) == CatalogState(epoch=Epoch(6))


NO_CATALOG = {
    "text": b"hello " * 100,
    "half a header": b"SQLite format 3\0" + bytes(50),
    "a page of zeros behind a header": b"SQLite format 3\0" + bytes(4096),
}


@pytest.mark.parametrize("kind", NO_CATALOG)
def test_a_file_that_is_no_catalog_is_refused_and_left_alone(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(NO_CATALOG[kind])

    with pytest.raises(StorageError, match="is no catalog of a node"):
        Catalog.open(path)

    assert path.read_bytes() == NO_CATALOG[kind]


@pytest.mark.parametrize("state", [b"{", b"[]", b'{"epoch": -1}', b'{"role": "king"}'])
def test_a_state_that_cannot_be_read_is_refused(tmp_path: Path, state: bytes) -> None:
    path = tmp_path / "catalog.db"
    Catalog.open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into catalog values (1, ?)", (state,))

    with pytest.raises(StorageError, match="is no catalog of a node"):
        Catalog.open(path)


def test_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table catalog(other)")

    with pytest.raises(StorageError, match="is no catalog of a node"):
        Catalog.open(path)


def test_a_field_of_a_later_version_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    Catalog.open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        state = b'{"epoch": 3, "invented_later": [1]}'
        connection.execute("insert into catalog values (1, ?)", (state,))

    assert reopened(path).epoch == 3


def test_a_disk_without_room_is_not_called_a_bad_catalog(tmp_path: Path) -> None:
    with (
        file_size_limit(0),
        pytest.raises(StorageError, match="cannot be opened") as caught,
    ):
        Catalog.open(tmp_path / "catalog.db")

    assert "empty one" not in str(caught.value), "nobody is told to throw data away"


def test_a_catalog_that_another_process_holds_is_not_called_a_bad_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.db"
    Catalog.open(path).close()
    with closing(apsw.Connection(str(path))) as other:
        other.execute("begin exclusive")

        with pytest.raises(StorageError, match=r"cannot be opened.*locked"):
            Catalog.open(path)


def test_a_folder_in_its_place_is_not_called_a_bad_catalog(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        Catalog.open(tmp_path)


def test_the_directory_of_a_newer_release_is_refused_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "catalog.db"
    newer = msgspec.json.encode({"node_id": "a", "layout": 2, "unheard_of": [1]})
    Catalog.open(path).close()
    with closing(sqlite3.connect(path)) as writer, writer:
        writer.execute("insert into catalog values (1, ?)", (newer,))

    with pytest.raises(StorageError, match="layout is 2, this one reads up to 1"):
        Catalog.open(path)

    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("select state from catalog").fetchall() == [(newer,)]


def test_the_directory_of_the_first_release_is_read(tmp_path: Path) -> None:
    """It named no layout; one of another field that is not known is read as well."""
    path = tmp_path / "catalog.db"
    Catalog.open(path).close()
    with closing(sqlite3.connect(path)) as writer, writer:
        older = msgspec.json.encode({"node_id": "a", "epoch": 3, "unheard_of": 1})
        writer.execute("insert into catalog values (1, ?)", (older,))

    catalog = Catalog.open(path)

    assert (catalog.state.node_id, catalog.state.epoch) == ("a", 3)
    assert catalog.state.layout == 1
    catalog.close()


def test_a_witnesss_base_is_written_as_older_releases_read_it() -> None:
    base = Base(Offset(3), EpochHistory(), Offset(1), Configuration("c", ()))

    assert set(msgspec.to_builtins(base)) == {
        "offset",
        "history",
        "configured_at",
        "membership",
    }
