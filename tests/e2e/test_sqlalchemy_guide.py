"""The code of the guide to SQLAlchemy and Alembic, run on three nodes."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect, text

from e2e.cluster import Cluster, NodeProcess, fingerprints, master_of
from e2e.test_failover import PATIENT

GUIDE = Path(__file__).parents[2] / "docs/guides/sqlalchemy.md"
ADDRESSES = "127.0.0.1:15475,127.0.0.1:15476,127.0.0.1:15477"


@pytest.fixture
def nodes(cluster: Cluster) -> list[NodeProcess]:
    return cluster.voters(settings=PATIENT)


@pytest.fixture
def blocks(nodes: list[NodeProcess]) -> list[str]:
    """The guide's code, with the addresses of these nodes."""
    addresses = ",".join(node.address for node in nodes)
    found = re.findall(r"```(?:python|ini)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return [block.replace(ADDRESSES, addresses) for block in found]


def test_every_line_of_the_guide_runs_on_a_cluster(
    nodes: list[NodeProcess], blocks: list[str], tmp_path: Path
) -> None:
    master = master_of(nodes)
    names: dict[str, Any] = {"__name__": "guide"}

    for block in blocks:
        if (file := re.match(r"# (\S+\.(?:py|ini))\n", block)) is not None:
            path = tmp_path / "project" / file[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
        else:
            exec(compile(block, str(GUIDE), "exec"), names)
    count_users: Callable[[str], Any] = names["count_users"]
    url = names["engine"].url.render_as_string()
    assert asyncio.run(count_users(url.replace("nexus://", "nexus+aio://"))) == 1
    config = Config(tmp_path / "project" / "alembic.ini")
    config.set_main_option("script_location", str(tmp_path / "project" / "migrations"))
    command.upgrade(config, "head")

    columns = [c["name"] for c in inspect(names["engine"]).get_columns("users")]
    assert columns == ["id", "name", "born"]
    command.downgrade(config, "base")
    engine = create_engine(url)
    with engine.connect() as connection:
        kept = connection.execute(text("select user_id from orders")).scalars().all()
    assert [c["name"] for c in inspect(engine).get_columns("users")] == ["id", "name"]
    assert kept == [1, 1]
    engine.dispose()
    names["engine"].dispose()
    hashes = fingerprints(nodes, master)
    assert hashes[0] == hashes[1] == hashes[2]


def test_a_data_directory_is_read_here_and_written_through_its_node(
    nodes: list[NodeProcess],
) -> None:
    engine = create_engine(f"nexus:///{master_of(nodes).data_dir}")

    with engine.begin() as connection:
        connection.execute(text("create table t(a)"))
        connection.execute(text("insert into t values (7)"))
    with engine.connect() as connection:
        assert connection.execute(text("select a from t")).scalar() == 7

    engine.dispose()
