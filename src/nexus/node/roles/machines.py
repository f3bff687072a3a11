"""Make the machines of a node from what stands on its disk and in its settings."""

import random
from typing import Final

from msgspec.structs import replace

from nexus.config import ReplicationSettings
from nexus.model.cluster import Mode, NodeId
from nexus.model.position import EpochHistory, Offset
from nexus.node.chronicle import read_chronicle
from nexus.node.clock import now_ms
from nexus.node.parts import Parts
from nexus.node.startup import log_settings, written
from nexus.replication.cascades.relaying_replica import RelayingReplica
from nexus.replication.elections.effects import ElectionSettings, VoteRecord
from nexus.replication.master import Master
from nexus.replication.members.effects import MemberSettings, RecoveredMember
from nexus.replication.members.member import Member
from nexus.replication.settings import (
    WITNESS,
    LogExtent,
    MasterSettings,
    RecoveredState,
    ReplicaSettings,
)

LEAST_SYNC_QUORUM: Final = 2
"""Without voters: the master and any one replica."""

FIRST_TRIES: Final = 4
"""A replica's upstream may restart before its downstreams go elsewhere."""

HOME_HEARTBEATS: Final = 12
LEAST_HOME_MS: Final = 10_000
"""An upstream answers well for so long, at least, before its downstreams return."""

LEAST_FILES: Final = 4
"""Of a witness's log: one is appended to, one holds what is not held by all yet."""

MOST_SPREAD_MS: Final = 1_000
"""Electors wait up to so much longer than the dead-time; a quicker cluster, less."""


def member_of(parts: Parts) -> Member:
    """The member as it was when the node stopped; blocks."""
    state, chronicle = parts.state, read_chronicle(parts.storage)
    identity = parts.identity()
    if parts.is_witness:
        identity = replace(identity, features=(*identity.features, WITNESS))
    voted = state.voted_for if state.voted_epoch == state.epoch else NodeId("")
    recovered = RecoveredMember(
        log=_recovered(parts, chronicle.history),
        record=VoteRecord(state.epoch, voted),
        configurations=chronicle.configurations,
        first_offset=parts.log.first_offset,
        sound=not state.incomplete,
    )
    return Member(identity, member_settings(parts), recovered, random.random, now_ms())


def held_back(parts: Parts) -> tuple[tuple[Offset, int], ...]:
    """When what a delayed replica has not applied was written; blocks."""
    delay_ms = parts.config.replication.apply_delay_ms
    start = Offset(parts.database.position.offset + 1)
    if not delay_ms or start > parts.log.last_offset:
        return ()
    return written(parts.log, start, spacing_us=delay_ms)


def member_settings(parts: Parts) -> MemberSettings:
    """The bounds of this node's machines, as they are configured."""
    settings = parts.config.replication
    heartbeat_ms, missed = settings.heartbeat_ms, settings.missed_heartbeats
    retry_ms = min(1_000, heartbeat_ms)
    return MemberSettings(
        election=ElectionSettings(
            node_id=parts.state.node_id,
            cluster_id=parts.state.cluster_id,
            # What a delayed one would reign over is what it shall not apply yet.
            stands=not (parts.is_witness or settings.apply_delay_ms),
            founder=parts.state.founder,
            heartbeat_ms=heartbeat_ms,
            missed_heartbeats=missed,
            spread_ms=spread_ms(settings),
        ),
        replica=replace(
            _replica_settings(settings, parts.master_addresses()),
            retry_first_ms=retry_ms,
            # Somebody among the voters knows the master, or will within an election.
            retry_most_ms=max(retry_ms, heartbeat_ms * missed),
            hold_bytes=hold_bytes(parts),
        ),
        master=master_settings(parts, Mode.ASYNC),
        mode=settings.mode,
        sync_quorum=settings.sync_quorum or 0,
        witness=parts.is_witness,
    )


def hold_bytes(parts: Parts) -> int:
    """What a witness's log may take of the disk; 0: this node is none.

    Its files are dropped whole: with fewer than four there is never room.
    """
    if not parts.is_witness:
        return 0
    settings = parts.config.replication
    file_bytes = log_settings(settings.max_log_size).segment_bytes
    return max(settings.hold_size, LEAST_FILES * file_bytes)


def is_crowded(parts: Parts) -> bool:
    """Whether a witness's log takes so much that it keeps only what others lack."""
    return parts.is_witness and parts.log.size_bytes > hold_bytes(parts) // 2


def spread_ms(settings: ReplicationSettings) -> int:
    """How far apart the electors stand: half a dead-time, a second at most."""
    dead_after_ms = settings.heartbeat_ms * settings.missed_heartbeats
    return min(MOST_SPREAD_MS, max(50, dead_after_ms // 2))


def home_ms(settings: ReplicationSettings) -> int:
    """How long a downstream's own upstream must be well before it goes back there."""
    return max(LEAST_HOME_MS, HOME_HEARTBEATS * settings.heartbeat_ms)


def master_of(parts: Parts, history: EpochHistory) -> Master:
    """The machine of a reign that `history` ends with, in that reign's mode."""
    return Master(
        parts.identity(),
        master_settings(parts, mode_of(parts, history)),
        history,
        LogExtent(parts.log.first_offset, parts.log.durable_offset),
        now_ms(),
    )


def mode_of(parts: Parts, history: EpochHistory) -> Mode:
    """The log's mode; where no reign has said one, the configured."""
    return Mode.named(history.mode, parts.config.replication.mode)


def master_settings(parts: Parts, mode: Mode) -> MasterSettings:
    """The bounds of a master; where voters elect, they are its quorum, not this."""
    settings = parts.config.replication
    return MasterSettings(
        quorum=sync_quorum(settings, mode),
        heartbeat_ms=settings.heartbeat_ms,
        missed_heartbeats=settings.missed_heartbeats,
        max_transfers=parts.config.snapshot.max_transfers,
        pin_entries=4 * settings.max_log_size,
    )


def sync_quorum(settings: ReplicationSettings, mode: Mode) -> int:
    """Nodes that must hold an entry before it is committed, the master included.

    In async mode the master alone; in sync mode as configured, else the master and
    any one replica.
    """
    if mode is Mode.ASYNC:
        return 1
    return settings.sync_quorum or LEAST_SYNC_QUORUM


def _replica_settings(
    settings: ReplicationSettings, addresses: tuple[str, ...]
) -> ReplicaSettings:
    """The bounds of a replica that looks for its master at these addresses."""
    return ReplicaSettings(
        addresses=addresses,
        cascades=settings.cascade,
        first_tries=FIRST_TRIES if settings.cascade else 1,
        home_ms=home_ms(settings),
        heartbeat_ms=settings.heartbeat_ms,
        missed_heartbeats=settings.missed_heartbeats,
        connect_timeout_ms=settings.connect_timeout_ms,
        apply_delay_ms=settings.apply_delay_ms,
    )


def _recovered(parts: Parts, history: EpochHistory) -> RecoveredState:
    """What the disk says of a replica; blocks."""
    return RecoveredState(
        history=history,
        durable_offset=parts.log.durable_offset,
        applied_offset=parts.database.position.offset,
        epoch=parts.state.epoch,
        incomplete=bool(parts.state.needs_full_sync),
        paused=parts.state.paused,
        written=held_back(parts),
    )


def replica_of(
    parts: Parts, addresses: tuple[str, ...], history: EpochHistory
) -> RelayingReplica:
    """The machine of a replica that looks for its master at these addresses."""
    return RelayingReplica(
        parts.identity(),
        _replica_settings(parts.config.replication, addresses),
        _recovered(parts, history),
        random.random,
        master_settings(parts, Mode.ASYNC),
    )
