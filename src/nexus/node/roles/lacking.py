"""Whether too few nodes can hold a write, and what is said of that."""

from nexus.errors import QuorumLostError
from nexus.node.clock import now_ms
from nexus.replication.master import Master


def lack_of(machine: Master) -> str:
    """How many of the needed nodes can hold a write; empty if enough of them can."""
    now = now_ms()
    here, needed = machine.nodes_in_reach(now), machine.needed
    if here >= needed:
        return ""
    told = f"{here} of {needed} can hold a write"
    replicas = machine.replicas(now)
    if short := ", ".join(one.id for one in replicas if one.no_space):
        told += f", {short} has no space on its disk: make some there"
    if full := ", ".join(one.id for one in replicas if one.full):
        told += (
            f", the log of the witness {full} has reached replication.hold_size: it "
            "holds what another voter lacks, so bring that voter back or remove it"
        )
    return told


def refusal_for(lack: str) -> QuorumLostError:
    """What a client is told that comes with a write meanwhile."""
    return QuorumLostError(
        f"too few nodes: {lack}; nothing happened, try again when replicas have "
        "returned"
    )
