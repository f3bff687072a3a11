"""The named databases of a process: a node each, beside the main database's.

They share its ports and its id, and follow it: its master is theirs, so are its voters.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from nexus.config import Config
from nexus.config.databases import config_of
from nexus.errors import ClusterChangeError, NexusError
from nexus.model.cluster import NodeId, Role
from nexus.node.duties import Duties
from nexus.node.elections.voting import Voting
from nexus.node.etcd.holding import Keyholding
from nexus.node.guest import Guest
from nexus.node.operators import governing
from nexus.node.roles.reigning import Reigning
from nexus.replication.members.alignment import (
    AddVoter,
    HandOver,
    RemoveVoter,
    SetAutoFailover,
    Step,
    next_keyed_step,
    next_step,
)

LONGEST_BEAT_S: Final = 1.0
"""So long a named database may have another master than the main one, and a
switchover's time."""

log = structlog.get_logger(__name__)

Order = Callable[[Duties], Awaitable[object]]
"""What an operator has a database do."""


class GuestNode(Protocol):
    """The node of a named database, as the main one's needs it."""

    @property
    def duties(self) -> Duties:
        """Its duty and what that works with."""

    async def start(self) -> None:
        """Take up the role."""

    async def stop(self) -> None:
        """Stop in order."""


NodeT = TypeVar("NodeT", bound=GuestNode)


class Guests(Generic[NodeT]):
    """Starts them after the main database's node, and stops them before."""

    def __init__(self, config: Config, make: Callable[[Config, Guest], NodeT]) -> None:
        self.nodes: dict[str, NodeT] = {}
        """By the database's name, in the order of the configuration."""
        self._config = config
        self._make = make
        self._aligning: asyncio.Task[None] | None = None
        self._told: dict[str, str] = {}
        """By database: the unexpected error that the log has told of already."""

    async def start(self, main: Duties) -> None:
        """Open every named database; raises what a node's start does."""
        parts = main.parts
        for name in self._config.databases:
            guest = Guest(
                name, parts.state.node_id, parts.port, lambda: main.role is Role.MASTER
            )
            node = self._make(config_of(self._config, name), guest)
            with bound_contextvars(database=name):  # its tasks and threads inherit it
                await node.start()
            self.nodes[name] = node
        if self.nodes:
            self._aligning = asyncio.create_task(self._align(main))

    async def stop(self) -> None:
        """Stop them in order; what they acknowledged is durable."""
        if self._aligning is not None:
            self._aligning.cancel()
        nodes, self.nodes = self.nodes, {}
        for name, node in reversed(nodes.items()):
            with bound_contextvars(database=name):
                await node.stop()

    async def follow(self, order: Order) -> None:
        """Carry out what was ordered of the main database, in each of the others.

        All of them are tried; raises ClusterChangeError naming those that failed.
        """
        failed = []
        for name, node in self.nodes.items():
            try:
                with bound_contextvars(database=name):
                    await order(node.duties)
            except NexusError as error:
                failed.append(f"{name}: {error}")
        if failed:
            raise ClusterChangeError(
                "done for the main database, but not for each of the others; "
                + "; ".join(failed)
            )

    async def _align(self, main: Duties) -> None:
        heartbeat_s = self._config.replication.heartbeat_ms / 1000
        while True:
            await asyncio.sleep(min(heartbeat_s, LONGEST_BEAT_S))
            if (reigning := _reign_of(main)) is not None:
                duties = (node.duties for node in self.nodes.values())
                reigning.guest_lacks_space = any(map(_lacks_space, duties))
            for name, node in self.nodes.items():
                with bound_contextvars(database=name):
                    await self._try(name, main, node.duties)

    async def _try(self, name: str, main: Duties, named: Duties) -> None:
        """Whatever is in the way of one database: the next beat tries it again."""
        try:
            await _bring_in_line(main, named)
        except NexusError as error:
            log.info("not_in_line_yet", reason=str(error))
        except Exception as error:
            if self._told.get(name) != repr(error):
                log.exception("alignment_failed")
            self._told[name] = repr(error)
        else:
            self._told.pop(name, None)


async def _bring_in_line(main: Duties, named: Duties) -> None:
    step = _step(main, named)
    if step is None:
        return
    log.info("bringing_in_line", step=type(step).__name__)
    match step:
        case AddVoter():
            await governing.add_voter(named, step.node_id, step.address)
        case RemoveVoter():
            await governing.remove_voter(named, step.node_id)
        case SetAutoFailover():
            await governing.set_auto_failover(named, enabled=step.enabled)
        case HandOver():
            await governing.switch_over(named, step.heir)


def _reign_of(duties: Duties) -> Reigning | None:
    duty = duties.duty
    return duty.reigning if isinstance(duty, Voting | Keyholding) else None


def _lacks_space(named: Duties) -> bool:
    """Whether it reigns here without room: then the main database hands over."""
    if isinstance(named.duty, Voting):
        return named.duty.lacks_space
    reigning = _reign_of(named)
    return reigning is not None and reigning.lacks_space


def _step(main: Duties, named: Duties) -> Step | None:
    if named.role is not Role.MASTER:
        return None
    own, master = main.parts.state.node_id, _master_of(main)
    if isinstance(main.duty, Voting) and isinstance(named.duty, Voting):
        there = governing.members(named)
        return next_step(own, master, governing.members(main), there)
    if isinstance(main.duty, Keyholding) and isinstance(named.duty, Keyholding):
        return next_keyed_step(
            own,
            master,
            named.duty.heirs,
            main_rests=main.duty.rests,
            named_rests=named.duty.rests,
        )
    return None


def _master_of(main: Duties) -> NodeId:
    """Who reigns in the main database as far as this node knows, or empty."""
    if main.role is Role.MASTER:
        return main.parts.state.node_id
    return NodeId(main.report().master_id) if main.report().connected else NodeId("")
