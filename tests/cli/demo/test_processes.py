"""A cluster of real node processes, always ended."""

import os
from pathlib import Path

import pytest

from nexus.cli.demo.processes import (
    PORTS,
    NodeProcess,
    clean_environment,
    free_port,
    import_chinook,
    known_addresses,
    running_cluster,
    stop_all,
)
from nexus.cli.outcome import NotDoneError


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_settings_of_the_environment_do_not_reach_the_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEXUS_REPLICATION_ROLE", "replica")

    assert "NEXUS_REPLICATION_ROLE" not in clean_environment()
    assert "PATH" in clean_environment()


def test_free_ports_differ_and_are_nobodys_who_connects() -> None:
    found = {free_port() for _ in range(5)}

    assert len(found) > 1
    assert all(port in PORTS for port in found)


def test_that_no_port_is_free_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus.cli.demo.processes.PORT_TRIES", 0)

    with pytest.raises(NotDoneError, match="none is free"):
        free_port()


def test_a_replica_is_started_with_its_masters_address(tmp_path: Path) -> None:
    master = NodeProcess("master", tmp_path, master=None)
    replica = NodeProcess("replica-1", tmp_path, master=master)

    assert replica.command()[-2:] == ["--master-addr", master.bind_addr]
    assert "--master-addr" not in master.command()


def test_a_voter_is_started_with_the_addresses_of_all(tmp_path: Path) -> None:
    node = NodeProcess("node-1", tmp_path, master=None)
    node.peers = ("127.0.0.1:1", "127.0.0.1:2")

    assert "--peers 127.0.0.1:1,127.0.0.1:2 --mode sync" in " ".join(node.command())


def test_nodes_that_ran_before_are_found_where_they_were(tmp_path: Path) -> None:
    def addresses() -> tuple[str, ...]:
        nodes = [NodeProcess(f"n{n}", tmp_path, master=None) for n in range(3)]
        return known_addresses(tmp_path, nodes)

    assert addresses() == addresses()


def test_a_node_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "master").write_text("in the way")
    node = NodeProcess("master", tmp_path, master=None)
    node.start()

    with pytest.raises(NotDoneError, match="master did not start: nexus: cannot use"):
        node.wait_until_up()

    assert node.wait_stopped()


def test_a_killed_node_is_gone_and_starts_again(tmp_path: Path) -> None:
    node = NodeProcess("master", tmp_path, master=None)
    node.start()
    try:
        node.wait_until_up()
        first = node.pid
        node.kill()
        assert node.pid == 0
        assert not lives(first)

        node.start()
        node.wait_until_up()
        assert node.pid not in {0, first}
    finally:
        stop_all([node])
    assert node.pid == 0


def test_an_import_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")

    with pytest.raises(NotDoneError, match="Chinook was not imported"):
        import_chinook(tmp_path / "data")


def test_whatever_happens_within_every_process_is_ended(tmp_path: Path) -> None:
    seen: list[int] = []

    def interrupted() -> None:
        with running_cluster(tmp_path, replicas=2) as nodes:
            seen.extend(node.pid for node in nodes)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert len(seen) == 3
    assert not any(lives(pid) for pid in seen)
