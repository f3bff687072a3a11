"""The session of a connection to a cluster over the network.

It finds the master, follows it through failovers, and sends again what can be sent
again: queries, and writes under an id that a node does once. What became of a COMMIT
whose answer was lost is asked for by such an id as well.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from nexus.client.changes import Changes, Wanted
from nexus.client.exchange import Exchange
from nexus.client.feedlink import FeedLink
from nexus.client.link import Link, LinkLostError
from nexus.client.links import Links, now_ms
from nexus.client.routing import Purpose
from nexus.client.session import Result, Statement
from nexus.client.target import Target, read_target
from nexus.client.trust import NOTHING_SAID, Trust
from nexus.errors import (
    ConnectionLostError,
    NexusError,
    NoDatabaseError,
    NodeStoppedError,
    NoMasterError,
    NotAppliedError,
    OutcomeUnknownError,
    QuorumLostError,
    ReadOnlyReplicaError,
    RequestError,
    StatementError,
    TransactionExpiredError,
    TransactionLostError,
    WritesStoppedError,
)
from nexus.errors.sqlite import interrupted
from nexus.model.position import NO_OFFSET, Position
from nexus.model.statements import StatementKind, classify
from nexus.protocol.calls import (
    Begin,
    Commit,
    Done,
    Recall,
    Rollback,
)

ELSEWHERE: Final = (
    NoMasterError,
    NodeStoppedError,
    QuorumLostError,
    ReadOnlyReplicaError,
    WritesStoppedError,
)
"""Nothing happened at this node, and another, or this one later, may do it."""

MASTERS_REASON: Final = (QuorumLostError, WritesStoppedError)
"""Said by a master that stands: there is no other, and this is why it takes nothing."""

UNDECIDED_PAUSE_S: Final = 0.05
"""Before a write is asked for again whose outcome its node does not know yet."""


Found = TypeVar("Found")


class RemoteSession:
    """Statements for one cluster; for one thread at a time but for `interrupt`."""

    def __init__(self, target: Target) -> None:
        self.foreign_keys = True
        self._target = target
        self._links = Links(target)
        self._exchange = Exchange()
        self._transaction: _Transaction | None = None

    @classmethod
    def open(
        cls,
        url: str,
        *,
        timeout_s: float | None = None,
        secret: str = "",
        trust: Trust = NOTHING_SAID,
    ) -> "RemoteSession":
        """Connect to the first node that answers.

        Raises RequestError for a URL that is none, NoMasterError where no node answers
        in time, HandshakeRefusedError where one refuses for good.
        """
        target = read_target(url, timeout_s=timeout_s, secret=secret, trust=trust)
        session = cls(target)
        try:
            session._links.find(Purpose.READ, session._deadline_ms())
        except BaseException:
            session.close()
            raise
        return session

    @property
    def last_position(self) -> Position | None:
        """Where the last committed write of this session stands in the log."""
        return self._exchange.last_position

    @property
    def in_transaction(self) -> bool:
        """Whether this session holds the writer, as far as it has been told."""
        return self._transaction is not None

    # --- Outside of a transaction -----------------------------------------------------

    def read(self, statement: Statement) -> Result:
        """Run a query where the URL says; it sees this session's own writes."""
        self._links.halt.clear()
        deadline_ms = self._deadline_ms()
        while True:
            link = self._links.find(Purpose.READ, deadline_ms)
            known = self.last_position
            # Who has taken the last write holds it. A master of once may be behind.
            holds = known is None or self._links.takes_writes(link)
            at_least = NO_OFFSET if holds or known is None else known.offset
            try:
                return self._exchange.execute(link, [statement], at_least)[0]
            except LinkLostError as error:
                self._links.lost(link)
                self._check(deadline_ms, ConnectionLostError(f"the query: {error}"))
            except (NodeStoppedError, NoDatabaseError) as error:
                self._links.lost(link)
                self._check(deadline_ms, error)
            except NotAppliedError as error:
                self._links.behind(link)
                self._check(deadline_ms, error)

    def changes(self, wanted: Wanted) -> Changes:
        """The change feed, over HTTP: of the node that answers queries, then others."""
        link = self._links.find(Purpose.READ, self._deadline_ms())
        if not link.attached.http_url:
            raise RequestError(
                f"the node at {link.address} is part of an application and listens for "
                "no HTTP, over which the feed is read: name other nodes in the URL, or "
                "read the feed in that application"
            )
        return Changes(
            FeedLink(self._target.secret, wanted.heartbeat_s, self._target.tls),
            [link.attached.http_url],
            wanted,
            timeout_s=self._target.timeout_s,
        )

    def run(self, statements: Sequence[Statement]) -> list[Result]:
        """Run these as one transaction; done once, however often it is sent."""
        transaction_id = uuid.uuid4().hex
        return self._write(
            lambda link: self._exchange.execute(
                link,
                statements,
                transaction_id=transaction_id,
                foreign_keys=self.foreign_keys,
            )
        )

    def run_alone(self, statement: Statement) -> Result:
        """Run what no transaction can hold; done twice it does no harm."""
        found = self._write(
            lambda link: self._exchange.execute(
                link, [statement], foreign_keys=self.foreign_keys
            )
        )
        return found[0]

    def _write(self, attempt: Callable[[Link], Found]) -> Found:
        """Have the master do it; again, elsewhere, until it is known to be done."""
        self._links.halt.clear()
        deadline_ms = self._deadline_ms()
        unknown: OutcomeUnknownError | None = None
        refused: NexusError | None = None
        while True:
            try:
                link = self._links.find(Purpose.WRITE, deadline_ms)
            except NoMasterError as error:
                raise unknown or refused or error from None
            except StatementError as error:
                raise unknown or error from None
            try:
                return attempt(link)
            except LinkLostError as error:
                self._links.lost(link)
                unknown = OutcomeUnknownError(
                    f"the write was sent, and no answer came back ({error}): it may be "
                    "done or not; read whether it is there",
                    offset=unknown.offset if unknown else 0,
                )
                self._check(deadline_ms, unknown)
            except ELSEWHERE as error:
                self._links.no_master(link)
                self._check(deadline_ms, unknown or error)
                refused = error if isinstance(error, MASTERS_REASON) else None
            except OutcomeUnknownError as error:
                unknown = error
                self._check(deadline_ms, unknown)
                self._links.halt.wait(UNDECIDED_PAUSE_S)

    # --- A transaction ----------------------------------------------------------------

    def begin(self) -> None:
        """Wait for the master's writer, and hold it."""
        transaction_id = uuid.uuid4().hex

        def attempt(link: Link) -> "_Transaction":
            request_id = self._exchange.new_id()
            begin = Begin(request_id, transaction_id, self.foreign_keys)
            self._exchange.done(link, request_id, begin)
            return _Transaction(link, request_id, transaction_id)

        try:
            self._transaction = self._write(attempt)
        except OutcomeUnknownError as error:
            # Whatever was begun ended with its connection.
            raise NoMasterError(f"no transaction was begun: {error}") from error

    def run_inside(self, statement: Statement) -> Result:
        """Run a statement in the open transaction.

        Raises TransactionLostError where its node is gone: nothing of it happened.
        """
        held = self._held
        if classify(statement.sql) is not StatementKind.READ:
            held.wrote = True
        try:
            found = self._exchange.execute(held.link, [statement], within=held.number)
        except LinkLostError as error:
            self._transaction = None
            self._links.lost(held.link)
            raise _lost(error) from error
        except ELSEWHERE as error:
            self._transaction = None
            self._links.no_master(held.link)
            raise _lost(error) from error
        except NexusError:
            if self._exchange.ended:
                self._transaction = None
            raise
        return found[0]

    def commit(self) -> None:
        """Commit the open transaction; durable on return.

        Raises TransactionLostError where nothing of it happened because its node is
        gone, OutcomeUnknownError where nobody could tell in time.
        """
        held, self._transaction = self._held, None
        request_id = self._exchange.new_id()
        try:
            done = self._exchange.done(
                held.link, request_id, Commit(request_id, held.number)
            )
        except LinkLostError as error:
            self._links.lost(held.link)
            done = self._recall(held, error)
        except OutcomeUnknownError as error:
            done = self._recall(held, error)
        except ELSEWHERE as error:
            self._links.no_master(held.link)
            raise _lost(error) from error
        self._exchange.remember(done)

    def _recall(self, held: "_Transaction", cause: Exception) -> Done:
        """Ask whoever is the master by now what became of a commit."""
        if not held.wrote:
            return Done(0)

        def attempt(link: Link) -> Done:
            request_id = self._exchange.new_id()
            recall = Recall(request_id, held.transaction_id)
            return self._exchange.done(link, request_id, recall)

        try:
            done = self._write(attempt)
        except (StatementError, OutcomeUnknownError, *ELSEWHERE) as error:
            raise OutcomeUnknownError(
                f"COMMIT was sent, and no master has told what became of it, within "
                f"{self._target.timeout_s:g} s or until interrupted ({cause}; "
                f"{error}): it may be done or not; read whether it is there",
                offset=getattr(cause, "offset", 0),
            ) from cause
        if not done.offset:
            raise _lost(cause)
        return done

    def rollback(self) -> None:
        """Take the open transaction back; with its connection, it ends in any case."""
        held, self._transaction = self._transaction, None
        if held is None:
            return
        request_id = self._exchange.new_id()
        try:
            self._exchange.done(
                held.link, request_id, Rollback(request_id, held.number)
            )
        except (LinkLostError, *ELSEWHERE):
            self._links.lost(held.link)

    def interrupt(self) -> None:
        """End the statement that runs, with an error; from any thread."""
        self._links.halt.set()
        self._exchange.interrupt()

    def close(self) -> None:
        """Let go of all nodes; what is not committed is taken back, what runs ends."""
        self._links.halt.set()
        self._transaction = None
        self._links.close()

    @property
    def _held(self) -> "_Transaction":
        if self._transaction is None:
            raise TransactionExpiredError("no transaction is open; begin a new one")
        return self._transaction

    def _deadline_ms(self) -> int:
        return now_ms() + round(self._target.timeout_s * 1000)

    def _check(self, deadline_ms: int, error: NexusError) -> None:
        """Raise the error if there is no time, or no wish, for another try."""
        if now_ms() >= deadline_ms:
            raise error
        if self._links.halt.is_set():
            raise error if isinstance(error, OutcomeUnknownError) else interrupted()


class _Transaction:
    """An interactive transaction at its master."""

    def __init__(self, link: Link, number: int, transaction_id: str) -> None:
        self.link = link
        self.number = number
        self.transaction_id = transaction_id
        self.wrote = False


def _lost(cause: Exception) -> TransactionLostError:
    return TransactionLostError(
        f"the transaction's node is gone, and nothing of it happened ({cause}); run it "
        "again from its beginning"
    )
