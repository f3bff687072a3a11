"""Watchers are processes that always end."""

import asyncio
from pathlib import Path

import pytest

from nexus.cli.bench.sightings import watching
from nexus.cli.demo.processes import NodeProcess
from nexus.cli.outcome import NotDoneError


async def test_a_file_that_cannot_be_read_is_an_error_with_the_nodes_name(
    tmp_path: Path,
) -> None:
    node = NodeProcess("replica-7", tmp_path, master=None)

    async with watching([node], until=1) as (watch,):
        with pytest.raises(NotDoneError, match="replica-7's database"):
            await asyncio.to_thread(watch.result)
