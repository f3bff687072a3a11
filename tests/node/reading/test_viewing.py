"""Views that are read from an event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from nexus.errors import NodeStoppedError
from nexus.node.reading.viewing import Viewing
from nexus.node.reading.views import Views
from node.builders import Desk, until, wanted


async def test_a_view_that_nobody_waits_for_any_more_is_given_up(desk: Desk) -> None:
    with desk.manager() as manager, ThreadPoolExecutor(1) as threads:
        manager.execute_blocking(wanted("create table t(v)"))
        views = Views(desk.database)
        opening = asyncio.create_task(Viewing(views, threads).open())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await until(lambda: views._count == 0)

        assert not views._open


async def test_after_the_stop_nothing_is_begun(desk: Desk) -> None:
    with desk.manager() as manager:
        manager.execute_blocking(wanted("create table t(v)"))
        views, threads = Views(desk.database), ThreadPoolExecutor(1)
        viewing = Viewing(views, threads)
        view = await viewing.open()
        views.close()
        threads.shutdown()

        viewing.give_up(view)
        with pytest.raises(NodeStoppedError):
            await viewing.open()
