"""What a replica answers to a Hello: who takes it for a master, or reigns anew."""

from nexus.model.position import Epoch
from nexus.protocol.messages import ErrorCode, Hello
from nexus.replication.effects import Close, Peer
from nexus.replication.handshake.admission import (
    claims_to_be_master,
    stood_alone,
    turned_away,
)
from nexus.replication.settings import Identity


def answer_to(
    peer: Peer, hello: Hello, identity: Identity, epoch: Epoch, master_addr: str
) -> tuple[Close, bool]:
    """The answer, and whether a new master of this cluster has announced itself."""
    refusal = turned_away(hello, identity)
    if refusal.code is not ErrorCode.NOT_MASTER:
        return Close(peer, refusal.code, refusal.message), False
    # Who stood alone believes only whoever knows of its epoch.
    told = max(epoch, hello.epoch) if stood_alone(hello) else epoch
    close = Close(peer, refusal.code, refusal.message, told, master_addr)
    is_own = identity.cluster_id == hello.cluster_id
    # Known of already from a vote, it is news while no master is followed.
    is_news = hello.epoch > epoch or (hello.epoch == epoch and not master_addr)
    return close, is_own and claims_to_be_master(hello) and is_news
