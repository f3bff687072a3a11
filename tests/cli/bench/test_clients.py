"""Native clients are driven as wrk drives HTTP: one insert at a time each."""

from pathlib import Path

import pytest

from nexus.cli.bench.bed import QUICK, SCHEMA, Bed, running
from nexus.cli.bench.clients import inserts_per_s, measure
from nexus.cli.bench.http import CONNECTIONS
from nexus.cli.outcome import NotDoneError
from nexus.node.requests import SqlRequest, SqlStatement


async def test_every_client_inserts_again_and_again(tmp_path: Path) -> None:
    async with running(tmp_path, replicas=0) as cluster:
        address = cluster.node._parts.address
        rate = await inserts_per_s(address, 0.5)
        request = SqlRequest([SqlStatement("select count(*) from bench")])
        answer = await cluster.node.execute(request)

        assert rate > 0
        assert answer.results[0].rows[0][0] >= CONNECTIONS
        drop = SqlRequest([SqlStatement("drop table bench")])
        await cluster.node.execute(drop)
        with pytest.raises(NotDoneError, match="no such table: bench"):
            await inserts_per_s(address, 0.5)
        await cluster.node.execute(SqlRequest([SqlStatement(SCHEMA)]))


async def test_without_wrk_the_inserts_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    measured = await measure(Bed(tmp_path, QUICK, lambda _: None))

    assert measured["clients-insert"].value is None
    assert "wrk is missing" in measured["clients-insert"].detail
    reads = measured["clients-read"].value
    assert reads is not None
    assert reads > 0
