"""The pulse of a node: its role's heartbeats, and beside them the log's retention."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from nexus.errors import StorageError
from nexus.model.cluster import LinkState
from nexus.model.position import Offset
from nexus.node.elections.voting import Voting
from nexus.node.etcd.holding import Keyholding
from nexus.node.etcd.relief import Relief
from nexus.node.parts import Parts
from nexus.node.roles.following import Following
from nexus.node.roles.homecoming import Homecoming
from nexus.node.roles.machines import is_crowded
from nexus.node.roles.reigning import Reigning

TICKS_PER_HEARTBEAT: Final = 4

LONGEST_TICK_S: Final = 1.0

FIRST: Final = Offset(1)

log = structlog.get_logger(__name__)


class Duty(Protocol):
    """A role that a node has, as far as time is concerned."""

    def tick(self) -> None:
        """Heartbeats and deadlines."""

    async def retain(self) -> None:
        """Drop what retention no longer keeps."""


async def keep_time(parts: Parts, duty_now: Callable[[], Duty | None]) -> None:
    """Tick, for whatever role the node has just then, until cancelled."""
    settings = parts.config.replication
    period_s = settings.heartbeat_ms / 1000 / TICKS_PER_HEARTBEAT
    retaining: asyncio.Task[None] | None = None
    timeout_s = settings.connect_timeout_ms / 1000
    homecoming = Homecoming(parts.port.security, timeout_s=timeout_s)
    relief = Relief(parts)
    _serve_archive(parts, duty_now())
    try:
        while True:
            await asyncio.sleep(min(period_s, LONGEST_TICK_S))
            while parts.measures.settle():  # noqa: ASYNC110 - others run in between
                await asyncio.sleep(0)
            duty = duty_now()
            _serve_archive(parts, duty)
            if duty is None:
                continue
            duty.tick()
            _look_for_home(duty, homecoming)
            if isinstance(duty, Keyholding):
                relief.tick(duty)
            with suppress(StorageError):  # a full disk, say: the next tick tries again
                _watch(parts, duty)
            too_long = parts.log.entry_count > settings.max_log_size
            is_due = too_long or is_crowded(parts)
            if is_due and (retaining is None or retaining.done()):
                # Beside the ticks: it waits for its turn among the writes.
                retaining = asyncio.create_task(duty.retain())
    finally:
        homecoming.stop()
        relief.stop()
        if retaining is not None:
            retaining.cancel()


def _serve_archive(parts: Parts, duty: Duty | None) -> None:
    if parts.archiving is not None:
        parts.archiving.serve(_reign_of(duty))


def _reign_of(duty: Duty | None) -> Reigning | None:
    """This node's reign, if it has one that takes writes."""
    acting = duty.reigning if isinstance(duty, Voting | Keyholding) else duty
    return acting if isinstance(acting, Reigning) and acting.is_open else None


def _look_for_home(duty: Duty, homecoming: Homecoming) -> None:
    following = duty.following if isinstance(duty, Voting | Keyholding) else duty
    if isinstance(following, Following):
        homecoming.tick(following)


def _watch(parts: Parts, duty: Duty) -> None:
    """Note once that the log has begun, and that what was lost is there again."""
    catalog, state = parts.storage.catalog, parts.state
    if not (state.log_watermark or state.intent) and parts.log.durable_offset:
        # From now on a log without any entry is one that was lost.
        catalog.update(log_watermark=FIRST)
    if state.incomplete and _has_all(parts, duty):
        catalog.update(incomplete="")
        log.info("node_complete", offset=parts.log.durable_offset)


def _has_all(parts: Parts, duty: Duty) -> bool:
    """Whether an incomplete node has had its full sync, and what came after it."""
    if isinstance(duty, Voting):
        return duty.member.is_sound
    following = duty.following if isinstance(duty, Keyholding) else duty
    if not isinstance(following, Following):
        return False
    machine, end = following.machine, parts.log.durable_offset
    if machine.state is not LinkState.STREAMING or machine.master is None:
        return False
    return end >= machine.master.current_offset
