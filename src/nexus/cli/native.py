"""SQL over the native protocol: one session, so that a transaction may span entries."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from nexus.cli.answer import Answer, Rows
from nexus.cli.sources import controls
from nexus.cli.trust import trusted
from nexus.client.connecting import SCHEME, connect
from nexus.client.connection import Connection
from nexus.client.trust import NAMES
from nexus.errors import NexusError
from nexus.model.statements import split


class NativeSource:
    """A cluster, as `nexus.connect` finds it; it follows the master."""

    def __init__(self, url: str, secret: str) -> None:
        self.name = SCHEME + url.removeprefix(SCHEME).rpartition("@")[2]
        options = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
        # What the URL itself says of TLS goes before options and environment.
        tls = None if NAMES & options.keys() else trusted()
        self._connection: Connection = connect(
            url,
            isolation_level=None,
            check_same_thread=False,
            secret=secret,
            tls=tls,
        )

    @property
    def holds_writer(self) -> bool:
        """Whether a transaction is open, as far as the node has told."""
        return self._connection.in_transaction

    def run(self, sql: str) -> Answer:
        """Run the statements: as one transaction, unless they control one themselves.

        Raises NexusError.
        """
        connection, statements = self._connection, split(sql)
        before = connection.last_position
        is_one = len(statements) < 2  # noqa: PLR2004
        if is_one or controls(statements) or connection.in_transaction:
            results = self._all(statements)
        else:
            connection.execute("begin")
            try:
                results = self._all(statements)
                connection.commit()
            except NexusError:
                connection.rollback()
                raise
        position = connection.last_position
        if position is None or position == before:
            return Answer(results=results)
        return Answer(results, position.offset, position.epoch, "committed")

    @property
    def most_at_once(self) -> int:
        """A statement takes its way to the node in any case."""
        return 1

    def run_each(self, statements: Sequence[str]) -> Answer:
        """Run each as it stands; raises NexusError."""
        return Answer(self._all(statements))

    def close(self) -> None:
        """Take back what is not committed, and let go of the cluster."""
        self._connection.close()

    def _all(self, statements: Sequence[str]) -> list[Rows]:
        found = []
        for index, statement in enumerate(statements):
            try:
                found.append(self._one(statement))
            except NexusError as error:
                vars(error)["index"] = index
                raise
        return found

    def _one(self, sql: str) -> Rows:
        cursor = self._connection.execute(sql)
        columns: tuple[Any, ...] = cursor.description or ()
        return Rows(
            columns=tuple(name for name, *_ in columns),
            rows=cursor.fetchall(),
            rows_affected=cursor.rowcount,
            last_insert_rowid=cursor.lastrowid or 0,
        )
