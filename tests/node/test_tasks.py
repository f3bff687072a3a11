"""What runs beside its owner ends with it."""

import asyncio

from nexus.node.tasks import Tasks


async def for_ever() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise AssertionError("this one is to fail")


async def test_all_have_ended_when_their_owner_has() -> None:
    tasks = Tasks()
    first, added = tasks.spawn(for_ever()), asyncio.create_task(for_ever())
    tasks.add(added)

    await tasks.end()

    assert first.cancelled()
    assert added.cancelled()


async def test_what_fails_keeps_nobody_from_ending() -> None:
    tasks = Tasks()
    failing, other = tasks.spawn(broken()), tasks.spawn(for_ever())
    await asyncio.wait({failing})

    await tasks.end()

    assert isinstance(failing.exception(), AssertionError)
    assert other.cancelled()
