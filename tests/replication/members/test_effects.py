"""What a member is told once."""

from msgspec.structs import replace

from nexus.model.cluster import NodeId
from nexus.model.position import IMPORT, Epoch, EpochHistory
from nexus.replication.elections.effects import ElectionSettings, VoteRecord
from nexus.replication.members.effects import MemberSettings, RecoveredMember
from nexus.replication.settings import RecoveredState, ReplicaSettings
from replication.examples import TWO_REIGNS


def test_the_lease_is_shorter_than_the_dead_time() -> None:
    election = ElectionSettings(node_id=NodeId("a"), cluster_id="c", heartbeat_ms=100)

    settings = MemberSettings(election=election, replica=ReplicaSettings(addresses=()))

    assert settings.lease_ms == 270 < election.dead_after_ms


def test_who_has_met_no_epoch_but_an_import_has_had_no_master() -> None:
    only = replace(TWO_REIGNS.reigns[0], why=IMPORT)
    imported = RecoveredState(history=EpochHistory((only,)), epoch=only.epoch)
    met = VoteRecord(Epoch(only.epoch + 1))

    assert not RecoveredMember().had_master
    assert not RecoveredMember(log=imported).had_master
    assert RecoveredMember(log=imported, record=met).had_master
    assert RecoveredMember(record=VoteRecord(Epoch(1))).had_master
    assert RecoveredMember(log=RecoveredState(epoch=Epoch(1))).had_master
    assert RecoveredMember(log=RecoveredState(history=TWO_REIGNS)).had_master
