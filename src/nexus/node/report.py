"""What a node says of itself: one answer from what its parts and its role know."""

import traceback
from pathlib import Path
from typing import Final

import apsw
import msgspec

from nexus.errors import NexusError
from nexus.model.cluster import LinkState, Mode, NodeStatus, Role
from nexus.model.position import EpochHistory, Offset
from nexus.node.parts import Parts

OF_THE_DISK: Final = (apsw.CorruptError, apsw.IOError, apsw.NotADBError)
"""What a disk that reads wrongly, or not at all, looks like to SQLite."""


class DutyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What only the role knows; the fields of NodeStatus of the same names."""

    connected: bool = False
    commit_offset: Offset = Offset(0)
    lag: int = 0
    lag_seconds: float = 0.0
    replica_count: int = 0
    master_id: str = ""
    master_url: str = ""
    state: LinkState = LinkState.STOPPED
    paused: bool = False
    mode: Mode | None = None
    """None: the log names none, so it would be the configured one."""
    auto_failover: bool | None = None
    """None: as configured."""
    last_error: str = ""
    apply_delay_ms: int = 0
    held_back: int = 0
    upstream_id: str = ""


def failure_of(error: BaseException) -> str:
    """Why a node cannot go on, and what to do."""
    if isinstance(error, NexusError):
        return f"this node has failed: {error}"
    innermost = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" in {Path(at.filename).name}:{at.lineno}" for at in innermost)
    if isinstance(error, OSError):
        file = f"{error.filename}: " if error.filename else ""
        return (
            f"this node has failed: {file}{error.strerror or error}{place}; look at "
            "its disk and at the system's log, then start it again"
        )
    if isinstance(error, OF_THE_DISK):
        return (
            f"this node has failed: SQLite cannot go on with a database of it: {error}"
            f"{place}; look at its disk and at the system's log, then start it again"
        )
    if isinstance(error, MemoryError):
        return (
            f"this node has failed: it was given no more memory{place}; raise the "
            "limit, or leave it more of the machine, then start it again"
        )
    return (
        f"this node has failed by a bug{place}: {type(error).__name__}: {error}; start "
        "it again, and report that with its log"
    )


def node_status(
    parts: Parts,
    role: Role,
    duty: DutyReport,
    history: EpochHistory,
    failure: str,
) -> NodeStatus:
    """GET /replication/status; `failure` is why this node cannot go on, or empty."""
    replication, state = parts.config.replication, parts.state
    return NodeStatus(
        role=role,
        running=not failure,
        mode=duty.mode or replication.mode,
        connected=duty.connected,
        node_id=state.node_id,
        cluster_id=state.cluster_id,
        epoch=state.epoch,
        wal_offset=parts.log.last_offset,
        durable_offset=parts.log.durable_offset,
        applied_offset=parts.database.position.offset,
        commit_offset=duty.commit_offset,
        lag=duty.lag,
        lag_seconds=duty.lag_seconds,
        replica_count=duty.replica_count,
        master_id=duty.master_id,
        master_url=duty.master_url,
        state=duty.state,
        paused=duty.paused,
        auto_failover=(
            replication.auto_failover
            if duty.auto_failover is None
            else duty.auto_failover
        ),
        has_database=parts.database.stands,
        failovers=history.failovers,
        last_error=failure or state.incomplete or duty.last_error,
        archive=parts.archiving.status() if parts.archiving else None,
        apply_delay_ms=duty.apply_delay_ms,
        held_back=duty.held_back,
        upstream_id=duty.upstream_id,
        certificate_expires=parts.measures.certificate_expires,
        revocation_list_ends=parts.measures.revocation_list_ends,
    )
