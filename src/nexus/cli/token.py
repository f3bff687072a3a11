"""Make, list, revoke and rotate the tokens that let clients in."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from nexus.cli.atmaster import at_master
from nexus.cli.options import AsJson, NodeUrl, SecretFile
from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import Remote, known_secret
from nexus.cli.terminal import print_json
from nexus.cli.trust import with_trust
from nexus.model.token import TokenRole

app: Final = typer.Typer(
    help="Make, list, rotate and revoke the tokens of clients.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

MOST_SECONDS: Final = 3_650 * UNITS["d"]
"""What a node takes: ten years."""

_DURATION: Final = re.compile(r"(\d{1,9})([smhd])")

Named = Annotated[
    str, typer.Argument(metavar="TOKEN", help="Its id, or its name if one has it.")
]


@app.command("create")
@with_trust
def create(
    url: NodeUrl,
    *,
    role: Annotated[
        TokenRole, typer.Option("--role", help="What it allows; admin: everything.")
    ],
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    expires: Annotated[
        str,
        typer.Option(
            "--expires",
            metavar="TIME",
            help="Such as 90d or 12h; else it never expires.",
        ),
    ] = "",
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Make a token and print it, this once: it cannot be shown again."""
    body = {"role": role, "name": name, "expires_s": _seconds_of("--expires", expires)}
    made = at_master(
        url, known_secret(secret_file), lambda remote: remote.post("/tokens", body)
    )
    _tell_new(made, as_json=as_json)


@app.command("list")
@with_trust
def list_tokens(
    url: NodeUrl, *, as_json: AsJson = False, secret_file: SecretFile = None
) -> None:
    """List the tokens of the cluster, without their secrets."""
    with Remote(url, known_secret(secret_file)) as remote:
        answer = remote.get("/tokens")
    if as_json:
        print_json(answer)
        return
    now = datetime.now(UTC)
    for token in answer["tokens"]:
        ends = _validity(token["expires_at"], now)
        print(f"{token['id']}  {token['role']:<5}  {ends}  {token['name']}".rstrip())


@app.command("revoke")
@with_trust
def revoke(
    url: NodeUrl,
    token: Named,
    *,
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Revoke a token on every node, at once."""
    answer = at_master(
        url,
        known_secret(secret_file),
        lambda remote: remote.delete(f"/tokens/{_id_of(remote, token)}"),
    )
    if as_json:
        print_json(answer)
    else:
        print(f"{answer['id']} {answer['name']}".rstrip() + " is good no more")


@app.command("rotate")
@with_trust
def rotate(
    url: NodeUrl,
    token: Named,
    *,
    grace: Annotated[
        str,
        typer.Option(
            "--grace", metavar="TIME", help="How long the old one stays valid."
        ),
    ] = "0s",
    as_json: AsJson = False,
    secret_file: SecretFile = None,
) -> None:
    """Replace a token by a new one; the old ends now, or after --grace."""
    body = {"grace_s": _seconds_of("--grace", grace)}
    made = at_master(
        url,
        known_secret(secret_file),
        lambda remote: remote.post(f"/tokens/{_id_of(remote, token)}/rotate", body),
    )
    _tell_new(made, as_json=as_json)


def _seconds_of(option: str, text: str) -> int:
    """Seconds of `90d`, `12h`, `5m` or `30s`; 0 of nothing."""
    match = _DURATION.fullmatch(text)
    if match is None:
        if not text:
            return 0
        raise typer.BadParameter(f"{option} is a number and s, m, h or d, like 90d")
    seconds = int(match[1]) * UNITS[match[2]]
    if seconds > MOST_SECONDS:
        raise typer.BadParameter(f"{option} is at most {MOST_SECONDS // UNITS['d']}d")
    return seconds


def _validity(expires_at: str | None, now: datetime) -> str:
    if not expires_at:
        return "for good"
    return f"{'expired' if _has_expired(expires_at, now) else 'until'} {expires_at}"


def _has_expired(expires_at: str | None, now: datetime) -> bool:
    return bool(expires_at) and datetime.fromisoformat(str(expires_at)) <= now


def _id_of(remote: Remote, token: str) -> str:
    """The id of the token that has this id or name.

    One that has expired gives way to another of its name: a rotation leaves both.
    """
    known = remote.get("/tokens")["tokens"]
    named = [one for one in known if token in (one["id"], one["name"])]
    now = datetime.now(UTC)
    valid = [one for one in named if not _has_expired(one["expires_at"], now)]
    found = [one["id"] for one in valid or named]
    if len(found) != 1:
        how_many = f"{len(found)} tokens are" if found else "no token is"
        raise NotDoneError(
            f"{how_many} called '{token}'; nexus token list {remote.url} shows their "
            "ids"
        )
    return str(found[0])


def _tell_new(answer: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    about = answer["about"]
    ends = f"until {about['expires_at']}" if about["expires_at"] else "until revoked"
    typer.echo(
        f"{about['id']}: role {about['role']}, {ends}; keep it, it is not told again",
        err=True,
    )
    print(answer["token"])
