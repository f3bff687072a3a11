"""What a witness's log may take of its disk, and what happens at the end of that.

At its cap a witness stays connected, answers heartbeats and votes, but neither stores
nor acknowledges an entry (hard-case 11): what it would have to drop for it, another
voter lacks. A change of the voters passes all the same, for it may be the way out.
"""

from typing import Final

from nexus.replication.effects import Effects, Level, Report

FREE_AGAIN: Final = 8
"""An eighth of the cap must be free before entries are taken again."""


class Room:
    """How full the log is; the driver says what it takes of the disk."""

    def __init__(self, most_bytes: int) -> None:
        """0: as much as it likes."""
        self._most = most_bytes
        self._is_lifted = False
        self._has_warned = False
        self.complaint = ""
        """For the operator, while the cap is reached; else empty."""
        self.has_dropped = False
        """Whether entries of this connection came and were not stored."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more is stored."""
        return bool(self.complaint) and not self._is_lifted

    def sized(self, size_bytes: int) -> Effects:
        """The log takes so much of the disk by now."""
        if not self.complaint and self._most and size_bytes >= self._most:
            self._has_warned = True
            self.complaint = (
                f"the log takes {size_bytes} bytes, replication.hold_size allows "
                f"{self._most}: it holds what another voter lacks, so this witness "
                "acknowledges nothing more until that voter has returned or is removed"
            )
            return (Report(Level.ERROR, "witness_full", self.complaint),)
        least_free = self._most // FREE_AGAIN
        if self.complaint and size_bytes <= self._most - least_free:
            self.complaint = ""
            detail = f"the log takes {size_bytes} bytes of {self._most} by now"
            return (Report(Level.INFO, "witness_roomy", detail),)
        return self._warned(size_bytes)

    def _warned(self, size_bytes: int) -> Effects:
        """Once, in time: from half of the cap on only what others lack is kept."""
        half = self._most // 2
        if size_bytes <= half:
            self._has_warned = False
        if not self._most or self._has_warned or size_bytes <= half + half // 2:
            return ()
        self._has_warned = True
        detail = (
            f"the log takes {size_bytes} bytes of the {self._most} that "
            "replication.hold_size allows, because another voter lacks entries of it: "
            "bring that voter back or remove it before this witness stops"
        )
        return (Report(Level.WARNING, "witness_fills", detail),)

    def lifted(self, *, lifted: bool) -> None:
        """Whether its master wants entries stored even so."""
        self._is_lifted = lifted
