"""A line for each administrative act: who did what, from where, and what came of it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from starlette.types import Scope
from structlog.contextvars import get_contextvars

from nexus.api.facade import NodeFacade
from nexus.errors import NexusError
from nexus.model.token import Principal

ASKED: Final = "nexus.asked"
"""In the scope of a request: what its body says, once that is read."""

MOST_OF_A_VALUE: Final = 200
"""Characters of what a caller has sent."""

log = structlog.get_logger(__name__)

_encode: Final = msgspec.json.Encoder().encode


class Audit:
    """Writes to the log, and to a file of its own where there is one."""

    def __init__(self, node: NodeFacade) -> None:
        self._node = node
        self._file = node.config.log.audit_file

    async def tell(
        self, act: str, principal: Principal, scope: Scope, outcome: str
    ) -> None:
        """One line."""
        line = {
            "act": act,
            "who": principal.who,
            "address": address_of(scope),
            "asked": _asked(scope),
            "outcome": outcome,
            **self._place(),
            **get_contextvars(),
        }
        log.info("audit", **line)
        if self._file is None:
            return
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        try:
            whole = _encode({"time": now, **line}) + b"\n"
            await asyncio.to_thread(_append, self._file, whole)
        except OSError as error:
            log.warning("audit_failed", file=str(self._file), reason=str(error))

    def _place(self) -> dict[str, Any]:
        with suppress(NexusError):
            status = self._node.status()
            return {
                "node": status.node_id,
                "epoch": status.epoch,
                "offset": status.wal_offset,
            }
        return {}


def address_of(scope: Scope) -> str:
    """Where a request comes from, without its port."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _asked(scope: Scope) -> dict[str, Any]:
    """The values of path and body, which hold no secret, cut short."""
    found: Mapping[str, Any] = {
        **scope.get("path_params", {}),
        **scope.get(ASKED, {}),
    }
    return {
        name: value[:MOST_OF_A_VALUE] if isinstance(value, str) else value
        for name, value in found.items()
    }


def _append(file: Path, line: bytes) -> None:
    with file.open("ab", buffering=0) as out:
        out.write(line)  # one write: lines of several writers do not mix
