"""What a replica tells clients: whether to read here, and where to write."""

from nexus.errors import NexusError, NoMasterError, ReadOnlyReplicaError
from nexus.model.cluster import LinkState
from nexus.node.clock import now_ms
from nexus.replication.replica import Replica


def unready(
    machine: Replica, max_lag: int | None, *, stands: bool, witness: bool
) -> str:
    """Why a replica should not be read from; empty if it may.

    `stands`: it has a database; a witness never has.
    """
    if witness:
        return "this node is a witness: it has no database to read"
    if not stands:
        return "this replica has no database yet"
    state, lag = machine.state, machine.lag(now_ms())
    if state is not LinkState.STREAMING:
        return f"this replica is {state}, not streaming"
    if max_lag is not None and lag > max_lag:
        return f"this replica lags {lag} entries, more than {max_lag}"
    return ""


def no_master() -> NexusError:
    """The error of a write while nobody is followed."""
    return NoMasterError(
        "this node is a replica and knows no master just now; nothing "
        "happened, try again soon"
    )


def referral(master_url: str, master_addr: str) -> NexusError:
    """The error of a write; a master inside an application has no URL."""
    where = master_url or f"nexus://{master_addr}"
    message = f"this node is a replica; write to its master at {where}"
    return ReadOnlyReplicaError(message, master_url=master_url)
