"""What the API needs of a node, and nothing more.

Everything here is called on the node's own event loop. A call that belongs on a node
of another role raises WrongRoleError.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from nexus.config import Config
from nexus.model.cluster import (
    ArchiveStatus,
    MasterStats,
    MembersView,
    Mode,
    NodeStatus,
    ReplicaStats,
    ReplicaStatus,
    Role,
)
from nexus.model.position import EpochHistory, Offset
from nexus.model.token import Token, TokenRole
from nexus.node.figures import Figures
from nexus.node.network.security import TransportSecurity
from nexus.node.operators.governing import Handover
from nexus.node.operators.losses import Losses
from nexus.node.reading.changes import Wish, Write
from nexus.node.requests import SqlRequest, SqlResponse
from nexus.node.sqlstream import SqlStream
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from nexus.storage.fingerprint import Fingerprints
from nexus.storage.rewinding.diverged import Divergence
from nexus.storage.schema.tokens import KnownTokens
from nexus.storage.snapshots.store import SnapshotInfo


class SnapshotArchives(Protocol):
    """The snapshots on this node's disk; blocks, so it is called in threads."""

    def latest(self) -> SnapshotInfo | None:
        """What is known of the last one; None when there is none."""

    def get(self, snapshot_id: str, /) -> SnapshotInfo:
        """What is known of this one; raises NotFoundError."""

    def list(self) -> Iterable[SnapshotInfo]:
        """What is known of each, oldest first."""

    def path(self, snapshot_id: str, /) -> Path:
        """The archive's file; raises NotFoundError."""


class DivergedEntries(Protocol):
    """What this node took back and kept; blocks, so it is called in threads."""

    def list(self) -> Iterable[Divergence]:
        """What is known of each divergence."""

    def rows(self, diverged_id: str, /) -> Iterable[Any]:
        """The rows of one; raises NotFoundError."""


class Pieces(Protocol):
    """A stream of changes, read for one consumer."""

    async def read(self) -> bytes | None:
        """The next piece, None at the end; raises NexusError."""


class Tokens(Protocol):
    """The tokens as one node sees them; only the master changes them."""

    @property
    def in_doubt(self) -> bool:
        """Whether they may have been revoked while this node was down."""

    @property
    def known(self) -> KnownTokens:
        """What this node has applied."""

    async def create(
        self, role: TokenRole, name: str, /, *, lasts_s: int
    ) -> tuple[Token, str]:
        """A new token, and its text; `lasts_s` 0: until it is revoked."""

    async def revoke(self, token_id: str, /) -> Token:
        """The token is good no more; raises NotFoundError."""

    async def rotate(self, token_id: str, /, *, grace_s: int) -> tuple[Token, str]:
        """A new token like this one, which is good for `grace_s` more."""


class NodeFacade(Protocol):
    """A node as its API sees it."""

    @property
    def config(self) -> Config:
        """The settings it runs with."""

    @property
    def security(self) -> TransportSecurity:
        """What it proves itself with."""

    @property
    def node_id(self) -> str:
        """Its id, the same for ever."""

    @property
    def named(self) -> Mapping[str, "NodeFacade"]:
        """The nodes of the named databases beside it, by name."""

    @property
    def tokens(self) -> Tokens:
        """The cluster's tokens."""

    @property
    def snapshots(self) -> SnapshotArchives:
        """Its snapshots."""

    @property
    def diverged(self) -> DivergedEntries:
        """What it took back."""

    def status(self) -> NodeStatus:
        """How it fares."""

    def master_stats(self) -> MasterStats:
        """Its counters as a master."""

    def replica_stats(self) -> ReplicaStats:
        """Its counters as a replica."""

    @property
    def events(self) -> EventLog:
        """What has happened here."""

    @property
    def measures(self) -> Measures:
        """What it has counted and timed."""

    def figures(self) -> Figures:
        """What it holds and who is connected; blocks, so it is called in threads."""

    def history(self) -> EpochHistory:
        """Every reign of its log."""

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """A master's replicas."""

    def ready(self, max_lag: int | None) -> tuple[bool, str]:
        """Whether it can serve; where not, the reason."""

    async def execute(self, request: SqlRequest) -> SqlResponse:
        """Run statements here; ReadOnlyReplicaError for a replica's write."""

    def writer(self) -> object:
        """What takes writes here; ReadOnlyReplicaError on a replica."""

    def open_stream(self) -> SqlStream:
        """What a connection to SQLite would be, for a client from afar."""

    async def wait_applied(self, offset: Offset, *, timeout_s: float) -> None:
        """Return once the database holds `offset`; TimeoutError if not by then."""

    async def changes(self, wish: Wish, write: Write, /) -> Pieces:
        """What it has applied and applies, change by change."""

    async def losses(self) -> Losses:
        """What a forced promotion of this node may lose; changes nothing."""

    async def promote(self, *, force: bool) -> NodeStatus:
        """Make this replica the master."""

    def pause(self, replica: str | None) -> None:
        """Stop applying; on a master, stop the stream to one replica or to all."""

    def resume(self, replica: str | None, *, at_once: bool = False) -> None:
        """Undo `pause`; `at_once`: and apply now what a delay holds back."""

    async def apply_until(
        self, last: Offset | None, before_us: int | None
    ) -> NodeStatus:
        """Apply up to that entry, or what was written before that time; then pause."""

    async def switch_over(self, heir: str) -> Handover:
        """Hand over to another voter."""

    def members(self) -> MembersView:
        """Who is in this cluster."""

    async def add_voter(self, node_id: str, address: str) -> MembersView:
        """Have a connected learner vote."""

    async def remove_voter(self, node_id: str) -> MembersView:
        """Take the vote of a voter, dead or alive."""

    async def set_auto_failover(self, *, enabled: bool) -> MembersView:
        """Begin or end maintenance."""

    async def set_mode(self, mode: Mode, sync_quorum: int | None = None) -> NodeStatus:
        """Have acknowledgements mean this from now on, whoever reigns."""

    async def start_replication(
        self, role: Role, master_addr: str | None
    ) -> NodeStatus:
        """Take a role at run time."""

    async def stop_replication(self) -> NodeStatus:
        """Become a standalone node."""

    async def make_snapshot(self) -> SnapshotInfo:
        """Make a snapshot while writes go on; returns what is known of it."""

    def archive_now(self) -> ArchiveStatus:
        """Have a snapshot archived; WrongRoleError where there is no archive."""

    async def begin_verify(self) -> Offset:
        """Have every node hash its tables at the offset that is returned."""

    async def verification(self, offset: Offset) -> Fingerprints | None:
        """The hashes at a mark; None while they are made or the mark is to come.

        Raises NotFoundError for what is no mark.
        """
