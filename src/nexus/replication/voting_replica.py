"""A replica that votes: it leaves an older master, and takes what a witness lends."""

from msgspec.structs import replace

from nexus.model.position import Epoch, Offset, Position
from nexus.replication.effects import Effects
from nexus.replication.replica import Replica
from nexus.replication.settings import FETCHES


class VotingReplica(Replica):
    """A `Replica` with a say in who is master."""

    borrows = False
    """Whether it looks for, or takes entries of, a witness's log."""

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
        snapshot can mend the database.
        """
        at_work = self._link.awaits_disk or self._log.received != self._log.durable
        return not (at_work or self._intake.wanted)

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
