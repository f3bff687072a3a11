"""Whom the log names as voters."""

from msgspec.structs import replace

from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Configuration, Operation, Rows
from nexus.model.position import Epoch, Offset
from nexus.replication.members.electorate import ConfigurationEntry, Electorate

TWO = Configuration("cluster", (("a", "at-a"), ("b", "at-b")))
THREE = Configuration("cluster", (*TWO.voters, ("c", "at-c")))
REST = Configuration("cluster", THREE.voters, auto_failover=False)


def entry(offset: int, operation: Operation) -> Record:
    payload = encode_payload(Payload(1, "", b"", (operation,)))
    return Record(Epoch(1), Offset(offset), payload)


def formed() -> Electorate:
    return Electorate((ConfigurationEntry(Offset(1), TWO),))


def test_before_the_first_configuration_nobody_votes() -> None:
    electorate = Electorate(())

    assert electorate.voters == ()
    assert electorate.offset == 0
    assert electorate.auto_failover
    assert electorate.sync_quorum is None


def test_a_configuration_is_in_force_from_its_append() -> None:
    electorate = formed()

    changed = electorate.appended((entry(2, Rows(b"")), entry(3, THREE)))

    assert changed
    assert electorate.voters == ("a", "b", "c")
    assert electorate.offset == 3
    assert electorate.address_of(electorate.voters[2]) == "at-c"
    assert electorate.addresses_without(electorate.voters[0]) == ("at-b", "at-c")


def test_other_entries_change_nothing() -> None:
    electorate = formed()

    assert not electorate.appended((entry(2, Rows(b"")),))
    assert electorate.voters == ("a", "b")


def test_what_the_log_has_no_room_for_was_never_in_force() -> None:
    electorate = formed()
    electorate.placed(Offset(3), THREE)
    assert electorate.offset == 3

    electorate.placed(Offset(3), None)

    assert electorate.voters == ("a", "b")
    assert electorate.configurations == formed().configurations


def test_truncation_undoes_it() -> None:
    electorate = formed()
    electorate.appended((entry(3, THREE), entry(5, REST)))

    electorate.truncated_after(Offset(4))
    three = electorate.voters, electorate.auto_failover
    electorate.truncated_after(Offset(2))

    assert three == (("a", "b", "c"), True)
    assert electorate.voters == ("a", "b")


def test_the_first_one_is_never_undone() -> None:
    electorate = formed()

    electorate.truncated_after(Offset(0))

    assert electorate.voters == ("a", "b")


def test_another_entry_at_its_offset_voids_it() -> None:
    electorate = formed()
    electorate.appended((entry(3, THREE),))

    electorate.appended((entry(3, REST),))

    assert [one.offset for one in electorate.configurations] == [1, 3]
    assert not electorate.auto_failover


def test_committed_ones_need_no_predecessor() -> None:
    electorate = formed()
    electorate.appended((entry(3, THREE), entry(5, REST)))

    electorate.settled(Offset(4))

    assert [one.offset for one in electorate.configurations] == [3, 5]


def test_the_last_one_may_be_undone_where_less_than_a_majority_commits() -> None:
    electorate = formed()
    electorate.appended((entry(3, THREE),))

    electorate.settled(Offset(3))
    electorate.truncated_after(Offset(2))

    assert electorate.voters == ("a", "b")


def test_a_snapshot_brings_its_own() -> None:
    electorate = formed()

    electorate.replaced(())
    kept = electorate.voters
    electorate.replaced((ConfigurationEntry(Offset(9), THREE),))

    assert kept == ("a", "b")
    assert electorate.voters == ("a", "b", "c")


def test_it_remembers_who_has_voted_by_what_it_still_knows() -> None:
    electorate = formed()
    electorate.configured(ConfigurationEntry(Offset(3), THREE))
    electorate.configured(ConfigurationEntry(Offset(5), TWO))

    assert electorate.ever_voted == {"a", "b", "c"}
    assert electorate.voters == ("a", "b")


def test_the_latest_configuration_names_the_quorum() -> None:
    electorate = formed()
    before = electorate.sync_quorum

    electorate.configured(ConfigurationEntry(Offset(3), replace(TWO, sync_quorum=0)))

    assert before is None
    assert electorate.sync_quorum == 0
