"""What a node hears of its master, and whether it leaves it neither late nor early."""

from typing import TYPE_CHECKING

from nexus.replication.following.link import SIGN_BYTES
from sim.checkers import RuleError

if TYPE_CHECKING:
    from sim.node import Process

HEARTBEAT_MS = 100
DEAD_AFTER_MS = 3 * HEARTBEAT_MS


class Hearing:
    """One node's ear, on its own clock."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._heard_ms = 0
        self._bytes = 0
        self.parts = 0
        """How often a part of a message has come, and not the end of it."""

    def hears(self) -> None:
        """A whole message has come, or a connection stands."""
        self._heard_ms, self._bytes = self._process.now(), 0

    def hears_part(self, size_bytes: int) -> None:
        """Of a message that is still on its way."""
        self.parts += 1
        self._bytes += size_bytes
        if self._bytes >= SIGN_BYTES:
            self.hears()

    def check(self, *, was_connected: bool) -> None:
        """After a tick: a silent master was left just then, and no other."""
        process = self._process
        replica = process.member.replica
        if replica is None or not was_connected:
            return
        silent_ms = process.now() - self._heard_ms
        if replica.is_connected and silent_ms > DEAD_AFTER_MS:
            raise RuleError(
                f"{process.name} stays with a master of whom not even {SIGN_BYTES} "
                f"bytes have come for {silent_ms} ms"
            )
        left = not replica.is_connected and "nothing heard" in replica.last_error
        if left and silent_ms <= DEAD_AFTER_MS:
            raise RuleError(
                f"{process.name} takes its master for dead, and has heard of it "
                f"{silent_ms} ms ago"
            )
