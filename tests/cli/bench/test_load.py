"""The work on plain SQLite is durable and whole."""

from contextlib import closing
from pathlib import Path

import apsw

from nexus.cli.bench.load import Plain


def test_plain_sqlite_syncs_each_commit_and_has_all_rows(tmp_path: Path) -> None:
    with closing(Plain(tmp_path / "plain.db")) as plain:
        assert plain.commits(10) > 0
        assert plain.bulk(2_000) > 0
        assert plain._connection.pragma("synchronous") == 2
        assert plain._connection.pragma("journal_mode") == "wal"

    with closing(apsw.Connection(str(tmp_path / "plain.db"))) as connection:
        rows = connection.execute("select count(*) from bench").fetchall()
    assert rows == [(2_010,)]
