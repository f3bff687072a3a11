"""Text that is no UTF-16 is refused where it could not be replicated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.errors import RefusedStatementError
from nexus.storage.capture import Capture
from nexus.storage.capturing.results import Captured, Statement
from nexus.storage.database import Database

TABLES = (
    "create table t(id integer primary key, x text)",
    "create table keyless(x text)",
    "create table named(k text primary key, x text) without rowid",
)


class Writer:
    """A writer's database with another encoding."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.database = Database.open(path, encoding=encoding)
        self.database.set_mode_capturing()
        self.capture = Capture(self.database, 1 << 20)

    def run(self, *statements: str) -> Captured:
        self.database.begin()
        try:
            return self.capture.run([Statement(sql) for sql in statements])
        finally:
            self.database.commit(None)


@pytest.fixture(params=["UTF-16le", "UTF-16be"])
def writer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Writer]:
    made = Writer(tmp_path / "wide.db", request.param)
    made.run(*TABLES)
    yield made
    made.database.close()


def halves(writer: Writer, *units: int) -> str:
    """Text of these UTF-16 code units, as an expression of SQL."""
    order = "little" if writer.database.encoding == "UTF-16le" else "big"
    data = b"".join(unit.to_bytes(2, order) for unit in units)  # type: ignore[arg-type]  # two literals
    return f"cast(x'{data.hex()}' as text)"


@pytest.mark.parametrize("units", [(0xD800,), (0xDC00, 0x41), (0x41, 0xD800, 0x42)])
@pytest.mark.parametrize(
    "sql",
    [
        "insert into t values (1, {})",
        "insert into keyless values ({})",
        "insert into named values ('k', {})",
        "update t set x = {} where id = 9",
    ],
)
def test_half_of_a_pair_is_refused_and_leaves_no_trace(
    writer: Writer, sql: str, units: tuple[int, ...]
) -> None:
    writer.run("insert into t values (9, 'nine')")

    with pytest.raises(RefusedStatementError, match="is no UTF-16"):
        writer.run(sql.format(halves(writer, *units)))

    rows = writer.database.writer.execute(
        "select x from t union all select x from keyless union all select x from named"
    ).fetchall()
    assert rows == [("nine",)]


@pytest.mark.parametrize("text", ["ä€", "😀", "a😀b"])
def test_true_utf_16_is_taken(writer: Writer, text: str) -> None:
    taken = writer.run(
        f"insert into t values (1, '{text}')",
        "savepoint s",
        f"update t set x = '{text}{text}' where id = 1",
        "release s",
        f"insert into keyless values ('{text}')",
        f"insert into named values ('{text}', '{text}')",
        f"update named set x = x || '{text}'",
        "delete from keyless",
    )

    assert taken.operations


def test_in_utf_8_any_bytes_are_carried(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "narrow.db", "UTF-8")
    writer.run(*TABLES)

    assert writer.run("insert into t values (1, cast(x'ff' as text))").operations
    writer.database.close()
