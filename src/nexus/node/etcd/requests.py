"""Asks etcd for what a node's leadership wants, and hands it the answers.

Each request is a task of its own: one that hangs keeps no other from its answer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from nexus.errors import EtcdError
from nexus.node.clock import now_ms
from nexus.node.etcd.client import EtcdClient, LeaderValue
from nexus.node.tasks import Tasks
from nexus.replication.etcd.effects import (
    ChangeList,
    GrantLease,
    KeyEffects,
    ReadKeys,
    RenewLease,
    RevokeLease,
    TakeKey,
)
from nexus.replication.etcd.leadership import Leadership

GOODBYE_S: Final = 2.0
"""So long a stopping node tries to give its lease back; else it runs out."""

log = structlog.get_logger(__name__)

Request = ReadKeys | GrantLease | RenewLease | RevokeLease | TakeKey | ChangeList


class KeyRequests:
    """The requests of one node."""

    def __init__(
        self,
        client: EtcdClient,
        leadership: Leadership,
        value: LeaderValue,
        *,
        take: Callable[[KeyEffects], None],
        is_whole: Callable[[], bool],
    ) -> None:
        """`value` is what the leader key would say; `take` performs what follows."""
        self._client = client
        self.leadership = leadership
        self._value = value
        self._take = take
        self._is_whole = is_whole
        self._tasks = Tasks()
        self._trouble = ""
        """Why etcd does not answer, said once."""

    def ask(self, request: Request) -> None:
        """Send it; the leadership hears of the answer, or that there is none."""
        self._tasks.spawn(self._ask(request))

    async def end(self) -> None:
        """Wait for no answer any more, and give back the lease if there is one."""
        await self._tasks.end()
        for effect in self.leadership.stopped():
            assert isinstance(effect, RevokeLease), "nothing else is left to do"
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await self._client.revoke(effect.lease_id)
            except (EtcdError, TimeoutError) as error:
                log.warning("lease_not_revoked", reason=str(error))

    async def _ask(self, request: Request) -> None:
        sent_ms = now_ms()
        try:
            effects = await self._answered(request, sent_ms)
        except EtcdError as error:
            if str(error) != self._trouble:
                log.warning("etcd_does_not_answer", reason=str(error))
            self._trouble = str(error)
            effects = self._unanswered(request, str(error))
        else:
            self._trouble = ""
        self._take(effects)

    async def _answered(self, request: Request, sent_ms: int) -> KeyEffects:
        client, machine = self._client, self.leadership
        match request:
            case ReadKeys():
                keys = await client.read()
                return machine.keys_seen(keys, now_ms(), able=self._is_whole())
            case GrantLease():
                lease_id, ttl_ms = await client.grant(request.ttl_s)
                return machine.lease_granted(
                    lease_id, ttl_ms=ttl_ms, sent_ms=sent_ms, now_ms=now_ms()
                )
            case RenewLease():
                ttl_ms = await client.renew(request.lease_id)
                return machine.lease_renewed(
                    request.lease_id, ttl_ms=ttl_ms, sent_ms=sent_ms
                )
            case RevokeLease():
                await client.revoke(request.lease_id)
                return ()
            case TakeKey():
                return await self._taken(request)
            case ChangeList():
                return await self._changed(request)

    async def _taken(self, request: TakeKey) -> KeyEffects:
        done, keys = await self._client.take(
            self._value, request.lease_id, request.synced
        )
        if done and keys.leader is not None and keys.synced is not None:
            return self.leadership.key_taken(keys.leader, keys.synced)
        return self.leadership.key_refused(keys)

    async def _changed(self, request: ChangeList) -> KeyEffects:
        leader = request.leader
        done, keys = await self._client.change(
            leader, request.before, request.nodes, request.handed_over
        )
        if done and keys.synced is not None:
            return self.leadership.list_changed(leader, keys.synced)
        return self.leadership.list_refused(leader, keys)

    def _unanswered(self, request: Request, reason: str) -> KeyEffects:
        machine = self.leadership
        match request:
            case ReadKeys():
                return machine.unread()
            case GrantLease():
                return machine.not_granted(reason)
            case RenewLease():
                return machine.not_renewed()
            case RevokeLease():
                return ()
            case TakeKey():
                return machine.take_unanswered()
            case ChangeList():
                return machine.change_unanswered(request.leader)
