"""All clients of the port: who is let in, and what they need of their node."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from nexus.config import LimitSettings
from nexus.errors import HandshakeRefusedError, RequestError, TransactionExpiredError
from nexus.model.position import Offset
from nexus.model.token import Principal
from nexus.node.clients.caller import Caller
from nexus.node.clients.passage import Passages
from nexus.node.clients.pending import Pending
from nexus.node.clients.tenure import placed
from nexus.node.duty import CurrentDuty
from nexus.node.lasting import LastingExecutor
from nexus.node.network.addresses import reachable, reachable_url
from nexus.node.network.admittance import Admittance
from nexus.node.network.port import Visitor
from nexus.node.network.rates import Rates
from nexus.node.reading.pieces import Reading
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.node.startup import RESTING_READERS
from nexus.node.strongreads import read_offset
from nexus.node.telemetry.measures import Measures
from nexus.node.transactions import TransactionManager
from nexus.node.writing.answers import position_of
from nexus.protocol.calls import (
    CALLS_LEAST,
    CALLS_MOST,
    Attach,
    Attached,
    Done,
    Execute,
    Recall,
)
from nexus.protocol.messages import ErrorCode
from nexus.protocol.passage import TO_MASTER
from nexus.protocol.proofs import attached_proof
from nexus.storage.capturing.results import Statement

REST_LIMIT_S: Final = 60.0

SEE_OFF_EVERY_S: Final = 1.0
"""Between two looks whether a token is good no more."""

log = structlog.get_logger(__name__)


class Callers:
    """Lets clients in, and does for them what is the node's; for its loop."""

    def __init__(
        self,
        duties: CurrentDuty,
        measures: Measures,
        limits: LimitSettings,
        *,
        idle_limit_s: float,
    ) -> None:
        self.idle_limit_s = idle_limit_s
        """How long a transaction waits for its client."""
        self.rest_limit_s = REST_LIMIT_S
        """How long rows that are left do: they hold no more than a snapshot."""
        self._duties = duties
        self._measures = measures
        self._limits = limits
        self._rates = Rates(limits.requests_per_second)
        self._callers: set[Caller] = set()
        self._passages = Passages(duties)
        self._resting: dict[Pending, None] = {}
        """Queries whose rows wait for their clients, the oldest first."""
        self._threads = LastingExecutor(8, thread_name_prefix="nexus-caller")

    @property
    def count(self) -> int:
        """How many clients are attached, here or through here."""
        return len(self._callers) + self._passages.count

    async def serve(self, visitor: Visitor) -> None:
        """Serve a client, proven where it must be, until its connection ends.

        Raises HandshakeRefusedError with the code to answer.
        """
        connection, principal = visitor.connection, visitor.principal
        attach = visitor.hello
        assert isinstance(attach, Attach), "a client attaches"
        attached = self._attached(connection.peer_host, attach)
        master = None
        if TO_MASTER in attach.features:
            master = await self._passages.reach_master()
        if master is not None:
            attached = msgspec.structs.replace(attached, features=(TO_MASTER,))
        if visitor.challenge:
            token = principal.token
            key = self._admittance.secret.encode() if token is None else token.sha256
            proof = attached_proof(key, attach.nonce, visitor.challenge, attached)
            attached = msgspec.structs.replace(attached, auth=proof)
        self._measures.native_sessions += 1
        if master is not None:
            connection.send(attached)
            return await self._passages.pass_on(visitor, master)
        transport, decoder = connection.hand_over()
        connection.handshake_done()
        caller = Caller(self, principal, connection.peer_address, decoder)
        caller.take_over(transport)
        connection.send(attached)
        self._callers.add(caller)
        try:
            await caller.ended.wait()
        except asyncio.CancelledError:
            caller.refuse(ErrorCode.STOPPING, "this node is stopping")
            raise
        finally:
            self._callers.discard(caller)

    async def see_off(self) -> None:
        """End the connections of those whose token is good no more, until cancelled.

        Whoever asks for something is told at once; this is for those who are silent.
        """
        good = self._admittance.good_tokens
        while True:
            await asyncio.sleep(SEE_OFF_EVERY_S)
            before, good = good, self._admittance.good_tokens
            if good != before:
                for caller in tuple(self._callers):
                    caller.leave_if_unwelcome()
                self._passages.see_off(self.still_admits)

    def close(self) -> None:
        """Wait for the queries that run."""
        self._threads.shutdown()

    def _attached(self, peer_host: str, attach: Attach) -> Attached:
        self._require_room(peer_host)
        calls = min(CALLS_MOST, attach.calls_most)
        if calls < max(CALLS_LEAST, attach.calls_least):
            raise HandshakeRefusedError(
                f"this node speaks versions {CALLS_LEAST} to {CALLS_MOST} of the "
                f"clients' protocol, the client {attach.calls_least} to "
                f"{attach.calls_most}",
                reason=ErrorCode.VERSION,
            )
        parts = self._duties.parts
        state = parts.state
        if attach.cluster_id not in {"", state.cluster_id}:
            raise HandshakeRefusedError(
                f"the client means cluster {attach.cluster_id}; this is "
                f"{state.cluster_id or 'a node of none yet'}",
                reason=ErrorCode.CLUSTER,
            )
        return Attached(
            calls,
            state.node_id,
            state.cluster_id,
            self._duties.role,
            state.epoch,
            reachable(self._master_addr(), peer_host),
            reachable_url(parts.http_url, peer_host),
            parts.database.position.offset,
            round(self.idle_limit_s * 1000),
        )

    def _require_room(self, peer_host: str) -> None:
        limits = self._limits
        most, of_address = limits.connections, limits.connections_per_address
        if self.count >= most:
            raise HandshakeRefusedError(
                f"{most} clients are attached; try again later", reason=ErrorCode.BUSY
            )
        if of_address and self._count_of(peer_host) >= of_address:
            raise HandshakeRefusedError(
                f"{of_address} clients of {peer_host} are attached; try again later",
                reason=ErrorCode.BUSY,
            )

    def _count_of(self, peer_host: str) -> int:
        direct = sum(caller.address == peer_host for caller in self._callers)
        return direct + self._passages.count_of(peer_host)

    def _master_addr(self) -> str:
        acting = self._duties.acting
        if isinstance(acting, Reigning):
            return self._duties.parts.address
        if isinstance(acting, Following):
            return acting.machine.master_addr
        return self._duties.parts.state.master_addr

    @property
    def _admittance(self) -> Admittance:
        return self._duties.parts.port.admittance

    # --- What a client's connection needs ---------------------------------------------

    def spend(self, asked: Execute, principal: Principal, address: str) -> None:
        """One more request; raises RateLimitedError or RequestError for too much."""
        self._rates.spend(address if principal.token is None else principal.who)
        count, most = len(asked.queries), self._limits.statements
        if count > most:
            raise RequestError(
                f"{count} statements are more than {most} (limits.statements)"
            )

    def still_admits(self, principal: Principal) -> bool:
        """Whether who has attached before would be let in now."""
        return self._admittance.still_admits(principal)

    def writer(self) -> TransactionManager:
        """The manager of writes; raises why there is none here."""
        return self._duties.writer()

    async def reach(self, asked: Execute) -> None:
        """Return once this node holds what the query must see; raises why it won't."""
        at_least = asked.min_offset
        if asked.strong:
            at_least = max(at_least, await read_offset(self._duties))
        if at_least:
            await self._duties.parts.executor.reach(Offset(at_least))

    def reading(self, statements: list[Statement], request_id: int) -> Reading:
        """These queries, on a snapshot of their own."""
        self._measures.statements_read += len(statements)
        database = self._duties.parts.database
        return Reading(database, statements, request_id=request_id)

    async def on_reader(self, call: Callable[[], Any]) -> Any:
        """Call it on a thread for queries."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, call)

    def close_soon(self, reading: Reading) -> None:
        """Close it on a thread for queries."""
        self._threads.submit(reading.close)

    def rests(self, pending: Pending) -> None:
        """It keeps a reader while its rows wait; for too many the oldest gives way."""
        self._resting[pending] = None
        if len(self._resting) > RESTING_READERS:
            oldest = next(iter(self._resting))
            del self._resting[oldest]
            if oldest.fetched is not None and not oldest.fetched.done():
                oldest.fetched.set_exception(
                    TransactionExpiredError(
                        f"the rows that were left are dropped: {RESTING_READERS} other "
                        "queries wait for their clients; read them anew"
                    )
                )

    def goes_on(self, pending: Pending) -> None:
        """Its rows wait no more."""
        self._resting.pop(pending, None)

    async def vacuum(self) -> None:
        """Rewrite the database file, between two batches."""
        await self.writer().run(self._duties.parts.database.vacuum)

    async def recall(self, asked: Recall) -> Done:
        """What became of a transaction id; asked behind all that waits to be written.

        Only a master knows: raises why this node is none.
        """
        database = self._duties.parts.database
        manager = self.writer()
        known = await manager.run(lambda: database.answer_of(asked.transaction_id))
        position = None if known is None else position_of(*known)
        return placed(Done(asked.request_id), position)
