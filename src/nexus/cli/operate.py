"""Change what a node does: promote, switchover, mode, pause, resume, snapshot."""

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from nexus.cli.atmaster import at_master
from nexus.cli.options import AsJson, NodeUrl, SecretFile
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote, known_secret
from nexus.cli.terminal import count, print_json, size
from nexus.cli.times import read_time, time_us
from nexus.model.cluster import Mode

SNAPSHOT_TIMEOUT_S: Final = 3600.0
"""A snapshot reads and packs the whole database before the node answers."""

ReplicaId = Annotated[
    str | None,
    typer.Option("--replica", metavar="ID", help="On a master: this replica alone."),
]


def promote(
    url: NodeUrl,
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Even if entries are lost; first says which, and asks.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --force: do not ask.")
    ] = False,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Make the replica at URL the master."""
    body = {"force": True} if force else {}
    with Remote(url, known_secret(secret_file)) as remote:
        if force and not yes:
            body_of_trial = {"force": True, "dry_run": True}
            _ask_whether_to(remote.post("/replication/promote", body_of_trial))
        answer = remote.post("/replication/promote", body)
    lost = answer.get("may_be_lost", "")
    said = f"{remote.url} is the master of epoch {answer['epoch']} now. {lost}".strip()
    _tell(answer, said, as_json=as_json)


def switchover(
    url: NodeUrl,
    to: Annotated[
        str, typer.Argument(metavar="NODE_ID", help="The voter that takes over.")
    ],
    *,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Hand over from the master to another voter, losing nothing."""
    answer = at_master(
        url,
        known_secret(secret_file),
        lambda remote: remote.post("/replication/switchover", {"to": to}),
    )
    said = f"{answer['master_id']} is the master now, after {answer['seconds']:.2f} s"
    _tell(answer, said, as_json=as_json)


def mode(
    url: NodeUrl,
    to: Annotated[Mode, typer.Argument(metavar="sync|async", help="From now on.")],
    *,
    quorum: Annotated[
        int | None,
        typer.Option(
            min=0, help="Voters that must hold a write in sync mode; 0: a majority."
        ),
    ] = None,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Switch the cluster to sync or async mode."""
    wish: dict[str, object] = {"mode": to}
    if quorum is not None:
        wish["sync_quorum"] = quorum
    answer = at_master(
        url,
        known_secret(secret_file),
        lambda remote: remote.post("/replication/mode", wish),
    )
    _tell(answer, f"the mode is {answer['mode']}, whoever reigns", as_json=as_json)


def pause(
    url: NodeUrl,
    replica: ReplicaId = None,
    *,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """On a replica: stop applying. On a master: stop streaming."""
    _switch("pause", url, replica, {}, secret_file=secret_file, as_json=as_json)


def resume(  # noqa: PLR0913 - each is an option of the command line
    url: NodeUrl,
    replica: ReplicaId = None,
    *,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="On a delayed replica: apply what it holds back, too."
        ),
    ] = False,
    until: Annotated[
        int | None,
        typer.Option(
            metavar="OFFSET", min=0, help="Apply up to this entry, then pause."
        ),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Apply what was written before, e.g. 2026-01-31T12:00Z, then pause.",
        ),
    ] = None,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Go on after a pause, or up to a chosen entry or time."""
    if until is None and before is None:
        wish = {"now": True} if now else {}
        _switch("resume", url, replica, wish, secret_file=secret_file, as_json=as_json)
        return
    ends = {} if until is None else {"until": until}
    if before is not None:
        ends["before_us"] = _before_us(before)
    with Remote(url, known_secret(secret_file)) as remote:
        answer = remote.post(f"/replication/apply?{urlencode(ends)}")
    end = f"entry {until:,}" if until is not None else f"what was before {before}"
    said = f"{remote.url}: applies up to {end}, and is paused there"
    _tell(answer, said, as_json=as_json)


def snapshot(
    url: NodeUrl, *, as_json: AsJson = False, secret_file: SecretFile = None
) -> None:
    """Make a snapshot of a database: a backup in one file."""
    with Remote(url, known_secret(secret_file)) as remote:
        answer = remote.post("/replication/snapshot", timeout=SNAPSHOT_TIMEOUT_S)
        where = f"{remote.url}/replication/snapshots/{answer['id']}"
    said = (
        f"snapshot {answer['id']} at offset {count(answer['wal_offset'])}: "
        f"{size(answer['uncompressed_size'])} packed into "
        f"{size(answer['compressed_size'])}; fetch it from {where}"
    )
    _tell(answer, said, as_json=as_json)


def _before_us(moment: str) -> int:
    """The time since 1970; raises BadParameter for what is no time with its zone."""
    said = read_time(moment)
    # Taken for another zone's, it would apply the mistake that is to be left out.
    if said is None or said.tzinfo is None:
        raise typer.BadParameter(
            f"{moment!r} is no time with its zone, like 2026-01-31T12:00:00Z",
            param_hint="--before",
        )
    return time_us(said)


def _ask_whether_to(losses: Any) -> None:
    """Raise NotDoneError unless somebody who has read what may be lost says yes."""
    typer.echo(losses["may_be_lost"], err=True)
    try:
        agreed = typer.confirm("Make it the master all the same?", err=True)
    except typer.Abort:
        raise NotDoneError(
            "nothing was changed: nobody has confirmed it; --yes does"
        ) from None
    if not agreed:
        raise NotDoneError("nothing was changed, as you said")


def _switch(
    verb: str,
    url: str,
    replica: str | None,
    wish: dict[str, Any],
    *,
    secret_file: Path | None,
    as_json: bool,
) -> None:
    body = wish if replica is None else wish | {"replica": replica}
    with Remote(url, known_secret(secret_file)) as remote:
        answer = remote.post(f"/replication/{verb}", body)
        whose = f"replica {replica} of {remote.url}" if replica else remote.url
    _tell(answer, f"{whose}: {verb}d", as_json=as_json)


def _tell(answer: Any, said: str, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print(said)
