"""How named databases come to have the main one's master and voters.

Each database elects on its own, by its own log: so nothing that was acknowledged in it
can be lost, whichever node wins. Afterwards the master of a named database brings it in
line with the main one, step by step: voters first, one at a time, then the reign.
Under etcd, where nobody votes, only maintenance and the reign are brought in line.
"""

from collections.abc import Collection
from dataclasses import dataclass

from nexus.model.cluster import MembersView, NodeId


@dataclass(frozen=True, slots=True)
class AddVoter:
    """Have a node that follows the named database's master vote there too."""

    node_id: NodeId
    address: str


@dataclass(frozen=True, slots=True)
class RemoveVoter:
    """Have a node vote no more, as in the main database."""

    node_id: NodeId


@dataclass(frozen=True, slots=True)
class SetAutoFailover:
    """Begin or end maintenance, as in the main database."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class HandOver:
    """Let the main database's master reign here too."""

    heir: NodeId


Step = AddVoter | RemoveVoter | SetAutoFailover | HandOver


def next_step(
    own: NodeId, master: NodeId, main: MembersView, named: MembersView
) -> Step | None:
    """What the master of a named database, `own`, does next; None: it is in line.

    `master` is the main database's, as this node knows it; empty: nobody just now.
    A member that is not connected is waited for.
    """
    wanted = {NodeId(one.id): one.addr for one in main.members if one.voter}
    there = {NodeId(one.id): one for one in named.members}
    voting = {node_id for node_id, one in there.items() if one.voter}
    for node_id in sorted(wanted.keys() - voting):
        if node_id in there and there[node_id].connected:
            return AddVoter(node_id, wanted[node_id])
    for node_id in sorted(voting - wanted.keys() - {own}):
        return RemoveVoter(node_id)
    if named.auto_failover is not main.auto_failover:
        return SetAutoFailover(main.auto_failover)
    heir = there.get(master)
    if master != own and heir is not None and heir.voter and heir.connected:
        return HandOver(master)
    return None


def next_keyed_step(
    own: NodeId,
    master: NodeId,
    heirs: Collection[NodeId],
    *,
    main_rests: bool,
    named_rests: bool,
) -> Step | None:
    """The same under etcd, where `heirs` are those that may take the key.

    In maintenance nobody takes it by itself, so nothing is handed over.
    """
    if named_rests is not main_rests:
        return SetAutoFailover(enabled=not main_rests)
    if named_rests or master == own or master not in heirs:
        return None
    return HandOver(master)
