"""Write the tables of the reference from the code, so that they stay true."""

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nexus import errors
from nexus.api.application import CALLS
from nexus.api.metrics.catalogue import FAMILIES
from nexus.api.statuses import row_of
from nexus.cli.flags import ALIASES, NO_FLAG, flag_of
from nexus.config import Config
from nexus.config.loading import SETTINGS
from nexus.protocol.codec import CODES

MEANINGS = {
    "data_dir": "Where this node keeps everything. One process owns it.",
    "http_addr": "Where the REST API listens; name a host that others reach.",
    "cluster_secret": "What all nodes and operators of the cluster share.",
    "cluster_secret_file": "A file with the secret, instead of `cluster_secret`.",
    "insecure": "Listen beyond loopback without a secret.",
    "databases": "Named databases beside the main one; see the guide to them.",
    "functions": "Python modules with SQL functions of your own; see below.",
    "replication.role": "`standalone`, `master`, `replica` or `witness`.",
    "replication.bind_addr": "Where replicas connect.",
    "replication.master_addr": "The master's `bind_addr`. A replica needs it, or peers.",
    "replication.peers": "The voters' addresses, to form a cluster the first time.",
    "replication.mode": "`async`, or `sync`: acknowledge what a quorum holds.",
    "replication.sync_quorum": "Nodes that make a quorum; with voters, of a new log.",
    "replication.sync_timeout_ms": "After so long a write's outcome is `unknown`.",
    "replication.heartbeat_ms": "How often both sides of a connection are heard.",
    "replication.missed_heartbeats": "After so many the other side counts as dead.",
    "replication.connect_timeout_ms": "For a connection and its handshake.",
    "replication.cascade": "The node at `master_addr` may be a replica, too.",
    "replication.max_receive_rate": "Bytes a second that a replica takes, at most.",
    "replication.apply_delay_ms": "How late a replica applies an entry, on purpose.",
    "replication.max_log_size": "Entries that the log keeps at least.",
    "replication.hold_size": "What a witness's log may grow to for absent voters.",
    "replication.auto_failover": "A dead master is replaced by itself, where voters elect.",
    "replication.coordinator": "`quorum` where there are peers, else `manual`; `etcd`.",
    "replication.etcd_endpoints": "URLs of etcd's members, for `coordinator = etcd`.",
    "replication.etcd_prefix": "Under it stand the cluster's keys in etcd.",
    "replication.etcd_user": "Who this node is for etcd, where it has users.",
    "replication.etcd_password": "That user's password.",
    "replication.etcd_ca_file": "Who signed etcd's certificates.",
    "replication.etcd_cert_file": "This node's certificate, where etcd asks for one.",
    "replication.etcd_key_file": "That certificate's key.",
    "tls.cert_file": "This node's certificate, in PEM. With it both ports speak TLS.",
    "tls.key_file": "That certificate's key.",
    "tls.ca_file": "The CA of the nodes' certificates. Nodes without one are refused.",
    "tls.crl_file": "Which of that CA's certificates were revoked: `nexus tls revoke`.",
    "tls.mode": "`required`, or `optional`: plain peers too, during a change to TLS.",
    "tls.client_certs": "`optional`, or `required`: clients show a certificate, too.",
    "snapshot.compression_level": "zstd's level, 1 to 22.",
    "snapshot.max_size": "Uncompressed. A larger one is neither made nor installed.",
    "snapshot.chunk_size": "Bytes of one piece on the wire.",
    "snapshot.max_transfers": "Snapshots that are sent at once.",
    "archive.url": "Where [backups](../guides/backups.md) go: a directory or a bucket.",
    "archive.interval_ms": "How old a commit may get that is not archived.",
    "archive.snapshot_interval": "How often a snapshot goes to the archive.",
    "archive.retention_age": "So far back every moment can be restored.",
    "archive.retention_count": "Snapshots that the archive keeps at least.",
    "archive.hold_size": "What the log may grow to while the archive fails.",
    "archive.seed": "A new replica begins from the archive.",
    "limits.transaction_bytes": "Changes of one transaction. Larger ones are refused.",
    "limits.idle_transaction_ms": "An open transaction ends when idle for longer.",
    "limits.readers": "Queries that run at once.",
    "limits.requests_per_second": "Of a token, or an address without; 0: any number.",
    "limits.request_bytes": "Of one request's body.",
    "limits.statements": "Of one request, whatever it comes by.",
    "limits.connections": "At each port; beyond it idle ones give way.",
    "limits.connections_per_address": "At each port; 0: no limit of its own.",
    "limits.head_timeout_ms": "A head, or a WebSocket's greeting, takes no longer.",
    "limits.body_timeout_ms": "A body takes no longer, nor a caller who reads nothing.",
    "limits.idle_connection_ms": "Between two requests; then it is closed.",
    "log.audit_file": "Administrative acts as lines of JSON, beside the log.",
    "log.level": "`debug`, `info`, `warning` or `error`: what is told at least.",
    "log.format": "`human`, `json`; `auto`: for people on a terminal, else JSON.",
    "security.require_tokens": "Ask for a token on loopback and without tokens too.",
}
"""What each setting is for; a setting without a line here fails the build."""


def write_all(directory: Path) -> None:
    """Write every table that the pages include."""
    directory.mkdir(exist_ok=True)
    for name, lines in {
        "settings": settings(),
        "errors": error_codes(),
        "calls": calls(),
        "messages": messages(),
        "metrics": metrics(),
    }.items():
        text = "\n".join(lines) + "\n"
        path = directory / f"{name}.md"
        # Sphinx reads again what has changed: leave it alone where it has not.
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def settings() -> list[str]:
    """Every setting with its environment variable, flag and default."""
    default = Config()
    rows = []
    for key, setting in SETTINGS.items():
        value: Any = default
        for part in key.split("."):
            value = getattr(value, part)
        flag = "none" if key in NO_FLAG else f"`{flag_of(setting)}`"
        if key in ALIASES:
            flag += f", `{ALIASES[key]}`"
        names = f"`{key}`<br>`{setting.environment_name}`<br>{flag}"
        rows.append((names, shown(value), MEANINGS[key]))
    return table(("key, environment, flag", "default", "meaning"), rows)


def shown(value: Any) -> str:
    """A default as one writes it."""
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def error_codes() -> list[str]:
    """Every error's code, HTTP status and promise."""
    rows = [
        (f"`{kind.code}`", f"`{name}`", str(row_of(kind).status), first_line(kind))
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.NexusError)
    ]
    return table(("code", "Python", "HTTP", "meaning"), rows)


def calls() -> list[str]:
    """Every call of the REST API."""
    rows = [
        (f"`{call.method} {call.path}`", call.summary, call.role or "none")
        for call in CALLS
    ]
    return table(("call", "does", "role"), rows)


def messages() -> list[str]:
    """Every message with its code and fields."""
    rows = [
        (
            f"0x{code:02X}",
            kind.__name__,
            ", ".join(field.name for field in msgspec.structs.fields(kind)),
            first_line(kind),
        )
        for kind, code in CODES.items()
    ]
    return table(("code", "message", "fields, in order", "meaning"), rows)


def metrics() -> list[str]:
    """Every metric."""
    rows = [
        (
            f"`{name}`",
            family.kind,
            ", ".join(f"`{label}`" for label in family.labels),
            family.where,
            family.meaning,
        )
        for name, family in FAMILIES.items()
    ]
    return table(("metric", "kind", "labels", "on", "meaning"), rows)


def first_line(documented: object) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
    ]
