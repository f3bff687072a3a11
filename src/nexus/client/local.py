"""The session of a data directory on this machine: reads its file, writes to its node.

Queries outside a transaction read the database's file in this process, and need no
node to run. All else goes to the node whose directory it is, or from there to the
master; a query then waits until the file holds what this session has written.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from nexus.client.changes import ChangesSource, Feed, Wanted
from nexus.client.reading import Reader
from nexus.client.session import Result, Session, Statement
from nexus.errors import NodeStoppedError, NoMasterError, NotAppliedError
from nexus.errors.sqlite import interrupted, overtaken
from nexus.model.position import Offset, Position

TIMEOUT_S: Final = 5.0
"""How long a query waits for its session's own writes to reach the file."""

_LOOK_AGAIN_S: Final = 0.002

_POSITION: Final = Statement('select "offset" from nexus_position')

_LONGEST_LOCK: Final = 1_024

Answer = TypeVar("Answer")

Remote = Callable[[str], Session]
"""Makes a session with the node at an address; nobody is asked before its first call,
so that `interrupt` reaches it while it looks for a node."""


class LocalSession:
    """Reads the file of one data directory, and writes through its node."""

    def __init__(
        self, directory: Path, remote: Remote, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Raises NoDatabaseError where there is no database to read."""
        self._directory = directory
        self._remote = remote
        self._timeout_s = timeout_s
        self._reader = Reader(directory / "nexus.db")
        self._node: Session | None = None
        self._left_at: Position | None = None
        """The last write through a node's session that was let go since."""
        self._foreign_keys = True
        self._held: int | None = None
        """The applied offset of the state that is held."""
        self._halt = threading.Event()
        """Set by any thread: wait no longer for the file."""
        self._awaited: Offset | None = None
        """The last write of this session, until the file was seen to hold it."""

    @property
    def foreign_keys(self) -> bool:
        """Whether the next `begin` or `run` enforces them."""
        return self._foreign_keys

    @foreign_keys.setter
    def foreign_keys(self, enforced: bool) -> None:
        self._foreign_keys = enforced
        if self._node is not None:
            self._node.foreign_keys = enforced

    @property
    def last_position(self) -> Position | None:
        """Where the last committed write of this session stands in the log."""
        known = None if self._node is None else self._node.last_position
        return known or self._left_at

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open at the node."""
        return self._node is not None and self._node.in_transaction

    def read(self, statement: Statement) -> Result:
        """Run a query on the file."""
        if self._awaited is not None:
            self._await_own_writes(self._awaited)
        return self._reader.read(statement)

    def changes(self, wanted: Wanted) -> Feed:
        """The change feed of the node whose directory it is."""
        node = self._connected()
        assert isinstance(node, ChangesSource), "every node has a feed"
        try:
            return node.changes(wanted)
        except NoMasterError:
            self._forget_node(node)
            raise

    def run(self, statements: Sequence[Statement]) -> list[Result]:
        """Run these as one transaction at the master."""
        return self._written(lambda node: node.run(statements))

    def run_alone(self, statement: Statement) -> Result:
        """Run what no transaction can hold."""
        return self._written(lambda node: node.run_alone(statement))

    def begin(self) -> None:
        """Begin a transaction at the master."""
        node = self._connected()
        self._written(lambda node: node.begin())
        if self._held is not None and self._held != self._applied(node.run_inside):
            node.rollback()
            raise overtaken()
        self.let_go()

    def hold(self) -> None:
        """Have `read` answer from the file as it is now."""
        if self._awaited is not None:
            self._await_own_writes(self._awaited)
        self._reader.hold()
        try:
            self._held = self._applied(self._reader.read)
        except BaseException:
            self._reader.let_go()
            raise

    def let_go(self) -> None:
        """Have `read` see the last commit again."""
        if self._held is not None:
            self._held = None
            self._reader.let_go()

    def run_inside(self, statement: Statement) -> Result:
        """Run a statement in the open transaction, queries too."""
        return self._begun.run_inside(statement)

    def commit(self) -> None:
        """Commit the open transaction; durable on return."""
        self._written(lambda node: node.commit())

    def rollback(self) -> None:
        """Take the open transaction back, if there is one."""
        if self._node is not None:
            self._node.rollback()

    def interrupt(self) -> None:
        """End what runs; from any thread."""
        self._halt.set()
        self._reader.interrupt()
        if self._node is not None:
            self._node.interrupt()

    def close(self) -> None:
        """Take back what is not committed, and close the file."""
        try:
            if self._node is not None:
                self._node.close()
        finally:
            self._reader.close()

    @property
    def _begun(self) -> Session:
        assert self._node is not None, "whoever asks began a transaction"
        return self._node

    def _connected(self) -> Session:
        """The node's session, made where none is."""
        if self._node is None:
            self._node = self._remote(self._address())
            self._node.foreign_keys = self._foreign_keys
        return self._node

    def _written(self, call: Callable[[Session], Answer]) -> Answer:
        """Ask the node, and note what the file must hold from now on."""
        node = self._connected()
        before = node.last_position
        try:
            return call(node)
        except (NoMasterError, NodeStoppedError):
            self._forget_node(node)
            raise
        finally:
            if node.last_position is not None and node.last_position != before:
                self._awaited = node.last_position.offset

    def _forget_node(self, node: Session) -> None:
        """It may come back elsewhere: the next write asks the directory again."""
        if not node.in_transaction:
            self._left_at = node.last_position or self._left_at
            self._node = None
            node.close()

    @staticmethod
    def _applied(ask: Callable[[Statement], Result]) -> int:
        """The last entry in what is asked."""
        applied = next(ask(_POSITION).rows)[0]
        assert isinstance(applied, int), "an offset is a number"
        return applied

    def _address(self) -> str:
        address = published_address(self._directory)
        if address is None:
            raise NoMasterError(
                f"no node runs on {self._directory}, so that nothing can be written "
                f"there: start it with `nexus serve --data-dir {self._directory}`; "
                "queries work without it"
            )
        return address

    def _await_own_writes(self, offset: Offset) -> None:
        """Return once the file holds this entry; NotAppliedError after the timeout."""
        self._halt.clear()
        deadline = time.monotonic() + self._timeout_s
        while True:
            applied = self._applied(self._reader.read)
            if applied >= offset:
                self._awaited = None
                return
            if time.monotonic() > deadline:
                raise NotAppliedError(
                    f"{self._directory} has applied entry {applied} only, and this "
                    f"session has written entry {offset}; is its node running, and "
                    "connected to the master?"
                )
            if self._halt.wait(_LOOK_AGAIN_S):
                raise interrupted()


def published_address(directory: Path) -> str | None:
    """Where the node of a data directory takes calls; None if none ever did."""
    try:
        with (directory / "lock").open(encoding="utf-8", errors="replace") as lock:
            lines = lock.read(_LONGEST_LOCK).splitlines()
    except OSError:
        return None
    return lines[1] if len(lines) > 1 else None
