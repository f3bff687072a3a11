"""Show, add and remove voters, and suspend elections while a network is worked on."""

from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from nexus.cli.atmaster import at_master
from nexus.cli.options import AsJson, NodeUrl, SecretFile
from nexus.cli.remote import Remote, known_secret
from nexus.cli.terminal import print_json
from nexus.cli.trust import with_trust

app: Final = typer.Typer(
    help="List, add and remove the voters of a cluster.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NodeName = Annotated[
    str,
    typer.Argument(metavar="NODE_ID", help="As `nexus member list` shows it."),
]


class Switch(StrEnum):
    """What a thing is switched to."""

    ON = "on"
    OFF = "off"


@app.command("list")
@with_trust
def list_members(
    url: NodeUrl, *, as_json: AsJson = False, secret_file: SecretFile = None
) -> None:
    """Show who votes, as the log of the node at URL says."""
    with Remote(url, known_secret(secret_file)) as remote:
        answer = remote.get("/cluster/members")
        if as_json:
            print_json(answer)
            return
        status = remote.get("/replication/status")
    own_master = status.get("role") == "master"
    _tell(answer, as_json=False, knows_connected=own_master)
    if not own_master:
        master = status.get("master_url") or "the master's URL"
        print(f"who is connected, the master knows: nexus member list {master}")


@app.command("add")
@with_trust
def add(
    url: NodeUrl,
    node_id: NodeName,
    *,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Where other nodes reach it; else as it is connected now.",
        ),
    ] = "",
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Make a voter of a replica that streams from the master."""
    body = {"node_id": node_id} | ({"address": address} if address else {})
    answer = at_master(
        url,
        known_secret(secret_file),
        lambda remote: remote.post("/cluster/members", body),
    )
    _tell(answer, as_json=as_json)


@app.command("remove")
@with_trust
def remove(
    url: NodeUrl,
    node_id: NodeName,
    *,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Take a voter's vote; it may be dead."""
    path = f"/cluster/members/{quote(node_id, safe='')}"
    answer = at_master(
        url, known_secret(secret_file), lambda remote: remote.delete(path)
    )
    _tell(answer, as_json=as_json)


def maintenance(
    url: NodeUrl,
    to: Annotated[
        Switch,
        typer.Argument(metavar="on|off", help="On: nobody is elected by itself."),
    ],
    *,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Suspend automatic failover, or let it go on."""
    wish = {"enabled": to is Switch.ON}
    answer = at_master(
        url,
        known_secret(secret_file),
        lambda remote: remote.post("/cluster/maintenance", wish),
    )
    _tell(answer, as_json=as_json)


def _tell(view: Any, *, as_json: bool, knows_connected: bool = True) -> None:
    """The members in force, a line each; and what is not as usual.

    Only a master knows who is connected: the others see no one but themselves.
    """
    if as_json:
        print_json(view)
        return
    for each in view["members"]:
        votes = "voter" if each["voter"] else "learner"
        silent = knows_connected and not each["connected"]
        reached = "not connected" if silent else ""
        print(f"{each['id']}  {votes:<7}  {each['addr']}  {reached}".rstrip())
    if not view["auto_failover"]:
        print("in maintenance: nothing replaces a dead master by itself")
