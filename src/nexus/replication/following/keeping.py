"""What a replica keeps of its own before it is taken back or replaced."""

from nexus.model.position import Offset
from nexus.replication.effects import Diverged, Effects
from nexus.replication.following.incoming import Incoming


class Keeping:
    """Entries that no other node has are kept once, however often it is tried."""

    def __init__(self, log: Incoming) -> None:
        self._log = log
        self._kept: tuple[Offset, Offset] | None = None

    def after(self, fork: Offset) -> Effects:
        """Keep the own entries after `fork`, if there are any and they are not yet."""
        end = self._log.received
        if end <= fork or self._kept == (fork, end):
            return ()
        self._kept = (fork, end)
        reason = f"the master's log has left this one after entry {fork}"
        return (Diverged(fork, reason),)

    def gone(self) -> None:
        """They are taken back: others may stand at their offsets one day."""
        self._kept = None
