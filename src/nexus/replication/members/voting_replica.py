"""A replica that votes: it leaves an older master, and takes what a witness lends."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from typing_extensions import override

from nexus.model.position import Epoch, Offset, Position
from nexus.protocol.messages import Error, Ping, WalEntry
from nexus.replication.effects import Effects
from nexus.replication.members.room import Room
from nexus.replication.replica import Replica
from nexus.replication.settings import (
    FETCHES,
    Identity,
    RecoveredState,
    ReplicaSettings,
)


class VotingReplica(Replica):
    """A `Replica` with a say in who is master."""

    borrows = False
    """Whether it looks for, or takes entries of, a witness's log."""

    def __init__(
        self,
        identity: Identity,
        settings: ReplicaSettings,
        recovered: RecoveredState,
        random: Callable[[], float],
    ) -> None:
        super().__init__(identity, settings, recovered, random)
        self.room = Room(settings.hold_bytes)

    @property
    def position(self) -> Position:
        """The end of its log, as far as it is synced: what its vote goes by."""
        return self._log.history.position_at(self._log.durable)

    @property
    def durable_offset(self) -> Offset:
        """The end of its log, as far as it is synced."""
        return self._log.durable

    @property
    def held_by_all(self) -> Offset:
        """What no candidate can lack: every voter holds it (hard-case 11)."""
        return self._log.held_by_all

    @property
    def is_settled(self) -> bool:
        """Whether a reign could begin here: log and database are in agreement.

        Not while a snapshot is installed or entries are taken back, nor while only a
        snapshot can mend the database. What could not be taken back harms no reign: all
        is as it was, and the master that wanted it gone may be dead.
        """
        at_work = self._link.awaits_disk or self._log.received != self._log.durable
        return not (at_work or self._full_sync.is_broken)

    @property
    def has_caught_up(self) -> bool:
        """Whether it holds what its master had when it was welcomed."""
        if self.borrows or not (self._link.streams and self.master):
            return False
        return self._log.durable >= self.master.current_offset

    def met(self, epoch: Epoch) -> Effects:
        """A higher epoch has begun: nothing of an older master is taken any more."""
        if self.borrows:
            return self.gives_back(epoch)
        if epoch <= self._epoch:
            return ()
        self._epoch = epoch
        if not self._link.is_welcome:
            return ()
        return self._link.given_up(f"epoch {epoch} has begun")

    def votes_now(self) -> Effects:
        """It is a voter by now: its acknowledgements count with the master alone."""
        leaves, self._cascades, self.homing = self.follows_replica, False, None
        if not leaves:
            return ()
        return self._link.given_up("a voter follows the master itself")

    @override
    def _refused(self, error: Error) -> Effects:
        """The only voter, too, looks for a master first, and has nobody else to ask."""
        if self._link.address == self._identity.address:
            return self._link.given_up("no other node to follow is known")
        return super()._refused(error)

    def drops_unstored(self) -> bool:
        """Whether what has no room is given up: its master has gone, or is deposed.

        It was acknowledged to nobody, and this node's vote goes by what is stored. Else
        the vote would wait behind it, and all the voters that have room with it.
        """
        if self._link.is_welcome or self._link.awaits_welcome:
            return False
        self._log.rewound(self._log.durable)
        return True

    # --- What a witness has room for -------------------------------------------------

    @property
    @override
    def is_full(self) -> bool:
        return self.room.is_full

    def sized(self, size_bytes: int, now_ms: int) -> Effects:
        """The log takes so much of the disk; the master hears of a cap at once."""
        was_full = self.is_full
        told = self.room.sized(size_bytes)
        return (*told, *self._goes_on_with_room(now_ms, was_full=was_full))

    @override
    def connected_to_master(self, now_ms: int) -> Effects:
        self.room.has_dropped = False
        return super().connected_to_master(now_ms)

    @override
    def receive_entries(self, entries: Sequence[WalEntry], now_ms: int) -> Effects:
        """At its cap it leaves them: what is not stored is not acknowledged."""
        if not (self._link.streams and self.room.is_full):
            return super().receive_entries(entries, now_ms)
        self._link.heard(now_ms)
        self.room.has_dropped = True
        return ()

    @override
    def _pinged(self, ping: Ping, now_ms: int) -> Effects:
        effects, was_full = super()._pinged(ping, now_ms), self.is_full
        self.room.lifted(lifted=ping.overrun)
        return (*effects, *self._goes_on_with_room(now_ms, was_full=was_full))

    def _goes_on_with_room(self, now_ms: int, *, was_full: bool) -> Effects:
        """The stream begins anew where this log ends, if entries were left since then.

        If none were, the master is only told whether there is room.
        """
        room = self.room
        if room.is_full or not (room.has_dropped and self._link.streams):
            told = room.is_full is not was_full
            return self._acknowledged(now_ms) if told else ()
        reason = "the log has room again: connecting anew"
        return self._link.given_up(reason, instead=self._link.same_master())

    # --- What a candidate borrows ----------------------------------------------------

    @property
    def has_borrowed_all(self) -> bool:
        """Whether everything that the lender has is durable here."""
        if not (self.borrows and self._link.streams and self.master):
            return False
        return self._log.durable >= self.master.current_offset

    def borrow(self, address: str) -> Effects:
        """Take from the log at `address` what this one lacks; nothing is applied.

        The lender is no master: what counts is the epoch of the entries.
        """
        self.borrows = True
        self._epoch = self._log.history.epoch
        self._identity = replace(
            self._identity, features=(*self._identity.features, FETCHES)
        )
        lender = self._link.other_master(address, at_once=True)
        return self._link.given_up("a witness's log has more", instead=lender)

    def gives_back(self, epoch: Epoch) -> Effects:
        """The loan has ended; from now on only a master of `epoch` counts."""
        self.borrows = False
        self._epoch = epoch
        features = tuple(one for one in self._identity.features if one != FETCHES)
        self._identity = replace(self._identity, features=features)
        return self._link.given_up("the loan has ended")
