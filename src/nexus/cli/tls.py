"""Make a small cluster's own CA and its certificates, show and revoke them."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nexus.cli.options import AsJson
from nexus.cli.terminal import print_json

if TYPE_CHECKING:
    from nexus.tls.authority import Issued
    from nexus.tls.certificates import Certificate

# What makes and reads certificates takes 8 MB: only these commands load it.

DIRECTORY: Final = Path("tls")

Directory = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="Where the CA and its key stand.")
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="NAME_OR_IP",
        help="A name that others connect to; may be repeated.",
    ),
]
Days = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=1,
        max=36500,
        help="How long it is valid.",
        show_default="825",
    ),
]
DaysOfCa = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=1,
        max=36500,
        help="How long the CA is valid.",
        show_default="3650",
    ),
]

app: Final = typer.Typer(
    help="Make, show and revoke certificates for a small cluster.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command()
def init(
    directory: Directory = DIRECTORY,
    host: Hosts = None,
    days: DaysOfCa = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a CA, and a certificate for a node on each --host."""
    from nexus.tls import authority, revocation  # noqa: PLC0415

    made = authority.make_authority(directory, days=days or authority.CA_DAYS)
    revocation.revoke(directory)  # nothing yet: a list that nodes can watch
    nodes = {
        each: authority.issue(
            directory, authority.file_name(each), (each, *authority.LOOPBACK)
        )
        for each in host or ()
    }
    if as_json:
        files = {name: _files(issued) for name, issued in nodes.items()}
        print_json({"ca": _files(made), "nodes": files})
        return
    print(f"made a CA: {made.cert_file}; whoever has {made.key_file} can make nodes of")
    print("this cluster: keep that one, and give it to no node.")
    for name, issued in nodes.items():
        _tell_node(name, issued, made.cert_file)
    if not nodes:
        print(f"next: nexus tls issue NAME --host NAME_OR_IP --dir {directory}")


@app.command()
def issue(  # noqa: PLR0913 - each is an option by its name
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Whose it is; also names the files.")
    ],
    directory: Directory = DIRECTORY,
    host: Hosts = None,
    days: Days = None,
    *,
    client: Annotated[
        bool, typer.Option("--client", help="For a client, not for a node.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the one of this name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign a certificate for a node, or for a client."""
    from nexus.tls import authority  # noqa: PLC0415

    hosts = tuple(host or ())
    if not client and not hosts:
        hosts = _hosts_before(directory / f"{name}.crt") if replace else (name,)
    issued = authority.issue(
        directory,
        name,
        hosts if client else (*hosts, *authority.LOOPBACK),
        serves=not client,
        days=days or authority.DAYS,
        replace=replace,
    )
    if as_json:
        print_json(_files(issued))
    elif client:
        print(f"made {issued.cert_file} and {issued.key_file} for a client:")
        print(f"  nexus.connect(..., ca_file='{directory / authority.CA_CERT}',")
        print(f"    cert_file='{issued.cert_file}', key_file='{issued.key_file}')")
    else:
        _tell_node(", ".join(hosts), issued, directory / authority.CA_CERT)


@app.command()
def revoke(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The certificate, in PEM.")
    ],
    directory: Directory = DIRECTORY,
    *,
    as_json: AsJson = False,
) -> None:
    """Add a certificate to the CA's list of revoked ones."""
    from nexus.tls.revocation import revoke as add  # noqa: PLC0415

    made = add(directory, file)
    if as_json:
        print_json({"crl_file": str(made)})
        return
    print(f"revoked {file}; on every node, put {made} in the place of tls.crl_file:")
    print("no restart is needed, and connections that have shown it are closed within")
    print("seconds (connection_revoked in the node's log).")


@app.command()
def show(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Certificates in PEM.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Show the owner, hosts and expiry of each certificate in files."""
    from nexus.tls.certificates import read_certificates  # noqa: PLC0415

    now = dt.datetime.now(dt.UTC)
    found = [each for file in files for each in read_certificates(file)]
    if as_json:
        print_json({"certificates": [_document(each, now) for each in found]})
        return
    for number, each in enumerate(found):
        print("\n" if number else "", end="")
        for label, value in _lines(each, now):
            print(f"{label:<12} {value}")


def _hosts_before(cert_file: Path) -> tuple[str, ...]:
    from nexus.tls.certificates import read_certificates  # noqa: PLC0415

    return read_certificates(cert_file)[0].hosts


def _tell_node(name: str, issued: "Issued", ca_file: Path) -> None:
    print(f"made a certificate for {name}; copy three files to that machine and set:")
    print("  [tls]")
    print(f'  cert_file = "{issued.cert_file}"')
    print(f'  key_file = "{issued.key_file}"')
    print(f'  ca_file = "{ca_file}"')


def _files(issued: "Issued") -> dict[str, str]:
    return {"cert_file": str(issued.cert_file), "key_file": str(issued.key_file)}


def _lines(found: "Certificate", now: dt.datetime) -> list[tuple[str, str]]:
    left = found.days_left(now)
    return [
        ("subject", found.subject),
        ("issuer", found.issuer),
        ("hosts", ", ".join(found.hosts) or "none"),
        ("for", ", ".join(found.uses) or "nothing known"),
        ("from", found.begins.isoformat(sep=" ", timespec="seconds")),
        ("until", found.ends.isoformat(sep=" ", timespec="seconds")),
        ("left", f"{left} days" if left >= 0 else "it has expired"),
        ("SHA-256", found.fingerprint),
    ]


def _document(found: "Certificate", now: dt.datetime) -> dict[str, Any]:
    return {
        "subject": found.subject,
        "issuer": found.issuer,
        "hosts": list(found.hosts),
        "uses": list(found.uses),
        "from": found.begins.isoformat(),
        "until": found.ends.isoformat(),
        "days_left": found.days_left(now),
        "sha256": found.fingerprint,
    }
