"""An old master with entries of its own comes back without a copy of the database."""

from pathlib import Path

from nexus.cli.bench.bed import SCHEMA
from nexus.cli.bench.rejoin import begin, diverge, rejoin
from nexus.cli.demo.processes import NodeProcess, stop_all
from nexus.cli.remote import Remote

NOISE = (
    "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) "
    "insert into bench(text) select randomblob(4000) from n"
)


def test_a_rejoin_costs_what_diverged_and_not_what_the_database_holds(
    tmp_path: Path,
) -> None:
    old = NodeProcess("old", tmp_path, master=None)
    new = NodeProcess("new", tmp_path, master=old)
    try:
        old.start()
        old.wait_until_up()
        with Remote(old.url) as remote:
            remote.post("/sql", {"statements": [{"sql": SCHEMA}, {"sql": NOISE}]})
        old.ask_to_stop()
        assert old.wait_stopped()
        begin(old, new)
        diverge(old, new)
        found = rejoin(old, new)
    finally:
        stop_all([old, new])

    assert (new.data_dir / "nexus.db").stat().st_size > 8_000_000
    assert found.bytes_received < 100_000
    assert found.seconds > 0
