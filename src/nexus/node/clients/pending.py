"""The requests of one client that are under way, and how each comes to its end."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

import structlog
from structlog.contextvars import get_contextvars

from nexus.errors import NexusError, ProtocolError
from nexus.errors.sqlite import interrupted
from nexus.node.clients.tenure import Tenure
from nexus.protocol.codec import encode
from nexus.protocol.failures import failed_of

log = structlog.get_logger(__name__)


class Pending:
    """One request."""

    __slots__ = ("cancel", "fetched", "request", "task")

    def __init__(self, request: Any, cancel: Callable[[], object]) -> None:
        self.request = request
        self.cancel = cancel
        """Have it end soon, with an error for its client."""
        self.fetched: asyncio.Future[int] | None = None
        """While rows wait to be asked for: how many are."""
        self.task: asyncio.Task[None] | None = None


class PendingRequests:
    """All requests of one client; an error of one is its answer."""

    def __init__(
        self, tenure: Tenure, send: Callable[[bytes], None], changed: Callable[[], None]
    ) -> None:
        """`changed` is called when there is one more or one less."""
        self._tenure = tenure
        self._send = send
        self._changed = changed
        self._by_id: dict[int, Pending] = {}
        self._context = copy_context()
        """Of who has made it: there lines of the log name the database."""
        self._log = log.bind(**get_contextvars())

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, request_id: int) -> Pending | None:
        """The request, if it is under way."""
        return self._by_id.get(request_id)

    def add(self, request: Any, cancel: Callable[[], object]) -> Pending:
        """One more; ProtocolError where its id is another's."""
        request_id: int = request.request_id
        if request_id in self._by_id:
            raise ProtocolError(f"request {request_id} is under way already")
        pending = self._by_id[request_id] = Pending(request, cancel)
        self._changed()
        return pending

    def remove(self, request_id: int) -> None:
        """It is answered, or will be at once."""
        del self._by_id[request_id]
        self._changed()

    def spawn(
        self,
        request: Any,
        work: Coroutine[Any, Any, None],
        cancel: Callable[[], object] | None = None,
    ) -> None:
        """Have a task do it, which is cancelled by `cancel`, or as tasks are."""
        try:
            pending = self.add(request, cancel or (lambda: None))
        except ProtocolError:
            work.close()
            raise
        pending.task = task = asyncio.get_running_loop().create_task(
            work, context=self._context
        )
        pending.cancel = cancel or task.cancel
        task.add_done_callback(lambda task: self._ended(request, task))

    def fail(
        self, request_id: int, error: BaseException, *, ended: bool = False
    ) -> None:
        """Answer with an error; one that is none of Nexus's is a bug, and logged."""
        if not isinstance(error, NexusError):
            self._log.error("request_failed", exc_info=error)
            error = NexusError("an unexpected error; it is in the node's log")
        self._send(encode(failed_of(error, request_id, ended=ended)))

    def drop(self) -> None:
        """The client is gone: what nobody waits for any more ends."""
        for pending in list(self._by_id.values()):
            if pending.task is not None:
                pending.task.cancel()
            else:
                pending.cancel()  # a write: one that runs for long holds all others up

    def _ended(self, request: Any, task: asyncio.Task[None]) -> None:
        self.remove(request.request_id)
        if task.cancelled():
            error: BaseException | None = interrupted()
        else:
            error = task.exception()
        if error is not None:
            within = getattr(request, "within", 0)
            ended = bool(within) and not self._tenure.stands(within)
            self.fail(request.request_id, error, ended=ended)
