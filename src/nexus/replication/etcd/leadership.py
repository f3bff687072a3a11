"""Who reigns where etcd decides: a node's way to the leader key, and back.

Pure: answers of etcd, ticks and what the node did come in; effects go out, to be
performed in order (see `effects`).
"""

from collections.abc import Iterable

from nexus.model.position import Epoch, Offset
from nexus.replication.effects import Level, Report
from nexus.replication.etcd.effects import (
    ChangeList,
    EndReign,
    Follow,
    GrantLease,
    KeyEffects,
    Leave,
    ReadKeys,
    Reign,
    RenewLease,
    Require,
    RevokeLease,
    TakeKey,
)
from nexus.replication.etcd.keyreads import KeyReads
from nexus.replication.etcd.keys import Keys, LeaderKey, SyncedKey
from nexus.replication.etcd.lease import KeyLease
from nexus.replication.etcd.stages import (
    LOST_DATA,
    MOVES,
    LeadershipSettings,
    Stage,
)
from nexus.replication.etcd.synced import FollowerView, SyncedNodes


class Leadership:
    """One node's part; it knows no socket and no clock."""

    def __init__(self, settings: LeadershipSettings, epoch: Epoch) -> None:
        """`epoch` is the highest that this node has met."""
        self._own = settings
        self._epoch = epoch
        self._keys = Keys()
        self._leader: LeaderKey | None = None
        """The last one seen, though it may be gone by now."""
        drift_percent = settings.drift_percent
        self._lease = KeyLease(ttl_s=settings.ttl_s, drift_percent=drift_percent)
        self._key_reads = KeyReads(settings.poll_ms)
        self._not_before_ms = 0
        self._asked_to_stand = False
        self.stage = Stage.FOLLOWS
        self.synced: SyncedNodes | None = None
        """The list, during a reign."""

    # --- What others ask -------------------------------------------------------------

    @property
    def keys(self) -> Keys:
        """As they were read last."""
        return self._keys

    def may_acknowledge(self, now_ms: int) -> bool:
        """Whether no other node can have the key at this moment; any thread may ask.

        The lease counts from the sending of what etcd answered.
        """
        return self.stage is Stage.REIGNS and now_ms < self._lease.until_ms

    def stand(self) -> None:
        """An operator wants this node to take the key, once it is free."""
        self._asked_to_stand = True

    # --- Time ------------------------------------------------------------------------

    def tick(self, now_ms: int) -> KeyEffects:
        """What is due: renewals, reads, the end of a lease."""
        match self.stage:
            case Stage.REIGNS if self._lease.is_over(now_ms):
                return self._ends("the lease was not renewed in time")
            case Stage.REIGNS if self._lease.is_due(now_ms):
                renewal = RenewLease(self._lease.lease_id)
                return (renewal, *self._reads(now_ms))
            case Stage.GRANTED if self._lease.is_over(now_ms):
                return self._gives_up("etcd did not answer while the lease lasted")
            case _:
                return self._reads(now_ms)

    def _reads(self, now_ms: int) -> KeyEffects:
        if self.stage in (Stage.LEAVES, Stage.ENDS) or not self._key_reads.is_due(
            now_ms
        ):
            return ()
        return (ReadKeys(),)

    # --- Etcd's answers --------------------------------------------------------------

    def keys_seen(self, keys: Keys, now_ms: int, *, able: bool) -> KeyEffects:
        """Both keys were read; `able`: this node's data are whole."""
        if not self._key_reads.ended():
            return ()
        former, self._keys = self._leader, keys
        self._leader = keys.leader or former
        match self.stage:
            case Stage.FOLLOWS:
                return self._follows(former, now_ms, able=able)
            case Stage.GRANTED if self._lease.lease_id:
                return self._seen_while_taking(keys)
            case Stage.REIGNS:
                return self._seen_while_reigning(keys)
            case _:
                return ()

    def unread(self) -> KeyEffects:
        """Etcd did not answer; a later tick asks again."""
        self._key_reads.ended()
        return ()

    def lease_granted(
        self, lease_id: int, *, ttl_ms: int, sent_ms: int, now_ms: int
    ) -> KeyEffects:
        """The lease runs since `sent_ms` at the earliest."""
        if self.stage is not Stage.GRANTED or self._lease.lease_id:
            return (RevokeLease(lease_id),)
        self._lease.granted(lease_id, ttl_ms=ttl_ms, sent_ms=sent_ms)
        if self._lease.is_over(now_ms):
            return self._gives_up("the lease had run out when etcd's answer came")
        return self._takes()

    def not_granted(self, reason: str) -> KeyEffects:
        """No lease: follow on."""
        if self.stage is not Stage.GRANTED or self._lease.lease_id:
            return ()
        return self._gives_up(f"etcd gave no lease: {reason}")

    def key_taken(self, leader: LeaderKey, synced: SyncedKey) -> KeyEffects:
        """This node has the key, and stood in the list at that moment."""
        own = leader.lease_id == self._lease.lease_id  # perhaps a read was faster
        if self.stage is not Stage.GRANTED or not own:
            return () if own else (RevokeLease(leader.lease_id),)
        epoch = Epoch(synced.epoch_base + leader.revision)
        if epoch <= self._epoch:
            self._not_before_ms = self._lease.until_ms
            return self._gives_up(LOST_DATA.format(epoch=epoch, met=self._epoch))
        former, self._epoch = self._leader, epoch
        self._keys = self._keys.held(leader, synced)
        self._leader = leader
        self._asked_to_stand = False
        self._move(Stage.REIGNS)
        self._key_reads.outdate()
        self.synced = SyncedNodes(
            self._own.node_id,
            synced,
            epoch=epoch,
            quorum=self._own.quorum,
            dead_after_ms=self._own.dead_after_ms,
            began_ms=self._lease.sent_ms,
        )
        if former is not None and former.node_id != self._own.node_id:
            self.synced.presume_dead(former.node_id)
        return (Reign(epoch, self.synced.required, synced.handed_over),)

    def key_refused(self, keys: Keys) -> KeyEffects:
        """Another node has it, or the list is another one by now."""
        if self.stage is not Stage.GRANTED:
            return ()
        self._keys = keys
        self._leader = keys.leader or self._leader
        return self._own_key(keys) or self._gives_up("")

    def take_unanswered(self) -> KeyEffects:
        """The key may be this node's by now: reading tells."""
        self._key_reads.hurry()
        return ()

    def lease_renewed(self, lease_id: int, *, ttl_ms: int, sent_ms: int) -> KeyEffects:
        """Etcd's answer to a renewal; no time left: the lease is over."""
        self._lease.answered()
        if self.stage is not Stage.REIGNS or lease_id != self._lease.lease_id:
            return ()
        if ttl_ms <= 0:
            return self._ends("the lease has run out in etcd")
        self._lease.lasts(ttl_ms=ttl_ms, sent_ms=sent_ms)
        return ()

    def not_renewed(self) -> KeyEffects:
        """No answer; it is tried again as long as the lease lasts."""
        self._lease.unanswered()
        return ()

    # --- The list --------------------------------------------------------------------

    def followers(
        self,
        views: Iterable[FollowerView],
        *,
        promised: Offset,
        durable: Offset,
        now_ms: int,
    ) -> KeyEffects:
        """How the replicas fare: perhaps another list is wanted (see `SyncedNodes`)."""
        leader, synced = self._keys.leader, self.synced
        if self.stage is not Stage.REIGNS or synced is None or leader is None:
            return ()
        if synced.is_left:
            # Both hold all, nobody else can take the key: if the heir does not, this.
            self._not_before_ms = now_ms + self._own.ttl_s * 1000
            self._asked_to_stand = True
            return self._ends(f"{synced.heir} takes over")
        before = synced.listed
        wanted = synced.ask(views, promised=promised, durable=durable, now_ms=now_ms)
        if wanted is None:
            return ()
        # Required first: what is acknowledged after the request is sent must be on
        # every node that may stand in the list by then.
        change = ChangeList(leader, before, tuple(sorted(wanted)), synced.handed_over)
        return (Require(synced.required), change)

    def list_changed(self, of: LeaderKey, synced: SyncedKey) -> KeyEffects:
        """Etcd has confirmed the list that was asked for under the key `of`."""
        if self.synced is None or of != self._keys.leader:
            return ()
        self._keys = self._keys.held(of, synced)
        self.synced.changed(synced)
        told = Report(Level.INFO, "synced_nodes", ", ".join(synced.nodes))
        return (Require(self.synced.required), told)

    def list_refused(self, of: LeaderKey, keys: Keys) -> KeyEffects:
        """The leader key or the list is not what this node thought."""
        reigns = self.stage is Stage.REIGNS and of == self._keys.leader
        if self.synced is None or not reigns:
            return ()
        if keys.synced is not None:
            self.synced.refused(keys.synced)
        return self._seen_while_reigning(keys)

    def change_unanswered(self, of: LeaderKey) -> KeyEffects:
        """The list may change yet: nobody is left out until that is known."""
        if self.synced is not None and of == self._keys.leader:
            self.synced.unanswered()
        return ()

    # --- What the node did -----------------------------------------------------------

    def left(self, epoch: Epoch) -> KeyEffects:
        """Nothing more is received; `epoch` is the highest met until now."""
        self._epoch = max(self._epoch, epoch)
        self._move(Stage.GRANTED)
        return (GrantLease(self._own.ttl_s),)

    def reign_failed(self, reason: str, now_ms: int) -> KeyEffects:
        """The disk does not let it reign: somebody else shall."""
        self._not_before_ms = now_ms + self._own.dead_after_ms
        if self.stage is not Stage.REIGNS:
            return ()
        self.synced = None
        return self._gives_up(f"the reign could not begin: {reason}")

    def deposed(self, reason: str) -> KeyEffects:
        """A higher epoch was met: etcd has given the key to another node."""
        return self._ends(reason) if self.stage is Stage.REIGNS else ()

    def reign_ended(self) -> KeyEffects:
        """The writer has ended, and what was undecided is taken back."""
        self._move(Stage.FOLLOWS)
        self.synced = None
        self._key_reads.hurry()
        return (self._follow(),)

    def stopped(self) -> KeyEffects:
        """The process ends in order: the key is free at once for others."""
        return (RevokeLease(self._lease.lease_id),) if self._lease.lease_id else ()

    # --- How -------------------------------------------------------------------------

    def _follows(
        self, former: LeaderKey | None, now_ms: int, *, able: bool
    ) -> KeyEffects:
        leader = self._keys.leader
        if leader is None:
            if now_ms < self._not_before_ms or not (able and self._may_stand()):
                return ()
            self._move(Stage.LEAVES)
            return (Leave(),)
        if leader.node_id == self._own.node_id:
            # Of an earlier life of this node, which has ended: nobody uses it.
            return (RevokeLease(leader.lease_id),)
        self._asked_to_stand = False
        if former is None or former.revision != leader.revision:
            return (Follow(leader.address),)
        return ()

    def _may_stand(self) -> bool:
        """Whether the list lets this node take the key (etcd checks it again)."""
        if not ((self._own.stands and not self._keys.rests) or self._asked_to_stand):
            return False
        synced = self._keys.synced
        return self._own.founds if synced is None else self._own.node_id in synced.nodes

    def _takes(self) -> KeyEffects:
        # Etcd checks that no newer list is there, not that this node stands in it.
        if self._keys.leader is not None or not self._may_stand():
            return self._gives_up("")
        first = SyncedKey(nodes=(self._own.node_id,), epoch_base=self._epoch)
        return (TakeKey(self._lease.lease_id, self._keys.synced or first),)

    def _seen_while_taking(self, keys: Keys) -> KeyEffects:
        """After a request whose outcome was unknown."""
        return self._own_key(keys) or self._takes()

    def _own_key(self, keys: Keys) -> KeyEffects:
        """What follows if a request without an answer was carried out after all."""
        leader, synced = keys.leader, keys.synced
        if leader is None or synced is None or leader.lease_id != self._lease.lease_id:
            return ()
        return self.key_taken(leader, synced)

    def _seen_while_reigning(self, keys: Keys) -> KeyEffects:
        holder = keys.leader.lease_id if keys.leader else 0
        if holder != self._lease.lease_id or keys.synced is None:
            return self._ends("the leader key is no longer this node's")
        assert self.synced is not None, "a reign has a list"
        before = self.synced.required
        self.synced.seen(keys.synced)
        after = self.synced.required
        return (Require(after),) if after != before else ()

    def _ends(self, reason: str) -> KeyEffects:
        self._move(Stage.ENDS)
        lease_id = self._lease.given_up()
        return (EndReign(self._epoch, reason), RevokeLease(lease_id))

    def _gives_up(self, reason: str) -> KeyEffects:
        """On the way to the key; `reason` is empty where another node was faster."""
        self._move(Stage.FOLLOWS)
        lease_id = self._lease.given_up()
        revoked = (RevokeLease(lease_id),) if lease_id else ()
        report = (Report(Level.WARNING, "leader_key_not_taken", reason),)
        return (*revoked, *(report if reason else ()), self._follow())

    def _follow(self) -> Follow:
        return Follow(self._keys.address_but(self._own.node_id))

    def _move(self, stage: Stage) -> None:
        assert stage in MOVES[self.stage], f"no move: {self.stage} to {stage}"
        self.stage = stage
