"""A node without a database: it answers what a test has told it to."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from api.fake_stream import FakeSql
from nexus.api.application import Application
from nexus.api.facade import NodeFacade, Pieces
from nexus.config import Config
from nexus.errors import NotFoundError, WrongRoleError
from nexus.model.change import Change
from nexus.model.cluster import (
    ArchiveStatus,
    LinkState,
    MasterStats,
    MembersView,
    MemberView,
    Mode,
    NodeStatus,
    Outcome,
    ReplicaStats,
    ReplicaStatus,
    Role,
)
from nexus.model.position import (
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Position,
    Reign,
)
from nexus.model.token import Token, TokenRole, sha256, token_text
from nexus.node.figures import Figures
from nexus.node.network.security import TransportSecurity
from nexus.node.operators.governing import Handover
from nexus.node.operators.losses import Losses
from nexus.node.reading.changes import Wish, Write
from nexus.node.requests import SqlRequest, SqlResponse, SqlResult
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from nexus.storage.fingerprint import Fingerprints
from nexus.storage.rewinding.diverged import Divergence
from nexus.storage.snapshots.store import SnapshotInfo

Execute = Callable[[SqlRequest], Awaitable[SqlResponse]]

JSON_HEADERS = {"Content-Type": "application/json"}

MEMBERS = MembersView(
    cluster_id="c1",
    offset=1,
    auto_failover=True,
    members=(MemberView(id="n1", addr="a:1", voter=True, connected=True),),
)

STATUS = NodeStatus(
    role=Role.MASTER,
    running=True,
    mode=Mode.ASYNC,
    connected=False,
    node_id="n1",
    cluster_id="c1",
    epoch=2,
    wal_offset=12,
    durable_offset=12,
    applied_offset=12,
    commit_offset=12,
    lag=0,
    lag_seconds=0.0,
    replica_count=1,
    master_id="n1",
    master_url="http://127.0.0.1:15474",
    state=LinkState.STREAMING,
    paused=False,
    auto_failover=True,
    has_database=True,
    failovers=0,
    last_error="",
)

REPLICA_STATUS = msgspec.structs.replace(
    STATUS,
    role=Role.REPLICA,
    master_id="n0",
    master_url="http://master:15474",
    wal_offset=10,
    durable_offset=10,
    applied_offset=10,
    lag=2,
    lag_seconds=0.5,
)

FIGURES = Figures(
    log_entries=12,
    log_bytes=4096,
    database_bytes=8192,
    database_wal_bytes=512,
    disk_free_bytes=1 << 30,
    disk_bytes=1 << 31,
    snapshot_received_bytes=0,
    snapshot_expected_bytes=0,
    connections={"node": 1, "client": 2},
    lacks_quorum=False,
    witness_full=False,
    rejections=Counter(malformed=3),
)

ANSWER = SqlResponse(
    [SqlResult(("a", "b"), [(1, "x")], 0, 0)], 13, 2, Outcome.COMMITTED, 1
)


@dataclass
class FakeSnapshots:
    directory: Path
    infos: dict[str, SnapshotInfo] = field(default_factory=dict)

    def make(self, content: bytes) -> SnapshotInfo:
        snapshot_id = f"s{len(self.infos) + 1}"
        info = SnapshotInfo(
            snapshot_id,
            "2025-01-02T03:04:05+00:00",
            Position(Epoch(2), Offset(12), HistoryId("h2")),
            12,
            4096,
            len(content),
            "0badcafe",
            2,
        )
        (self.directory / f"{snapshot_id}.tar.zst").write_bytes(content)
        self.infos[snapshot_id] = info
        return info

    def latest(self) -> SnapshotInfo | None:
        return list(self.infos.values())[-1] if self.infos else None

    def get(self, snapshot_id: str) -> SnapshotInfo:
        if snapshot_id not in self.infos:
            raise NotFoundError(f"there is no snapshot {snapshot_id!r}")
        return self.infos[snapshot_id]

    def list(self) -> list[SnapshotInfo]:
        return list(self.infos.values())

    def path(self, snapshot_id: str) -> Path:
        return self.directory / f"{snapshot_id}.tar.zst"


class FakeDiverged:
    def __init__(self) -> None:
        self.found: dict[str, Iterable[Any]] = {}

    def list(self) -> list[Divergence]:
        return [Divergence(name, 1, 9, 2, "deposed") for name in self.found]

    def rows(self, diverged_id: str) -> Iterable[Any]:
        if diverged_id not in self.found:
            raise NotFoundError(f"there is no divergence {diverged_id!r}")
        return self.found[diverged_id]


@dataclass
class FakeStream:
    """Gives one piece after another, then what ends it."""

    pieces: list[bytes]
    end: BaseException | None = None
    stays: bool = False

    async def read(self) -> bytes | None:
        if self.pieces:
            return self.pieces.pop(0)
        if self.end is not None:
            raise self.end
        if self.stays:
            await asyncio.Event().wait()
        return None


class FakeTokens:
    """Keeps tokens without a log."""

    def __init__(self, is_master: Callable[[], bool]) -> None:
        self.known: dict[str, Token] = {}
        self.in_doubt = False
        self.keeps = True
        """False: a new token is forgotten at once."""
        self._is_master = is_master

    def make(self, role: TokenRole, name: str = "", expires_us: int = 0) -> str:
        number = len(self.known) + 1
        secret = bytes([number] * 32)
        token_id = f"{number:010x}"
        self.known[token_id] = Token(
            token_id, name, role, sha256(secret), 1_700_000_000_000_000, expires_us
        )
        return token_text(token_id, secret)

    async def create(
        self, role: TokenRole, name: str, *, lasts_s: int
    ) -> tuple[Token, str]:
        self._need_master()
        text = self.make(role, name, 4_000_000_000_000_000 if lasts_s else 0)
        token = list(self.known.values())[-1]
        if not self.keeps:
            self.known.clear()
        return token, text

    async def revoke(self, token_id: str) -> Token:
        self._need_master()
        if token_id not in self.known:
            raise NotFoundError(f"there is no token {token_id!r}")
        return self.known.pop(token_id)

    async def rotate(self, token_id: str, *, grace_s: int) -> tuple[Token, str]:
        assert grace_s >= 0
        old = await self.revoke(token_id)
        return await self.create(old.role, old.name, lasts_s=0)

    def _need_master(self) -> None:
        if not self._is_master():
            raise WrongRoleError("tokens are the master's to make and revoke")


class FakeNode(FakeSql):
    """Fulfils `NodeFacade`; `error` is raised by the next execute."""

    def __init__(
        self, directory: Path, config: Config | None = None, *, replica: bool = False
    ) -> None:
        super().__init__()
        self.config = config or Config()
        self.security = TransportSecurity.of(self.config)
        self.node_id = "n1"
        self.current = REPLICA_STATUS if replica else STATUS
        self.snapshots = FakeSnapshots(directory)
        self.diverged = FakeDiverged()
        self.asked: list[Any] = []
        self.answer = ANSWER
        self.error: BaseException | None = None
        self.hashes: dict[int, Fingerprints | None] = {}
        self.executes: Execute | None = None
        self.feed: list[Change] = []
        self.feed_end: BaseException | None = None
        self.feed_stays = False
        self.stream: Pieces | None = None
        self.named: dict[str, FakeNode] = {}
        self.tokens = FakeTokens(lambda: self.current.role is Role.MASTER)
        self.measures = Measures()
        self.events = EventLog()
        self.configuration = MEMBERS
        self.replica_id, self.replica_url = "r1", "http://127.0.0.1:1"

    def status(self) -> NodeStatus:
        return self.current

    def _need(self, role: Role) -> None:
        if self.current.role is not role:
            raise WrongRoleError(
                f"this node is a {self.current.role}; ask {self.current.master_url}"
            )

    def master_stats(self) -> MasterStats:
        self._need(Role.MASTER)
        return MasterStats(5, 600, 1, 1, 12, 12, 0, 0, 1, 0)

    def replica_stats(self) -> ReplicaStats:
        self._need(Role.REPLICA)
        return ReplicaStats(10, 10, 700, 10, 2, 0.5, 1, True, "n0", 1, 0, 0)  # noqa: FBT003

    def figures(self) -> Figures:
        return FIGURES

    def history(self) -> EpochHistory:
        return EpochHistory(
            (
                Reign(
                    Epoch(1),
                    HistoryId("h1"),
                    "n0",
                    Offset(1),
                    1_700_000_000_000_000,
                    "start",
                ),
                Reign(
                    Epoch(2),
                    HistoryId("h2"),
                    "n1",
                    Offset(8),
                    1_700_000_100_000_000,
                    "promote",
                ),
            )
        )

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        self._need(Role.MASTER)
        return (
            ReplicaStatus(
                id=self.replica_id,
                addr="127.0.0.1:2",
                http_url=self.replica_url,
                voter=False,
                last_ack_offset=12,
                applied_offset=11,
                lag=1,
                lag_seconds=0.25,
                healthy=True,
                connected_seconds=60.0,
                bytes_sent=600,
                state=LinkState.STREAMING,
            ),
        )

    def ready(self, max_lag: int | None) -> tuple[bool, str]:
        if max_lag is not None and self.current.lag > max_lag:
            return False, f"{self.current.lag} entries behind, at most {max_lag} wanted"
        return True, ""

    async def execute(self, request: SqlRequest) -> SqlResponse:
        self.asked.append(request)
        if self.executes is not None:
            return await self.executes(request)
        if self.error is not None:
            raise self.error
        return self.answer

    async def changes(self, wish: Wish, write: Write) -> Pieces:
        self.asked.append(wish)
        if self.error is not None:
            raise self.error
        if self.stream is not None:
            return self.stream
        return FakeStream(list(map(write, self.feed)), self.feed_end, self.feed_stays)

    async def losses(self) -> Losses:
        return Losses(
            may_be_lost="up to 2 entries after offset 10",
            durable_offset=10,
            commit_offset=10,
            lag=2,
        )

    async def promote(self, *, force: bool) -> NodeStatus:
        self._need(Role.REPLICA)
        self.asked.append(("promote", force))
        self.current = msgspec.structs.replace(STATUS, epoch=3)
        return self.current

    async def switch_over(self, heir: str) -> Handover:
        self._need(Role.MASTER)
        self.asked.append(("switch_over", heir))
        return Handover("n1", heir, 0.1)

    async def set_mode(self, mode: Mode, sync_quorum: int | None = None) -> NodeStatus:
        self._need(Role.MASTER)
        self.asked.append(("set_mode", mode, sync_quorum))
        return msgspec.structs.replace(self.current, mode=mode)

    def members(self) -> MembersView:
        return self.configuration

    async def add_voter(self, node_id: str, address: str) -> MembersView:
        self._need(Role.MASTER)
        self.asked.append(("add_voter", node_id, address))
        return MEMBERS

    async def remove_voter(self, node_id: str) -> MembersView:
        self._need(Role.MASTER)
        self.asked.append(("remove_voter", node_id))
        return MEMBERS

    async def set_auto_failover(self, *, enabled: bool) -> MembersView:
        self._need(Role.MASTER)
        self.asked.append(("set_auto_failover", enabled))
        return MEMBERS

    def pause(self, replica: str | None) -> None:
        self._need_replica(replica)
        self.current = msgspec.structs.replace(self.current, paused=True)

    async def apply_until(
        self, last: Offset | None, before_us: int | None
    ) -> NodeStatus:
        self.asked.append((last, before_us))
        self.current = msgspec.structs.replace(self.current, paused=True)
        return self.current

    def resume(self, replica: str | None, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self._need_replica(replica)
        self.current = msgspec.structs.replace(self.current, paused=False)

    def _need_replica(self, replica: str | None) -> None:
        self.asked.append(replica)
        if replica not in {None, self.replica_id}:
            raise NotFoundError(f"there is no replica {replica!r}")

    async def start_replication(
        self, role: Role, master_addr: str | None
    ) -> NodeStatus:
        self.asked.append((role, master_addr))
        self.current = msgspec.structs.replace(self.current, role=role)
        return self.current

    async def stop_replication(self) -> NodeStatus:
        self.current = msgspec.structs.replace(self.current, role=Role.STANDALONE)
        return self.current

    async def make_snapshot(self) -> SnapshotInfo:
        return self.snapshots.make(b"archive" * 10)

    def archive_now(self) -> ArchiveStatus:
        self._need(Role.MASTER)
        return ArchiveStatus("/backups", 7, 0, 0.0, 1.7e9, 1, 512, 0, "")

    async def begin_verify(self) -> Offset:
        self._need(Role.MASTER)
        return Offset(13)

    async def verification(self, offset: Offset) -> Fingerprints | None:
        if offset > self.current.applied_offset:
            return None
        if offset not in self.hashes:
            raise NotFoundError(f"there is no verification at offset {offset}")
        return self.hashes[offset]


def client_of(
    node: NodeFacade, *, base_url: str = "http://node:15474"
) -> httpx.AsyncClient:
    """A client of the node's API."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Application(node)), base_url=base_url
    )
