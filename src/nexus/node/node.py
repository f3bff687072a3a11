"""A node: how it starts and stops, and what others may ask of it."""

import asyncio
from collections.abc import Mapping

from msgspec.structs import replace

from nexus.config import Config
from nexus.errors import NodeStoppedError, WrongRoleError
from nexus.model.cluster import (
    ArchiveStatus,
    MasterStats,
    ReplicaStats,
    ReplicaStatus,
)
from nexus.model.position import EpochHistory, Offset
from nexus.node.clients.callers import Callers
from nexus.node.clock import now_ms
from nexus.node.duties import Duties
from nexus.node.elections.forming import Forming
from nexus.node.elections.resting import Resting
from nexus.node.elections.voting import Voting
from nexus.node.figures import Figures, figures_of
from nexus.node.guest import Guest
from nexus.node.network.security import TransportSecurity
from nexus.node.operators.guests import Guests
from nexus.node.operators.orders import Orders
from nexus.node.operators.tokens import TokenKeeper
from nexus.node.parts import Opening, open_parts
from nexus.node.publisher import PublisherHooks
from nexus.node.pulse import keep_time
from nexus.node.reading.changes import ChangeStream, Wish, Write
from nexus.node.reading.views import Views
from nexus.node.requests import SqlRequest, SqlResponse
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.node.slices import take_short_slices
from nexus.node.sqlstream import SqlStream
from nexus.node.streamtransaction import StreamHost
from nexus.node.strongreads import read_offset
from nexus.node.telemetry.events import EventLog
from nexus.node.telemetry.measures import Measures
from nexus.node.transactions import TransactionManager
from nexus.storage.database import Database
from nexus.storage.fingerprint import Fingerprints
from nexus.storage.snapshots.store import SnapshotInfo


class Node(Orders):
    """One data directory with its database, log, catalog and role.

    All coroutines and status calls belong to the loop that called `start`; `writer`
    and `database` may be used from any thread.
    """

    def __init__(self, config: Config, guest: Guest | None = None) -> None:
        """`guest`: it is the node of a named database, in another's process."""
        super().__init__(Duties(config), guest, Guests(config, self._make_guest))
        self.config = config
        self.security = (
            TransportSecurity.of(config) if guest is None else guest.port.security
        )
        """What it proves itself with; ConfigurationError for files of no use."""
        self.http_addr = config.http_addr
        """Where its API is to be found; empty where it has none. Where the system has
        chosen the port, say so before `start`."""
        self.measures = Measures()
        """What it has counted and timed since it was made."""
        self.events = EventLog()
        self.tokens = TokenKeeper(self._duties)
        """The cluster's, which the main database's log carries."""
        self._callers = Callers(
            self._duties, self.measures, config.limits, idle_limit_s=self.idle_limit_s
        )

    # --- Start and stop ---------------------------------------------------------------

    async def start(self) -> None:
        """Open the data directory and take up the role; once.

        Raises StorageError, ConfigurationError, or NodeStoppedError after a `stop`;
        nothing is left running then.
        """
        duties = self._duties
        async with duties.changing:
            if duties.stopping:
                raise NodeStoppedError("this node was stopped; make a new one")
            take_short_slices()
            await self._open()
            duties.spawn(keep_time(duties.parts, lambda: duties.duty))
            duties.spawn(self._callers.see_off())
            if self.security.credentials is not None and self._guest is None:
                duties.spawn(self.security.credentials.watch(self.measures))
            try:
                await self._guests.start(duties)
            except BaseException:
                duties.stopping = True
                await self._close()
                raise

    async def stop(self) -> None:
        """Stop in order: nothing is acknowledged that is not durable.

        A start or a change of role that is under way comes to its end before.
        """
        self._duties.stopping = True
        async with self._duties.changing:
            await self._close()

    async def _open(self) -> None:
        duties = self._duties
        hooks = PublisherHooks(
            visited=duties.visited,
            committed=duties.committed,
            step_down=duties.step_down,
            stop_writes=duties.stop_writes,
            send_snapshot=duties.send_snapshot,
            votes=duties.asked_for_votes,
            client=self._callers.serve,
            events=self.events,
        )
        parts = await open_parts(
            Opening(
                self.config,
                self.http_addr,
                hooks,
                duties.failed,
                self.measures,
                self._guest or self.security,
            )
        )
        duties.use(parts)
        if self._guest is None:
            self.tokens.begin()
            parts.port.admittance.in_doubt = lambda: self.tokens.in_doubt
        self.snapshots, self.diverged = parts.snapshots, parts.diverged
        try:
            await duties.begin()
        except BaseException:
            duties.stopping = True
            await self._close()
            raise

    def _make_guest(self, config: Config, guest: Guest) -> "Node":
        node = Node(config, guest)
        node.http_addr, node.tokens = self.http_addr, self.tokens
        return node

    async def _close(self) -> None:
        duties = self._duties
        if not duties.is_open:
            return
        parts = duties.parts
        await self._guests.stop()
        duties.cancel_tasks()
        parts.snapshots.close()
        await parts.publisher.stop()
        if parts.guest is None:
            await parts.port.stop()
        await parts.sender.close()
        await duties.leave()
        duties.use(None)
        await asyncio.to_thread(self._callers.close)
        await asyncio.to_thread(parts.close)

    # --- What others ask --------------------------------------------------------------

    @property
    def named(self) -> Mapping[str, "Node"]:
        """The nodes of the named databases that run in this process."""
        return self._guests.nodes

    @property
    def duties(self) -> Duties:
        """Its duty and what that works with; for the node's own driver code."""
        return self._duties

    @property
    def database(self) -> Database:
        """The node's database, for reads."""
        return self._parts.database

    @property
    def views(self) -> Views:
        """States of the database that clients go on reading."""
        return self._parts.views

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where its coroutines run."""
        return self._parts.loop

    @property
    def idle_limit_s(self) -> float:
        """How long an interactive transaction may stay idle."""
        return self.config.limits.idle_transaction_ms / 1000

    def writer(self) -> TransactionManager:
        """The manager of writes; raises ReadOnlyReplicaError on a replica."""
        return self._duties.writer()

    def master_stats(self) -> MasterStats:
        """GET /replication/master/stats; WrongRoleError on a replica."""
        return self._duties.reigning().stats()

    def replica_stats(self) -> ReplicaStats:
        """GET /replication/replica/stats; WrongRoleError on a master."""
        acting = self._duties.acting
        if not isinstance(acting, Following | Forming | Resting):
            known = [one.http_url or one.id for one in self.replicas()]
            named = ", ".join(known) or "it has none"
            raise WrongRoleError(
                f"this node is no replica; ask one of its replicas ({named})"
            )
        return acting.stats()

    def replicas(self) -> tuple[ReplicaStatus, ...]:
        """GET /replication/replicas: a master's, or those that follow this replica.

        WrongRoleError on a replica that nobody follows.
        """
        acting = self._duties.acting
        if isinstance(acting, Following) and (found := acting.downstreams):
            return found
        return self._duties.reigning().machine.replicas(now_ms())

    def figures(self) -> Figures:
        """What it holds and who is connected; may block, any thread may ask."""
        acting, duty = self._duties.acting, self._duties.duty
        return figures_of(
            self._parts,
            self._callers.count,
            lacks_quorum=isinstance(acting, Reigning) and acting.lacks_quorum,
            witness_full=isinstance(duty, Voting) and duty.is_full,
        )

    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self._duties.history

    def ready(self, max_lag: int | None) -> tuple[bool, str]:
        """Whether this node can serve; where not, why."""
        reason = self._duties.trouble
        acting = self._duties.acting
        if not reason and isinstance(acting, Following):
            reason = acting.ready(max_lag)
        if not reason and isinstance(acting, Forming | Resting):
            reason = acting.reason
        return not reason, reason

    async def execute(self, request: SqlRequest) -> SqlResponse:
        """Run the request's statements.

        Raises ReadOnlyReplicaError for a replica's write, and for its strong read.
        """
        parts = self._parts
        if request.consistency == "strong":
            at_least = max(await read_offset(self._duties), request.min_offset or 0)
            request = replace(request, min_offset=at_least)
        return await parts.executor.execute(request, self.writer, parts.state.epoch)

    def open_stream(self) -> SqlStream:
        """What a connection to SQLite would be, for a client from afar."""
        parts = self._parts
        return SqlStream(
            StreamHost(
                parts.database,
                parts.views,
                parts.executor.threads,
                self.writer,
                self.idle_limit_s,
            )
        )

    async def wait_applied(self, offset: Offset, *, timeout_s: float) -> None:
        """Return once the database holds `offset`; TimeoutError if not by then."""
        await self._parts.waiters.wait(offset, timeout_s=timeout_s)

    async def changes(self, wish: Wish, write: Write) -> ChangeStream:
        """What this node has applied and applies, change by change, as written."""
        return await self._parts.changes.open(wish, write, self)

    async def make_snapshot(self) -> SnapshotInfo:
        """A new snapshot, made while writes go on; durable on return."""
        return await self._parts.sender.make(self._parts.state.cluster_id)

    def archive_now(self) -> ArchiveStatus:
        """Have a snapshot archived soon, and all that is committed; what stood before.

        Raises WrongRoleError where nothing is archived from.
        """
        self._duties.reigning("only the master archives")
        return self._parts.archive_now()

    async def begin_verify(self) -> Offset:
        """Have every node hash its tables at the offset that is returned."""
        return await self._duties.reigning("a verification begins at the master").mark()

    async def verification(self, offset: Offset) -> Fingerprints | None:
        """The hashes at a mark; None while they are made or the mark is to come."""
        return self._parts.verifications.result(offset)
