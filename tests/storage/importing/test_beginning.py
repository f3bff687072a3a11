"""The log of a restored data directory begins where its database stands."""

from contextlib import closing
from pathlib import Path

from nexus.model.position import Epoch, HistoryId, Offset, Position
from nexus.storage.catalog import Catalog
from nexus.storage.directory import DataDirectory
from nexus.storage.importing.beginning import begin_at
from nexus.storage.wal import WalSettings, WriteAheadLog


def test_the_log_is_empty_behind_the_position_and_the_catalog_knows_it(
    tmp_path: Path,
) -> None:
    directory = DataDirectory(tmp_path)
    directory.create()

    begin_at(directory, "c1", Position(Epoch(3), Offset(120), HistoryId("h1")))

    with closing(WriteAheadLog.open(directory.wal, WalSettings())) as log:
        assert (log.first_offset, log.last_offset, log.entry_count) == (121, 120, 0)
    with closing(Catalog.open(directory.catalog)) as catalog:
        state = catalog.state
        assert (state.cluster_id, state.epoch, state.history_id) == ("c1", 3, "h1")
