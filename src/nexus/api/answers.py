"""What calls are asked and answer, where the node's own types do not serve."""

from datetime import UTC, datetime
from typing import Literal

import msgspec

from nexus.model.cluster import NodeStatus, ReplicaStatus, Role
from nexus.model.position import EpochHistory, Position
from nexus.storage.fingerprint import Fingerprints, TableFingerprint
from nexus.storage.rewinding.diverged import Divergence
from nexus.storage.snapshots.store import SnapshotInfo


class PromoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /replication/promote."""

    force: bool = False
    """For disasters: even if a master is still there, or voters are missing."""
    dry_run: bool = False
    """Only say what `force` may lose; nothing is changed."""


class PauseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /replication/pause."""

    replica: str | None = None
    """On a master: only the stream to this replica; null: all streams."""


class ResumeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /replication/resume."""

    replica: str | None = None
    """On a master: only the stream to this replica; null: all streams."""
    now: bool = False
    """On a delayed replica: apply at once what it holds back so far."""


class StartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /replication/start."""

    role: Literal["master", "replica"]
    master_addr: str | None = None
    """The master's HOST:PORT; a replica needs it, save a voter that was stopped."""


class Empty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that says nothing: `{}`, or no body at all."""


class Promoted(NodeStatus, frozen=True, kw_only=True):
    """The new master's status, and what the change may have cost."""

    may_be_lost: str = ""


class ReignView(msgspec.Struct, frozen=True):
    """One epoch: who reigned, from where on, and why."""

    epoch: int
    history_id: str
    master_id: str
    first_offset: int
    first_position: str
    """As `epoch:offset@history_id`."""
    started_at: str
    """RFC 3339, UTC."""
    why: str
    """Why it began: as in `Reign`."""
    mode: str
    """`sync` or `async`, as it began; empty where nobody reigned."""


class History(msgspec.Struct, frozen=True):
    """GET /replication/history: oldest first."""

    history: list[ReignView]

    @classmethod
    def of(cls, history: EpochHistory) -> "History":
        """Every reign of the log."""
        return cls(
            [
                ReignView(
                    reign.epoch,
                    reign.history_id,
                    reign.master_id,
                    reign.first_offset,
                    str(Position(reign.epoch, reign.first_offset, reign.history_id)),
                    datetime.fromtimestamp(reign.started_us / 1e6, UTC).isoformat(),
                    reign.why,
                    reign.mode,
                )
                for reign in history.reigns
            ]
        )


class Replicas(msgspec.Struct, frozen=True):
    """GET /replication/replicas."""

    replicas: tuple[ReplicaStatus, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """What is known of a snapshot."""

    id: str
    created_at: str
    """RFC 3339, UTC."""
    position: str
    """As `epoch:offset@history_id`."""
    wal_offset: int
    """The last entry in it."""
    uncompressed_size: int
    """Of the database, in bytes."""
    compressed_size: int
    """Of the archive, in bytes."""
    checksum: str
    """CRC-32 of the archive, hexadecimal."""
    files_count: int

    @classmethod
    def of(cls, info: SnapshotInfo) -> "Snapshot":
        """The store's knowledge of it, the position as text."""
        return cls(
            info.id,
            info.created_at,
            str(info.position),
            info.wal_offset,
            info.uncompressed_size,
            info.compressed_size,
            info.checksum,
            info.files_count,
        )


class Snapshots(msgspec.Struct, frozen=True):
    """GET /replication/snapshots."""

    snapshots: list[Snapshot]


class Divergences(msgspec.Struct, frozen=True):
    """GET /replication/diverged."""

    diverged: list[Divergence]


class VerificationMark(msgspec.Struct, frozen=True):
    """POST /replication/verify: every node hashes its tables at this offset."""

    offset: int


class Verification(msgspec.Struct, frozen=True):
    """GET /replication/verify/{offset}: equal on nodes that hold the same."""

    node_id: str
    offset: int
    schema: str
    tables: dict[str, TableFingerprint]

    @classmethod
    def of(cls, node_id: str, offset: int, hashes: Fingerprints) -> "Verification":
        """A node's hashes at one offset."""
        return cls(node_id, offset, hashes.schema, hashes.tables)


class Health(msgspec.Struct, frozen=True):
    """GET /health and its kin."""

    status: Literal["ok"]
    node_id: str
    role: Role


class CallView(msgspec.Struct, frozen=True):
    """One call of the index."""

    method: str
    path: str
    summary: str


class Index(msgspec.Struct, frozen=True):
    """GET /."""

    node_id: str
    role: Role
    description: str
    """Where the OpenAPI document is."""
    calls: list[CallView]
