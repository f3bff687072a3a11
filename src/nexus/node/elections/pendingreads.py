"""Strong reads that wait until a quorum has confirmed that this node still reigns."""

import asyncio
import uuid
from collections.abc import Callable

from nexus.errors import NoMasterError
from nexus.model.position import Offset
from nexus.replication.members.effects import ReadReady, ReadRefused


class PendingReads:
    """Those of one voting node; belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Offset]] = {}

    async def wait(self, ask: Callable[[str], None]) -> Offset:
        """What a read that begins now must see; raises NoMasterError.

        `ask` gives the read's id to the member, which may answer at once.
        """
        read_id = uuid.uuid4().hex
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[read_id] = waiting
        try:
            ask(read_id)
            offset: Offset = await waiting
            return offset
        finally:
            del self._waiting[read_id]

    def answer(self, answer: ReadReady | ReadRefused) -> None:
        """The member has decided; who waits no more is passed over."""
        waiting = self._waiting.get(answer.read_id)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, ReadReady):
            waiting.set_result(answer.offset)
        else:
            waiting.set_exception(
                NoMasterError(f"{answer.reason}; nothing was read, try again soon")
            )

    def cancel(self) -> None:
        """This node leaves: nobody is answered any more."""
        for waiting in self._waiting.values():
            waiting.cancel()
