"""A CA and certificates from the command line."""

import json
from pathlib import Path

import pytest

from cli.conftest import Run
from nexus.tls.authority import CA_DAYS, DAYS
from nexus.tls.certificates import read_certificates


@pytest.fixture
def directory(run: Run, tmp_path: Path) -> Path:
    """A CA's, with a node's certificate."""
    directory = tmp_path / "tls"
    ended = run("tls", "init", "--dir", directory, "--host", "10.0.0.1", "--host", "b")
    assert ended.status == 0
    return directory


def test_a_ca_and_each_nodes_files_are_made_in_one_go(run: Run, tmp_path: Path) -> None:
    directory = tmp_path / "tls"

    ended = run("tls", "init", "--dir", directory, "--host", "10.0.0.1", "--host", "b")

    assert ended.status == 0
    assert f'cert_file = "{directory}/10.0.0.1.crt"' in ended.output
    assert f'key_file = "{directory}/b.key"' in ended.output
    assert f'ca_file = "{directory}/ca.crt"' in ended.output
    assert "keep that one" in ended.output
    [found] = read_certificates(directory / "10.0.0.1.crt")
    assert set(found.hosts) == {"10.0.0.1", "localhost", "127.0.0.1", "::1"}


def test_a_ca_alone_says_what_comes_next(run: Run, tmp_path: Path) -> None:
    ended = run("tls", "init", "--dir", tmp_path / "tls", "--days", 10)

    assert "next: nexus tls issue NAME --host" in ended.output
    [found] = read_certificates(tmp_path / "tls" / "ca.crt")
    assert 8 <= (found.ends - found.begins).days <= 10


def test_a_second_ca_is_not_made(run: Run, directory: Path) -> None:
    before = (directory / "ca.key").read_bytes()

    ended = run("tls", "init", "--dir", directory)

    assert (ended.status, ended.output) == (1, "")
    assert ended.error.count("\n") == 1
    assert "exists: a CA is there already" in ended.error
    assert (directory / "ca.key").read_bytes() == before


def test_a_node_is_issued_its_certificate(run: Run, directory: Path) -> None:
    ended = run("tls", "issue", "n3", "--dir", directory, "--host", "db3.example")

    assert ended.status == 0
    assert "made a certificate for db3.example" in ended.output
    [found] = read_certificates(directory / "n3.crt")
    assert (found.hosts[0], found.uses) == ("db3.example", ("server", "client"))


def test_without_a_host_the_name_is_one(run: Run, directory: Path) -> None:
    assert run("tls", "issue", "db3.example", "--dir", directory).status == 0

    assert "db3.example" in read_certificates(directory / "db3.example.crt")[0].hosts


def test_a_certificate_is_replaced_with_the_hosts_that_it_had(
    run: Run, directory: Path
) -> None:
    [before] = read_certificates(directory / "10.0.0.1.crt")
    refused = run("tls", "issue", "10.0.0.1", "--dir", directory)

    ended = run("tls", "issue", "10.0.0.1", "--dir", directory, "--replace")

    assert "it is not overwritten; --replace does" in refused.error
    assert ended.status == 0
    [after] = read_certificates(directory / "10.0.0.1.crt")
    assert set(after.hosts) == set(before.hosts)
    assert after.fingerprint != before.fingerprint


def test_a_client_gets_one_that_serves_nobody(run: Run, directory: Path) -> None:
    ended = run("tls", "issue", "shop", "--dir", directory, "--client")

    assert f"cert_file='{directory}/shop.crt'" in ended.output
    [found] = read_certificates(directory / "shop.crt")
    assert (found.uses, found.hosts) == (("client",), ())


def test_what_was_made_is_told_to_programs(run: Run, tmp_path: Path) -> None:
    directory = tmp_path / "tls"
    made = run("tls", "init", "--dir", directory, "--host", "a", "--json")
    issued = run("tls", "issue", "n2", "--dir", directory, "--json")

    assert json.loads(made.output) == {
        "ca": {"cert_file": f"{directory}/ca.crt", "key_file": f"{directory}/ca.key"},
        "nodes": {
            "a": {"cert_file": f"{directory}/a.crt", "key_file": f"{directory}/a.key"}
        },
    }
    assert json.loads(issued.output)["key_file"] == f"{directory}/n2.key"


def test_a_certificate_is_shown(run: Run, directory: Path) -> None:
    shown = run("tls", "show", directory / "10.0.0.1.crt")
    told = run("tls", "show", directory / "ca.crt", "--json")

    lines = dict(line.split(maxsplit=1) for line in shown.output.splitlines())
    assert lines["subject"] == "10.0.0.1"
    assert lines["issuer"].startswith("Nexus CA ")
    assert "10.0.0.1" in lines["hosts"]
    assert lines["for"] == "server, client"
    assert lines["left"] == "824 days"
    [ca] = json.loads(told.output)["certificates"]
    assert (ca["uses"], ca["hosts"]) == (["ca"], [])
    assert ca["days_left"] == 3649


def test_a_file_without_a_certificate_is_one_line(run: Run, directory: Path) -> None:
    for file in (directory / "ca.key", directory / "none"):
        ended = run("tls", "show", file)

        assert ended.status == 1
        assert ended.error.startswith("nexus: '")
        assert ended.error.count("\n") == 1


@pytest.mark.parametrize(("command", "days"), [("init", CA_DAYS), ("issue", DAYS)])
def test_help_says_for_how_long_a_certificate_is_valid(
    run: Run, command: str, days: int
) -> None:
    assert f"default: {days};" in run("tls", command, "--help").output


def test_a_certificate_is_revoked_for_all_nodes(run: Run, directory: Path) -> None:
    before = (directory / "ca.crl").read_bytes()

    ended = run("tls", "revoke", directory / "b.crt", "--dir", directory)
    again = run("tls", "revoke", directory / "b.crt", "--dir", directory, "--json")

    assert (ended.status, again.status) == (0, 0)
    assert f"put {directory}/ca.crl in the place of tls.crl_file" in ended.output
    assert "connections that have shown it are closed" in ended.output
    assert json.loads(again.output) == {"crl_file": str(directory / "ca.crl")}
    assert (directory / "ca.crl").read_bytes() != before


def test_what_another_ca_has_signed_is_not_revoked_here(
    run: Run, directory: Path, tmp_path: Path
) -> None:
    run("tls", "init", "--dir", tmp_path / "other", "--host", "c")

    ended = run("tls", "revoke", tmp_path / "other/c.crt", "--dir", directory)

    assert ended.status == 1
    assert "was not signed by this CA" in ended.error


def test_several_files_are_shown_one_after_another(run: Run, directory: Path) -> None:
    files = (directory / "ca.crt", directory / "10.0.0.1.crt")

    shown = run("tls", "show", *files).output.split("\n\n")
    told = json.loads(run("tls", "show", *files, "--json").output)

    assert len(shown) == len(told["certificates"]) == 2
    assert "10.0.0.1" in shown[1]
