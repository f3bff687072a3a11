"""The threads of a node, which outlast the end of the program that it is in."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from typing_extensions import override

P = ParamSpec("P")
T = TypeVar("T")


class LastingExecutor(ThreadPoolExecutor):
    """A pool that goes on while the handlers of `atexit` run.

    Python ends every pool before it calls them, and a node has to be of use there:
    a program may write its last row, and close the node.
    """

    _ended = False
    """Whether the node has ended it; Python sets what the pool itself knows of that."""

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._ended = True
        super().shutdown(wait, cancel_futures=cancel_futures)

    @override
    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """As in any pool; once Python has ended that, in a thread of its own."""
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            if self._ended:
                raise
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is told who waits
                future.set_exception(error)

        threading.Thread(target=run, name="nexus-last", daemon=True).start()
        return future
