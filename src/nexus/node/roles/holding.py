"""What an operator may do with a replica's apply: stop it, up to a chosen entry too."""

import asyncio
from contextlib import closing
from typing import Protocol

from nexus.errors import RequestError
from nexus.model.entry import written_us
from nexus.model.position import Offset
from nexus.node.clock import now_ms
from nexus.node.follower import Follower
from nexus.node.logreading import records_from
from nexus.node.parts import Parts
from nexus.node.writing.worker import ApplyWorker
from nexus.replication.effects import Apply
from nexus.replication.replica import Replica
from nexus.storage.database import Database
from nexus.storage.wal import WriteAheadLog


class Applying(Protocol):
    """The replica, as far as its apply is concerned."""

    machine: Replica

    @property
    def parts(self) -> Parts:
        """What it works with."""

    @property
    def follower(self) -> Follower:
        """What performs its machine's effects."""

    @property
    def worker(self) -> ApplyWorker:
        """What applies."""

    async def hold(self) -> None:
        """Apply nothing more until more is asked for; the running batch has ended."""


def pause(replica: Applying) -> None:
    """Apply no more until `resume` or a reign, whatever restarts there are between.

    Raises StorageError where that cannot be kept; nothing has changed then.
    """
    replica.parts.storage.catalog.update(paused=True)
    replica.follower.drop(Apply)
    replica.follower.take(replica.machine.pause())
    replica.worker.hold()


def resume(replica: Applying, *, at_once: bool) -> None:
    """Undo `pause`; `at_once` without waiting for what a delay holds back."""
    replica.parts.storage.catalog.update(paused=False)
    replica.follower.take(replica.machine.resume(now_ms(), at_once=at_once))


async def apply_until(
    replica: Applying, last: Offset | None, before_us: int | None
) -> None:
    """Apply up to this entry, or to before that time, and stay paused there.

    Raises RequestError where that is not to be had; an entry that was being applied
    just then may be the reason: then the replica is paused all the same.
    """
    parts = replica.parts
    last = parts.log.durable_offset if last is None else last
    _check(last, parts.database, parts.log)
    pause(replica)
    await replica.hold()
    _check(last, parts.database, parts.log)
    if before_us is not None:
        last = min(last, await asyncio.to_thread(last_before, parts, before_us))
    replica.follower.take(replica.machine.apply_until(last, now_ms()))


def _check(last: Offset, database: Database, log: WriteAheadLog) -> None:
    applied, end = database.position.offset, log.durable_offset
    if last < applied:
        raise RequestError(
            f"until = {last}: entry {applied} is applied already, and no replica goes "
            "back. Ask a replica with a longer delay, or restore a backup"
        )
    if last > end:
        raise RequestError(
            f"until = {last}: this replica has received entries up to {end}; name one "
            "of them"
        )


def last_before(parts: Parts, time_us: int) -> Offset:
    """The last entry written before that time, by its master's clock; blocks.

    Entries that are applied already are not looked at: the applied offset is the least
    answer. What follows an entry of that time or later does not count.
    """
    found = parts.database.position.offset
    end = parts.log.durable_offset
    with closing(records_from(parts.log, Offset(found + 1))) as records:
        for record in records:
            if record.offset > end or written_us(record.payload) >= time_us:
                break
            found = record.offset
    return found
