"""Whom commands trust: options before environment, for as long as they run."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from certificates import Office
from nexus.cli.options import SecretFile
from nexus.cli.remote import base_url
from nexus.cli.trust import said, trusted, with_trust
from nexus.client.trust import Trust


def test_an_option_goes_before_the_environment_and_that_before_the_nodes_own() -> None:
    own = {"NEXUS_TLS_CA_FILE": "node", "NEXUS_TLS_CERT_FILE": "not a client's"}
    mine = {
        **own,
        "NEXUS_CA_FILE": "mine",
        "NEXUS_CERT_FILE": "c",
        "NEXUS_KEY_FILE": "",
    }

    assert said({}, {}) == Trust()
    assert said({}, own) == Trust(ca_file="node")
    assert said({}, mine) == Trust(ca_file="mine", cert_file="c")
    given = {"ca": Path("given"), "key": None}
    assert said(given, mine) == Trust(ca_file=Path("given"), cert_file="c")


def test_a_command_that_asks_nodes_gets_the_options_and_no_other_does(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEXUS_CA_FILE", raising=False)
    found: list[Any] = []

    def asks(url: str, *, secret_file: SecretFile = None) -> None:
        """Ask a node."""
        found.append((url, secret_file, trusted(), base_url("a")))

    def reads(file: str) -> None:
        """Read a file."""
        found.append(file)

    app = typer.Typer()
    app.command("asks")(with_trust(asks))
    app.command("reads")(with_trust(reads))
    runner = CliRunner()

    assert runner.invoke(app, ["asks", "u", "--ca", str(office.ca)]).exit_code == 0
    assert runner.invoke(app, ["asks", "u"]).exit_code == 0
    assert runner.invoke(app, ["reads", "f", "--ca", "x"]).exit_code == 2
    assert with_trust(reads) is reads
    [(url, secret, context, with_ca), (_, _, none, without)] = found
    assert (url, secret, none) == ("u", None, None)
    assert isinstance(context, ssl.SSLContext)
    assert (with_ca, without) == ("https://a:15474", "http://a:15474")
    assert trusted() is None
