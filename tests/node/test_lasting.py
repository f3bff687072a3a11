"""A pool of threads that goes on while the handlers of `atexit` run."""

from concurrent.futures import thread
from threading import current_thread

import pytest

from nexus.node.lasting import LastingExecutor
from node.builders import PATIENCE_S


def nothing_left() -> None:
    raise OSError("nothing is left")


def test_once_python_has_ended_the_pools_each_call_has_its_own_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LastingExecutor() as pool:
        monkeypatch.setattr(thread, "_shutdown", True)

        found = pool.submit(lambda: current_thread().name).result(PATIENCE_S)

        assert found == "nexus-last"
        with pytest.raises(OSError, match="nothing is left"):
            pool.submit(nothing_left).result(PATIENCE_S)


def test_a_pool_that_its_node_has_ended_takes_nothing_more() -> None:
    pool = LastingExecutor()
    assert pool.submit(int, "7").result(PATIENCE_S) == 7
    pool.shutdown()

    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int, "7")
