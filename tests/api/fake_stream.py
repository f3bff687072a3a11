"""The part of a fake node that runs statements one by one."""

from typing_extensions import override

from nexus.errors import ReadOnlyReplicaError
from nexus.model.cluster import NodeStatus, Role
from nexus.model.position import Offset
from nexus.node.reading.viewing import Rows
from nexus.node.reading.views import Description
from nexus.node.sqlstream import SqlStream
from nexus.node.streamtransaction import State
from nexus.storage.capturing.results import Statement, StatementResult

RESULT = StatementResult(("a", "b"), [(1, "x")], 0, 7, ("INTEGER", None))


class FakeStream(SqlStream):
    """Answers every statement in the same way."""

    def __init__(self) -> None:
        self.stands = State.AUTOCOMMIT
        self.last_position = None
        self.may_write = True

    @property
    @override
    def state(self) -> State:
        return self.stands

    @override
    async def run(self, statement: Statement) -> StatementResult:
        return RESULT

    @override
    async def describe(self, sql: str) -> Description:
        return Description((("a", "INTEGER"),), is_explain=False, is_readonly=True)

    @override
    async def open(self, statement: Statement) -> Rows:
        return Rows(RESULT)

    @override
    def close(self) -> None:
        self.stands = State.AUTOCOMMIT


class FakeSql:
    """What a node has for clients whose statements come one by one."""

    current: NodeStatus

    def __init__(self) -> None:
        self.waited_for: list[int] = []
        self.streams: list[FakeStream] = []

    def writer(self) -> object:
        if self.current.role is Role.REPLICA:
            raise ReadOnlyReplicaError(
                "a replica takes no writes", master_url=self.current.master_url
            )
        return object()

    def open_stream(self) -> SqlStream:
        self.streams.append(FakeStream())
        return self.streams[-1]

    async def wait_applied(self, offset: Offset, *, timeout_s: float) -> None:
        assert timeout_s > 0
        self.waited_for.append(offset)
