"""The lease under which a node holds the leader key: until when it surely lasts."""

from typing import Final

RENEWALS_PER_LEASE: Final = 4


class KeyLease:
    """One lease of etcd's; counted from the sending of what etcd answered."""

    def __init__(self, *, ttl_s: int, drift_percent: int) -> None:
        self.ttl_s = ttl_s
        self._drift_percent = drift_percent
        self._asked_ms = 0
        self._is_asked = False
        self.lease_id = 0
        """0 while there is none."""
        self.sent_ms = 0
        """When the request was sent that etcd answered last."""
        self.until_ms = 0
        """Before this moment no other node can have the key."""

    def granted(self, lease_id: int, *, ttl_ms: int, sent_ms: int) -> None:
        """A new lease."""
        self.lease_id = lease_id
        self.until_ms = 0
        self._is_asked = False
        self.lasts(ttl_ms=ttl_ms, sent_ms=sent_ms)

    def lasts(self, *, ttl_ms: int, sent_ms: int) -> None:
        """Etcd gave it so long, at some moment after the sending."""
        self.sent_ms = self._asked_ms = sent_ms
        usable_ms = ttl_ms * (100 - self._drift_percent) // 100
        self.until_ms = max(self.until_ms, sent_ms + usable_ms)

    def is_over(self, now_ms: int) -> bool:
        """Whether there was a lease, and others may have the key by now."""
        return self.lease_id != 0 and now_ms >= self.until_ms

    def given_up(self) -> int:
        """There is none any more; returns which one it was, 0 for none."""
        lease_id, self.lease_id, self.until_ms = self.lease_id, 0, 0
        return lease_id

    def is_due(self, now_ms: int) -> bool:
        """Whether it is to be renewed now; then the request counts as under way."""
        every_ms = self.ttl_s * 1000 // RENEWALS_PER_LEASE
        if self._is_asked or now_ms - self._asked_ms < every_ms:
            return False
        self._asked_ms, self._is_asked = now_ms, True
        return True

    def answered(self) -> None:
        """A renewal was answered."""
        self._is_asked = False

    def unanswered(self) -> None:
        """A renewal was not: it is due at once."""
        self._is_asked = False
        self._asked_ms -= self.ttl_s * 1000
