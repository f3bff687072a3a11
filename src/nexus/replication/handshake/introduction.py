"""How two nodes introduce themselves: the Hello of one, the Welcome of the other."""

from nexus.model.position import Epoch, EpochHistory, Offset
from nexus.protocol.messages import PROTOCOL_LEAST, PROTOCOL_MOST, Hello, Welcome
from nexus.replication.handshake.admission import Admission
from nexus.replication.settings import Identity


def hello_of(
    identity: Identity,
    history: EpochHistory,
    end: Offset,
    *,
    epoch: Epoch,
    master_addr: str = "",
) -> Hello:
    """The Hello of a node whose log ends with `end`.

    `epoch` is the highest it has met, which may be more than its history shows.
    """
    known = history.truncated_after(end)
    return Hello(
        protocol_least=PROTOCOL_LEAST,
        protocol_most=PROTOCOL_MOST,
        cluster_id=identity.cluster_id,
        history=known,
        node_id=identity.node_id,
        address=identity.address,
        http_url=identity.http_url,
        epoch=max(known.epoch, epoch),
        position=known.position_at(end),
        voter=identity.voter,
        features=identity.features,
        master_addr=master_addr,
    )


def welcome_of(
    identity: Identity,
    history: EpochHistory,
    *,
    end: Offset,
    commit: Offset,
    admission: Admission,
    heartbeat_ms: int,
) -> Welcome:
    """The Welcome of a master whose log ends with `end`, committed up to `commit`."""
    return Welcome(
        master_id=identity.node_id,
        cluster_id=identity.cluster_id,
        epoch=history.epoch,
        current_offset=end,
        commit_offset=commit,
        page_size=identity.page_size,
        encoding=identity.encoding,
        plan=admission.plan,
        from_offset=admission.from_offset,
        history=history,
        features=identity.features,
        http_url=identity.http_url,
        heartbeat_ms=heartbeat_ms,
    )
