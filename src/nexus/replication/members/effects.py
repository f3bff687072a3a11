"""What a voting node is told once, and what it asks for beside its machines' effects.

The rules of `effects` hold: performed in order, stopped at the first failure.
"""

import msgspec

from nexus.model.cluster import Mode
from nexus.model.position import NO_OFFSET, Epoch, Offset
from nexus.replication.effects import Effect
from nexus.replication.elections.effects import (
    ElectionEffect,
    ElectionSettings,
    VoteRecord,
)
from nexus.replication.members.electorate import ConfigurationEntry
from nexus.replication.settings import MasterSettings, RecoveredState, ReplicaSettings


class MemberSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of all three machines, and what an acknowledgement means."""

    election: ElectionSettings
    replica: ReplicaSettings
    """`addresses` are tried after those of the log's voters; they may be empty."""
    master: MasterSettings = MasterSettings()
    """Its `quorum` is not looked at: mode, voters and `sync_quorum` say it."""
    mode: Mode = Mode.SYNC
    """Where the log's configuration names none: that rules, whoever reigns."""
    sync_quorum: int = 0
    """Voters that must hold an entry in sync mode; 0: a majority of them. Where the
    log's configuration names none: that rules, whoever reigns."""
    witness: bool = False
    """It keeps the log and no database: nothing is applied."""
    drift_percent: int = 10
    """The lease is shorter than the dead-time by so much: clocks differ."""

    @property
    def lease_ms(self) -> int:
        """How long a quorum's answers allow acknowledgements."""
        dead_after_ms = self.election.dead_after_ms
        return dead_after_ms - dead_after_ms * self.drift_percent // 100


class RecoveredMember(msgspec.Struct, frozen=True, kw_only=True):
    """What the disk says when the node starts."""

    log: RecoveredState = RecoveredState()
    record: VoteRecord = VoteRecord()
    configurations: tuple[ConfigurationEntry, ...] = ()
    """Every one in the log, oldest first; before it what the snapshot or the forming
    of the cluster said."""
    first_offset: Offset = Offset(1)
    """Where the log begins."""
    sound: bool = True
    """False: the log lacks what was acknowledged (hard-case 12). Until it has caught
    up with a master, this node neither votes nor stands."""

    @property
    def met(self) -> VoteRecord:
        """Of the highest epoch that anything here names."""
        known = max(self.log.epoch, self.log.history.epoch)
        return VoteRecord(known) if known > self.record.epoch else self.record

    @property
    def had_master(self) -> bool:
        """Whether this node may have answered one: its epoch was durable before that.

        An import begins an epoch of its own, in which nobody has reigned.
        """
        history = self.log.history
        imported = history.epoch if history.is_import else Epoch(0)
        return self.met.epoch > imported


class Announce(msgspec.Struct, frozen=True):
    """Say `announcement()` to each address until it answers or the reign ends.

    Give each answer to `announced(answer, now_ms)`.
    """

    addresses: tuple[str, ...]


class ReadReady(msgspec.Struct, frozen=True):
    """The strong read may run once the database holds everything up to `offset`."""

    read_id: str
    offset: Offset = NO_OFFSET


class ReadRefused(msgspec.Struct, frozen=True):
    """The strong read cannot be answered here now; it may be tried again."""

    read_id: str
    reason: str


# Not Fetch: the member carries it out itself, with Connect and Store.
MemberEffect = Effect | ElectionEffect | Announce | ReadReady | ReadRefused

MemberEffects = tuple[MemberEffect, ...]
