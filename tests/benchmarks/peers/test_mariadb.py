"""MariaDB's figures hold only if each commit waited for a replica's answer."""

from peers.mariadb import LOAD, MASTER, doubts
from peers.system import TEXT


def status(*, yes: int, no: int, state: str = "ON") -> dict[str, str]:
    return {
        f"{MASTER}status": state,
        f"{MASTER}yes_tx": str(yes),
        f"{MASTER}no_tx": str(no),
    }


BEFORE = status(yes=2, no=4)


def test_as_many_acknowledged_commits_as_rows_leave_no_doubt() -> None:
    assert doubts(status(yes=102, no=4), BEFORE, 100) == []


def test_a_commit_that_did_not_wait_is_a_doubt() -> None:
    assert doubts(status(yes=101, no=5, state="OFF"), BEFORE, 100) == [
        "semi-sync is off",
        "1 commits did not wait for a replica",
        "99 of 100 commits were acknowledged",
    ]


def test_the_load_writes_the_same_row_as_the_others() -> None:
    assert f'text:set("{TEXT}")' in LOAD
    assert f"sysbench.sql.type.VARCHAR, {len(TEXT)})" in LOAD
