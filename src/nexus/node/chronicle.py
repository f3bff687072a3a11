"""What a node's database and log say together of reigns and configurations."""

from dataclasses import dataclass

from nexus.model.operation import Membership, Reigned
from nexus.model.position import EpochHistory, Offset
from nexus.node.startup import APPLY_BYTES, Standing
from nexus.replication.electorate import Configuration
from nexus.storage.system import read_membership


@dataclass(frozen=True, slots=True)
class Chronicle:
    """Up to the end of the log, whatever of it is applied."""

    history: EpochHistory
    configurations: tuple[Configuration, ...]
    """Oldest first; the first is the database's, or who formed the cluster."""


def read_chronicle(standing: Standing) -> Chronicle:
    """Read the database, then what the log holds beyond it; blocks."""
    database, log, state = standing.database, standing.log, standing.catalog.state
    history, found = database.history(), []
    stored = read_membership(database.writer) if database.stands else None
    if stored is not None:
        found.append(Configuration(*stored))
    elif state.voters:
        formed = Membership(state.cluster_id, state.voters)
        found.append(Configuration(Offset(0), formed))
    start = Offset(database.position.offset + 1)
    if start > log.last_offset:
        return Chronicle(history, tuple(found))
    cursor = log.cursor(start)
    try:
        while cursor.offset <= log.last_offset:
            for record in cursor.read(Offset(log.last_offset + 1), APPLY_BYTES):
                for operation in record.decoded().operations:
                    if isinstance(operation, Reigned):
                        history = history.begun(operation.reign)
                    elif isinstance(operation, Membership):
                        found.append(Configuration(record.offset, operation))
    finally:
        cursor.close()
    return Chronicle(history, tuple(found))


def has_voters(standing: Standing) -> bool:
    """Whether this node is of a cluster that elects; blocks."""
    return bool(read_chronicle(standing).configurations)
