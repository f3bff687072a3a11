"""Keep connections to the nodes of a cluster, one to each that is of use; it blocks."""

import threading
import time
from typing import Final

from nexus.client.link import Link, LinkLostError, UnfitError
from nexus.client.routing import CUT_OFF_MS, Purpose, Routing, Wait
from nexus.client.target import Target
from nexus.errors import HandshakeRefusedError, NoMasterError
from nexus.errors.sqlite import interrupted

CONNECT_TIMEOUT_S: Final = 5.0
"""For one node; another may answer sooner than this one."""


def now_ms() -> int:
    """A clock that never goes back."""
    return time.monotonic_ns() // 1_000_000


class Links:
    """Finds the node for a purpose, and waits for one as long as it may."""

    def __init__(self, target: Target) -> None:
        self.routing = Routing(target.addresses, target.read)
        self._target = target
        self._open: dict[str, Link] = {}
        self._of: dict[Purpose, Link] = {}
        self.halt = threading.Event()
        """Set by any thread: end the search."""
        self._is_closed = False
        self._passage_ready_ms = 0
        """When a replica may be asked again for a passage to its master."""
        self._refused: dict[str, str] = {}
        """Whom no other try would reach, and why; since one last did."""

    def find(self, purpose: Purpose, deadline_ms: int) -> Link:
        """A link to a node that suits; raises NoMasterError after the deadline.

        HandshakeRefusedError where a node refuses this client for good, StatementError
        where the search was halted.
        """
        link = self._of.get(purpose)
        if link is not None and not link.is_lost:
            return link
        self._require_going()
        if purpose is Purpose.READ:
            self._measure()
        reason = "none has been asked"
        while True:
            step = self.routing.next(purpose, now_ms())
            if isinstance(step, Wait):
                if step.until_ms >= deadline_ms:
                    raise self._nobody(purpose, reason)
                self.halt.wait(max(0, step.until_ms - now_ms()) / 1000)
                self._require_going()
                continue
            found = self._try(step.address, purpose, deadline_ms)
            self._require_going()
            if isinstance(found, Link):
                self._of[purpose] = found
                return found
            reason = found
            if now_ms() >= deadline_ms:
                raise self._nobody(purpose, reason)

    def _try(self, address: str, purpose: Purpose, deadline_ms: int) -> Link | str:
        """A link to this node if it suits, else the reason why not."""
        try:
            link = self._link(address, deadline_ms)
        except LinkLostError as error:
            self.routing.failed(address, now_ms())
            self._note(address, error)
            return str(error)
        if self.routing.suits(address, purpose):
            return link
        self._drop(link)
        if self.routing.is_cut_off(now_ms()):
            passed_on = self._passed_on(address, deadline_ms)
            if passed_on is not None:
                return passed_on
        self.routing.no_master(address, now_ms())
        return f"{address} is no master just now"

    def _passed_on(self, address: str, deadline_ms: int) -> Link | None:
        """A link to the master, through this replica of it; None: it cannot be had."""
        for kept in self._of.values():
            if kept.is_passed_on and not kept.is_lost:
                return kept
        if now_ms() < self._passage_ready_ms:
            return None
        self._passage_ready_ms = now_ms() + CUT_OFF_MS
        try:
            link = self._opened(address, deadline_ms, to_master=True)
        except LinkLostError:
            return None
        if link.is_master:
            return link
        link.close()
        return None

    def takes_writes(self, link: Link) -> bool:
        """Whether it is the one that writes go over just now."""
        return self._of.get(Purpose.WRITE) is link

    def lost(self, link: Link) -> None:
        """The connection broke."""
        self.routing.failed(link.address, now_ms())
        self._drop(link)

    def no_master(self, link: Link) -> None:
        """The node takes no writes any more, or not just now."""
        self.routing.no_master(link.address, now_ms())
        self._drop(link)

    def behind(self, link: Link) -> None:
        """The node is not as far as was asked for."""
        self.routing.behind(link.address, now_ms())
        self._of.pop(Purpose.READ, None)

    def close(self) -> None:
        """Let go of all nodes, for good."""
        self._is_closed = True
        for link in {*self._open.values(), *self._of.values()}:
            link.close()
        self._open.clear()
        self._of.clear()

    def _measure(self) -> None:
        """Ask every node once, so that the nearest is known."""
        for address in self.routing.unmeasured():
            try:
                self._link(address, now_ms() + round(CONNECT_TIMEOUT_S * 1000))
            except LinkLostError as error:
                self.routing.failed(address, now_ms())
                self._note(address, error)

    def _note(self, address: str, error: LinkLostError) -> None:
        """Another node may be reached; if no try would reach any, say so now."""
        if isinstance(error, UnfitError):
            self._refused[address] = str(error)
            if self._refused.keys() >= set(self.routing.addresses):
                reasons = "; ".join(self._refused.values())
                raise HandshakeRefusedError(reasons, reason=error.reason)

    def _link(self, address: str, deadline_ms: int) -> Link:
        link = self._open.get(address)
        if link is not None and not link.is_lost:
            return link
        link = self._opened(address, deadline_ms)
        self._refused.pop(address, None)
        told = link.attached
        self._open[address] = link
        self.routing.attached(
            address,
            is_master=link.is_master,
            master_addr=told.master_addr,
            round_trip_us=link.round_trip_us,
        )
        return link

    def _opened(
        self, address: str, deadline_ms: int, *, to_master: bool = False
    ) -> Link:
        target, left_s = self._target, max(0.05, (deadline_ms - now_ms()) / 1000)
        return Link.open(
            address,
            target.secret,
            timeout_s=min(CONNECT_TIMEOUT_S, left_s),
            database=target.database,
            tls=target.tls,
            to_master=to_master,
        )

    def _drop(self, link: Link) -> None:
        link.close()
        if self._open.get(link.address) is link:
            del self._open[link.address]
        self._of = {p: kept for p, kept in self._of.items() if kept is not link}

    def _require_going(self) -> None:
        if self._is_closed:
            self.close()  # what was opened meanwhile
        if self.halt.is_set() or self._is_closed:
            raise interrupted()

    def _nobody(self, purpose: Purpose, reason: str) -> NoMasterError:
        what = "takes writes" if purpose is Purpose.WRITE else "answers queries"
        return NoMasterError(
            f"no node of {', '.join(self.routing.addresses)} {what} "
            f"within {self._target.timeout_s:g} s; nothing happened; the last one "
            f"asked: {reason}"
        )
