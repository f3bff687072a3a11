"""Nexus's own tables inside the user's database."""

import apsw
import pytest
from msgspec.structs import replace

from nexus.model.position import ORIGIN, Epoch, HistoryId, Offset, Position, Reign
from nexus.storage.schema import system

REIGN = Reign(Epoch(3), HistoryId("cafe"), "a", Offset(5), 17, "promote")


@pytest.fixture
def connection(connection: apsw.Connection) -> apsw.Connection:
    system.create(connection)
    return connection


def test_they_are_made_once_and_keep_what_is_in_them(
    connection: apsw.Connection,
) -> None:
    assert system.read_position(connection) == ORIGIN
    position = Position(Epoch(3), Offset(8), HistoryId("cafe"))
    system.write_position(connection, position)

    system.create(connection)

    assert system.read_position(connection) == position


def test_a_database_that_lost_its_position_begins_at_the_origin(
    connection: apsw.Connection,
) -> None:
    connection.execute("delete from nexus_position")

    assert system.read_position(connection) == ORIGIN


def test_reigns_come_back_in_the_order_of_their_offsets(
    connection: apsw.Connection,
) -> None:
    first = Reign(Epoch(1), HistoryId("beef"), "b", Offset(1), 9, "start")
    system.write_reign(connection, REIGN)
    system.write_reign(connection, first)

    assert system.read_history(connection).reigns == (first, REIGN)
    with pytest.raises(apsw.ConstraintError):
        system.write_reign(connection, REIGN)


def test_an_answer_is_found_by_its_id_until_it_is_forgotten(
    connection: apsw.Connection,
) -> None:
    for number in range(1, 6):
        system.write_answer(connection, f"id-{number}", Offset(number), b"%d" % number)
    assert system.read_answer(connection, "id-2") == (2, b"2")
    assert system.read_answer(connection, "id-9") is None

    assert system.delete_answers_before(connection, Offset(4), most=2) == 2
    assert system.delete_answers_before(connection, Offset(4), most=2) == 1
    assert system.delete_answers_before(connection, Offset(4), most=2) == 0

    kept = [system.read_answer(connection, f"id-{number}") for number in (3, 4, 5)]
    assert kept == [None, (4, b"4"), (5, b"5")]


@pytest.mark.parametrize(
    ("made", "alone"),
    [
        ("create table t(nexus_column)", True),
        ("create table nexusish(a)", True),
        ("create table nexus_t(a)", False),
        ("create view NEXUS_v as select 1", False),
        ("create table t(a); create index nexus_i on t(a)", False),
    ],
)
def test_reserved_names_are_theirs_alone(
    connection: apsw.Connection,
    made: str,
    alone: bool,  # noqa: FBT001
) -> None:
    assert system.is_alone(connection)
    connection.execute(made)
    assert system.is_alone(connection) is alone


def test_a_history_that_was_kept_before_modes_were_goes_on_without_one() -> None:
    connection = apsw.Connection("")
    connection.execute(
        "create table nexus_history(first_offset integer primary key, epoch integer "
        "not null, history_id text not null, master_id text not null, started_us "
        "integer not null, why text not null) strict; "
        "insert into nexus_history values (1, 1, 'beef', 'b', 9, 'start')"
    )

    system.create(connection)

    assert [reign.mode for reign in system.read_history(connection).reigns] == [""]
    system.write_reign(connection, replace(REIGN, mode="sync"))
    assert system.read_history(connection).mode == "sync"
