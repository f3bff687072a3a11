"""What the API needs of a node, and nothing more.

Everything here is called on the node's own event loop. A call that belongs on a node
of another role raises WrongRoleError.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from nexus.config import Config
from nexus.model.cluster import (
    MasterStats,
    NodeStatus,
    ReplicaStats,
    ReplicaStatus,
    Role,
)
from nexus.model.position import EpochHistory, Offset
from nexus.node.requests import SqlRequest, SqlResponse


class SnapshotArchives(Protocol):
    """The snapshots on this node's disk; blocks, so it is called in threads."""

    def latest(self) -> Any | None:
        """What is known of the last one; None when there is none."""

    def get(self, snapshot_id: str, /) -> Any:
        """What is known of this one; raises NotFoundError."""

    def list(self) -> Iterable[Any]:
        """What is known of each, oldest first."""

    def path(self, snapshot_id: str, /) -> Path:
        """The archive's file; raises NotFoundError."""


class DivergedEntries(Protocol):
    """What this node took back and kept; blocks, so it is called in threads."""

    def list(self) -> Iterable[Any]:
        """What is known of each divergence."""

    def rows(self, diverged_id: str, /) -> Iterable[Any]:
        """The rows of one; raises NotFoundError."""


class TableHash(Protocol):
    """The content hash of one table."""

    @property
    def rows(self) -> int:
        """How many rows were hashed."""

    @property
    def hash(self) -> str:
        """Hexadecimal."""


class TableHashes(Protocol):
    """The content hashes of a whole database."""

    @property
    def schema(self) -> str:
        """The hash of the schema, hexadecimal."""

    @property
    def tables(self) -> Mapping[str, Any]:
        """Each table's hash."""


class NodeFacade(Protocol):
    """A node as its API sees it."""

    @property
    def config(self) -> Config:
        """The settings it runs with."""

    @property
    def node_id(self) -> str:
        """Its id, the same for ever."""

    @property
    def snapshots(self) -> SnapshotArchives:
        """Its snapshots."""

    @property
    def diverged(self) -> DivergedEntries:
        """What it took back."""

    def status(self) -> NodeStatus:
        """How it fares."""

    def master_stats(self) -> MasterStats:
        """What it did as a master."""

    def replica_stats(self) -> ReplicaStats:
        """What it did as a replica."""

    def history(self) -> EpochHistory:
        """Every reign of its log."""

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """A master's replicas."""

    def ready(self, max_lag: int | None) -> tuple[bool, str]:
        """Whether it can serve; where not, the reason."""

    async def execute(self, request: SqlRequest) -> SqlResponse:
        """Run statements here; ReadOnlyReplicaError for a replica's write."""

    async def promote(self, *, force: bool) -> NodeStatus:
        """Make this replica the master."""

    def pause(self, replica: str | None) -> None:
        """Stop applying; on a master, stop the stream to one replica or to all."""

    def resume(self, replica: str | None) -> None:
        """Undo `pause`."""

    async def start_replication(self, role: Role, master_addr: str | None) -> Any:
        """Take a role at run time."""

    async def stop_replication(self) -> Any:
        """Become a standalone node."""

    async def make_snapshot(self) -> Any:
        """Make a snapshot while writes go on; returns what is known of it."""

    async def begin_verify(self) -> Offset:
        """Have every node hash its tables at the offset that is returned."""

    async def verification(self, offset: Offset) -> TableHashes | None:
        """The hashes at a mark, None while they are made; raises NotFoundError."""
