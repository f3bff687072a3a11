"""A backup is proven by restoring it; nothing of that is left."""

from pathlib import Path

import apsw
import pytest

from archive.keeping import MAX_SIZE, keeper
from nexus.archive import restoring, verifying
from nexus.archive.restoring import Moment
from nexus.archive.verifying import verify
from nexus.errors import ArchiveIncompleteError
from nexus.model.position import Offset
from nexus.storage.fingerprint import fingerprint


def test_a_sound_archive_hashes_as_the_master_does(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with keeper(tmp_path) as master:
        master.snapshot()
        master.insert(4)
        master.carry()
        with master.desk.database.reader() as reader:
            expected = fingerprint(reader)

        found = verify(
            master.store, Moment(), max_size=MAX_SIZE, work=tmp_path / "work"
        )
        older = verify(master.store, Moment(offset=Offset(3)), max_size=MAX_SIZE)

    assert found.prints == expected
    assert found.restored.position.offset == 6
    assert older.prints.tables["t"].rows == 1
    assert list((tmp_path / "work").iterdir()) == []


def test_a_restored_database_that_sqlite_finds_fault_with_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive's checksums are right, and what the master archived was not."""

    def spoiled(store: object, target: Path, moment: Moment, **how: object) -> object:
        made = restoring.restore(store, target, moment, **how)  # type: ignore[arg-type]  # passed on
        file = apsw.Connection(str(target / "nexus.db"))
        file.execute("pragma writable_schema = on")
        file.execute("update sqlite_schema set rootpage = 2 where name = 't'")
        file.close()
        return made

    monkeypatch.setattr(verifying, "restore", spoiled)
    with keeper(tmp_path) as master:
        master.snapshot()

        with pytest.raises(ArchiveIncompleteError, match="SQLite finds fault with it"):
            verify(master.store, Moment(), max_size=MAX_SIZE, work=tmp_path)

    assert [p.name for p in tmp_path.iterdir() if "verify" in p.name] == []
