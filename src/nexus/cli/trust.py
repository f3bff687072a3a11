"""Whom commands that talk to nodes trust: --ca, --cert, --key, or the environment."""

import inspect
import os
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nexus.client.trust import Trust

_OPTIONS: Final = {
    "ca": "The CA of the nodes' certificates (else NEXUS_CA_FILE).",
    "cert": "Your certificate, where nodes ask for one (else NEXUS_CERT_FILE).",
    "key": "Its key (else NEXUS_KEY_FILE).",
}

_trust: Final[ContextVar[Trust | None]] = ContextVar("trust", default=None)
"""Of the command that runs."""


def with_trust(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that can name a secret the options for TLS as well."""
    own = inspect.signature(command).parameters
    if "secret_file" not in own:
        return command

    @wraps(command)  # by its name Typer calls the command, unless it is told one
    def run(**given: Any) -> None:
        files = {name: given.pop(name) for name in _OPTIONS}
        token = _trust.set(said(files, os.environ))
        try:
            command(**given)
        finally:
            _trust.reset(token)

    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                Path | None, typer.Option(f"--{name}", metavar="FILE", help=help_text)
            ],
        )
        for name, help_text in _OPTIONS.items()
    ]
    run.__signature__ = inspect.Signature([*own.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*own.values(), *added]}
    return run


def said(files: Mapping[str, Path | None], environ: Mapping[str, str]) -> Trust:
    """What options and environment say; an option goes before.

    On a node's machine its own CA is trusted: NEXUS_TLS_CA_FILE.
    """
    found = {
        name: files.get(name) or environ.get(f"NEXUS_{name.upper()}_FILE") or None
        for name in _OPTIONS
    }
    ca = found["ca"] or environ.get("NEXUS_TLS_CA_FILE") or None
    return Trust(None, ca, found["cert"], found["key"])


def trusted() -> ssl.SSLContext | None:
    """What https is spoken with; None: this machine's CAs are trusted."""
    trust = _trust.get()
    return None if trust is None else trust.context()
