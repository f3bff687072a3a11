"""Have the master carry out what is its alone, whichever node's URL was given."""

from collections.abc import Callable
from typing import TypeVar

from nexus.cli.outcome import NotDoneError
from nexus.cli.remote import NodeCallError, Remote, base_url
from nexus.errors import NodeUnreachableError

T = TypeVar("T")


def at_master(url: str, secret: str, call: Callable[[Remote], T]) -> T:
    """What `call` returns of the node at `url`, or of the master that it names.

    A node that names another has changed nothing. Raises what a `Remote` does.
    """
    with Remote(url, secret) as remote:
        try:
            return call(remote)
        except NodeCallError as error:
            master_url, refusal = error.master_url, error
            if not master_url or base_url(master_url) == remote.url:
                raise
    with Remote(master_url, secret) as master:
        try:
            return call(master)
        except NodeUnreachableError as error:
            raise NotDoneError(f"{refusal}; from here {error}") from None
