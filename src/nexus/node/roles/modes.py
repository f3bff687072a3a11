"""Which role and mode a node begins with, where its configuration names others.

A reign's mode is the log's, until an operator has it log another one.
"""

from typing import Final

import structlog

from nexus.model.cluster import Mode, Role
from nexus.model.position import EpochHistory
from nexus.node.parts import ASYNC_PACE_S, Parts
from nexus.node.roles.machines import mode_of
from nexus.node.startup import effective_role

MEND: Final = "the log's mode rules; change it with: nexus mode URL "

QUORUM_MEND: Final = (
    "the log's quorum rules; change it with: nexus mode URL sync --quorum "
)

log = structlog.get_logger(__name__)


def role_at_start(parts: Parts) -> Role:
    """The role that a change at run time has left, or else the configured one.

    A copy of a master's directory is a master as well: who meant to make a replica of
    it reads here why there are two.
    """
    configured = parts.config.replication.role
    role = effective_role(parts.config, parts.storage.catalog)
    if role is not configured:
        log.warning(
            "role_differs",
            configured=configured,
            in_force=role,
            detail=f"this data directory is a {role}'s since a change at run time. If "
            "it was copied from another node, stop this one and start it with an empty "
            "directory",
        )
    return role


def mode_at_start(parts: Parts, history: EpochHistory, why: str) -> Mode:
    """The mode of a reign that begins; no voters give it.

    It is the log's. Only whoever starts a node that is configured as the master, in
    sync mode, says by that that it shall be so from now on: nobody loses by it.
    """
    configured, logged = parts.config.replication, mode_of(parts, history)
    says_so = why == "start" and configured.role is Role.MASTER
    if says_so and configured.mode is Mode.SYNC:
        return Mode.SYNC
    warn_of_mode(parts, logged)
    return logged


def pace_s(mode: Mode) -> float:
    """How far apart small sends are: in sync mode clients wait for each."""
    return ASYNC_PACE_S if mode is Mode.ASYNC else 0.0


def warn_of_mode(parts: Parts, in_force: Mode) -> None:
    """Say that this node's configuration names a mode that it does not have."""
    configured = parts.config.replication.mode
    if configured is not in_force:
        log.warning(
            "mode_differs",
            configured=configured,
            in_force=in_force,
            detail=f"{MEND}{configured}",
        )


def warn_of_quorum(parts: Parts, in_force: int | None) -> None:
    """Say that the log names another quorum than this node's configuration."""
    configured = parts.config.replication.sync_quorum
    if configured is not None and in_force not in (None, configured):
        log.warning(
            "quorum_differs",
            configured=configured,
            in_force=in_force or "a majority",
            detail=f"{QUORUM_MEND}{configured}",
        )
