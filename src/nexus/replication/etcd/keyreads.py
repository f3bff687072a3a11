"""When a node reads etcd's keys, and which answers still count."""


class KeyReads:
    """One read at a time, the next a while after the last."""

    def __init__(self, poll_ms: int) -> None:
        self._poll_ms = poll_ms
        self._asked_ms: int | None = None
        """When the last one began; None: the next is due at once."""
        self._is_asked = False
        self._is_stale = False
        """Whether the one under way began before something that outdates it."""

    def is_due(self, now_ms: int) -> bool:
        """Whether the keys are to be read now; then the read counts as under way."""
        asked_ms = self._asked_ms
        waits = asked_ms is not None and now_ms - asked_ms < self._poll_ms
        if self._is_asked or waits:
            return False
        self._asked_ms, self._is_asked = now_ms, True
        return True

    def ended(self) -> bool:
        """The one under way has ended; whether what it saw counts."""
        counts = not self._is_stale
        self._is_asked = self._is_stale = False
        return counts

    def outdate(self) -> None:
        """What the one under way will say, if there is one, counts no more."""
        self._is_stale = self._is_asked

    def hurry(self) -> None:
        """The next is due as soon as none is under way."""
        self._asked_ms = None
