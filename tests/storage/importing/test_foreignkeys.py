"""What enforced foreign keys will refuse is told before the import, not refused."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from nexus.storage.importing.preflight import check

CHILD = "create table c(id integer primary key, p references {}); "


@pytest.mark.parametrize(
    ("sql", "what", "why"),
    [
        (
            "create table p(id integer primary key);"
            + CHILD.format("p(id)")
            + "insert into c(p) values (8), (9), (null)",
            "rows that refer to nothing in p: 2",
            "they stay",
        ),
        (
            "create table p(n text);" + CHILD.format("p(n)"),
            'foreign key mismatch - "c" referencing "p"',
            "refuses writes to the table",
        ),
        (
            CHILD.format("nowhere"),
            "refers to table nowhere, which is not there",
            "refuses writes to the table",
        ),
    ],
)
def test_a_broken_reference_is_worth_a_look(
    tmp_path: Path, sql: str, what: str, why: str
) -> None:
    path = tmp_path / "users.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(sql)

    report = check(path)

    (found,) = [one for one in report.findings if one.level == "look"]
    assert report.ok
    assert (found.table, found.what) == ("c", what)
    assert why in found.why


def test_references_that_hold_are_not_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(
            "create table p(id integer primary key);"
            + CHILD.format("P")
            + "insert into p values (1); insert into c(p) values (1)"
        )

    assert [one.level for one in check(path).findings] == ["ok", "ok"]
