from contextlib import closing

import apsw
import pytest

from nexus.errors import RefusedStatementError
from nexus.model.operation import Fingerprint, TokenChange, Tokens
from nexus.model.position import Offset
from nexus.model.token import Token, TokenRole, sha256
from nexus.storage.database import Database
from nexus.storage.schema.tokens import (
    NO_TOKENS,
    read_tokens,
    take_tokens_back,
    write_tokens,
)
from storage.pair import Pair

ONE = Token("one", "o'ne", TokenRole.READ, sha256(b"1"), 1)
TWO = Token("two", "", TokenRole.ADMIN, sha256(b"2"), 2, 9)
CHANGES = (TokenChange(None, ONE), TokenChange(None, TWO))


def change(database: Database, *changes: TokenChange) -> None:
    database.begin()
    database.keep_own(Tokens(changes), Offset(database.position.offset + 1))
    database.commit(None)


def test_a_database_without_tokens_has_no_table_for_them(pair: Pair) -> None:
    assert pair.master.tokens == NO_TOKENS
    assert not pair.master.writer.table_exists("main", "nexus_tokens")


def test_tokens_are_known_once_they_are_committed(pair: Pair) -> None:
    master = pair.master
    master.begin()
    master.keep_own(Tokens(CHANGES), Offset(2))
    assert not master.tokens
    master.commit(None)

    assert dict(master.tokens) == {"one": ONE, "two": TWO}

    change(master, TokenChange(ONE, None))
    assert dict(master.tokens) == {"two": TWO}


def test_what_is_rolled_back_is_not_known(pair: Pair) -> None:
    change(pair.master, *CHANGES)
    pair.master.begin()
    pair.master.keep_own(Tokens((TokenChange(ONE, None),)), Offset(3))
    pair.master.rollback()

    assert set(pair.master.tokens) == {"one", "two"}


def test_a_replica_has_the_tokens_of_its_master(pair: Pair) -> None:
    pair.write("create table t(v)")
    pair.master.begin()
    pair.log(Tokens(CHANGES))
    pair.master.keep_own(Tokens(CHANGES), Offset(3))
    pair.commit()
    pair.write("insert into t values (1)")
    pair.apply()

    assert pair.replica.tokens == pair.master.tokens
    assert pair.replica.position == pair.master.position


def test_a_schema_may_be_made_beside_tokens(pair: Pair) -> None:
    change(pair.master, *CHANGES)
    pair.write("create table t(v)")
    assert pair.master.writer.table_exists("main", "t")


def test_changes_are_taken_back_the_last_one_first() -> None:
    with closing(apsw.Connection(":memory:")) as connection:
        write_tokens(connection, CHANGES)
        before = read_tokens(connection)
        shorter = Token("two", "", TokenRole.ADMIN, sha256(b"2"), 2, 5)
        changes = (
            TokenChange(TWO, shorter),
            TokenChange(shorter, None),
            TokenChange(ONE, None),
        )
        write_tokens(connection, changes)
        assert read_tokens(connection) == {}
        take_tokens_back(connection, changes)

        assert read_tokens(connection) == before


@pytest.mark.parametrize(
    "sql", ["delete from nexus_tokens", "insert into nexus_tokens select 1,2,3,4,5,6"]
)
def test_no_client_writes_tokens_by_sql(pair: Pair, sql: str) -> None:
    change(pair.master, *CHANGES)
    with pytest.raises(RefusedStatementError, match="Nexus's own"):
        pair.write(sql)
    pair.master.rollback()


def test_a_token_that_the_log_revokes_is_good_no_more_before_that_is_applied(
    pair: Pair,
) -> None:
    replica = pair.replica
    change(replica, *CHANGES)
    shorter = Token("two", "", TokenRole.ADMIN, sha256(b"2"), 2, 5)
    new = Token("new", "", TokenRole.ADMIN, sha256(b"3"), 3)
    changes = (
        TokenChange(ONE, None),
        TokenChange(TWO, shorter),
        TokenChange(None, new),
    )

    replica.foresee([pair.log(Fingerprint("f")), pair.log(Tokens(changes))])

    assert dict(replica.tokens) == {"two": shorter}
    change(replica, *changes)
    assert dict(replica.tokens) == {"two": shorter, "new": new}


def test_a_database_that_was_replaced_says_by_itself_what_is_good(pair: Pair) -> None:
    replica = pair.replica
    change(replica, *CHANGES)
    replica.foresee([pair.log(Tokens((TokenChange(ONE, None),)))])
    replica.reload()
    assert set(replica.tokens) == {"one", "two"}
