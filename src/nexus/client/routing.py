"""Decide whom a client asks next, and when: the master, a replica, or the nearest node.

A pure machine: it is told what became of each try, and the time; it opens nothing.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import msgspec

from nexus.client.target import ReadFrom

FIRST_PAUSE_MS: Final = 20
LONGEST_PAUSE_MS: Final = 1_000
"""Between two tries of a node that did not answer; it doubles from the first."""

CUT_OFF_MS: Final = 1_000
"""A master that was not reached for so long is asked through its replicas."""

NO_MASTER_PAUSE_MS: Final = 50
"""Before a node that is no master is asked again whether it is one by now."""


class Purpose(Enum):
    """What a node is looked for."""

    WRITE = auto()
    READ = auto()


class Try(msgspec.Struct, frozen=True):
    """Ask this node."""

    address: str


class Wait(msgspec.Struct, frozen=True):
    """Nobody is worth asking before then."""

    until_ms: int


@dataclass(slots=True)
class _Known:
    """What is known of one node."""

    tried_ms: int = -1
    failures: int = 0
    failing_since_ms: int = 0
    """When the first of the tries was begun that have failed in a row."""
    ready_ms: int = 0
    """When it may be asked for anything."""
    master_ready_ms: int = 0
    """When it may be asked whether it is the master."""
    is_master: bool = False
    round_trip_us: int = -1
    """-1: not measured yet."""


class Routing:
    """The nodes of one cluster as one client knows them."""

    def __init__(self, addresses: tuple[str, ...], read: ReadFrom) -> None:
        self._read = read
        self._nodes = {address: _Known() for address in addresses}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every node that was named, by the user or by another node."""
        return tuple(self._nodes)

    @property
    def master(self) -> str:
        """The node that said last that it is the master, or was named as such."""
        return next((a for a, node in self._nodes.items() if node.is_master), "")

    def next(self, purpose: Purpose, now_ms: int) -> Try | Wait:
        """Whom to ask now, or until when to wait."""
        ready = {a: self._ready_ms(n, purpose) for a, n in self._nodes.items()}
        able = [address for address, ready_ms in ready.items() if ready_ms <= now_ms]
        if not able:
            return Wait(min(ready.values()))
        chosen = min(able, key=lambda address: self._rank(address, purpose))
        self._nodes[chosen].tried_ms = now_ms
        return Try(chosen)

    def unmeasured(self) -> tuple[str, ...]:
        """Whom to ask once before the nearest is known, where that matters."""
        if self._read is not ReadFrom.NEAREST:
            return ()
        return tuple(
            address
            for address, node in self._nodes.items()
            if node.round_trip_us < 0 and not node.failures
        )

    def suits(self, address: str, purpose: Purpose) -> bool:
        """Whether a connection to this node is one to go on using."""
        return self._nodes[address].is_master or not self._wants_master(purpose)

    def is_cut_off(self, now_ms: int) -> bool:
        """Whether a master is named, and has not been reached for a while."""
        known = self._nodes.get(self.master)
        if known is None or not known.failures:
            return False
        return now_ms - known.failing_since_ms >= CUT_OFF_MS

    def attached(
        self, address: str, *, is_master: bool, master_addr: str, round_trip_us: int
    ) -> None:
        """It answered, and said who the master is (itself, another, or "": nobody)."""
        node = self._nodes[address]
        node.failures, node.round_trip_us = 0, round_trip_us
        if is_master:
            self._reigns(address)
        elif master_addr and master_addr != address:
            node.is_master = False
            self._nodes.setdefault(master_addr, _Known())
            self._reigns(master_addr)
        else:
            node.is_master = False

    def failed(self, address: str, now_ms: int) -> None:
        """It did not answer, or its connection broke."""
        node = self._nodes[address]
        pause = min(FIRST_PAUSE_MS << min(node.failures, 10), LONGEST_PAUSE_MS)
        if not node.failures:
            node.failing_since_ms = now_ms if node.tried_ms < 0 else node.tried_ms
        node.failures += 1
        node.ready_ms = now_ms + pause
        node.is_master = False

    def no_master(self, address: str, now_ms: int) -> None:
        """It takes no writes just now."""
        node = self._nodes[address]
        node.is_master = False
        node.master_ready_ms = now_ms + NO_MASTER_PAUSE_MS

    def behind(self, address: str, now_ms: int) -> None:
        """It has not applied what was to be read: another may have."""
        self._nodes[address].ready_ms = now_ms + NO_MASTER_PAUSE_MS

    def _reigns(self, address: str) -> None:
        for other, node in self._nodes.items():
            node.is_master = other == address

    def _ready_ms(self, node: _Known, purpose: Purpose) -> int:
        if self._wants_master(purpose):
            return max(node.ready_ms, node.master_ready_ms)
        return node.ready_ms

    def _wants_master(self, purpose: Purpose) -> bool:
        return purpose is Purpose.WRITE or self._read is ReadFrom.MASTER

    def _rank(self, address: str, purpose: Purpose) -> tuple[int, int, int]:
        """The least is asked first."""
        node = self._nodes[address]
        if self._wants_master(purpose):
            return (not node.is_master, node.tried_ms, 0)
        if self._read is ReadFrom.REPLICA:
            return (node.is_master, node.failures, node.tried_ms)
        measured = max(node.round_trip_us, 0)
        return (node.failures, measured, node.tried_ms)
