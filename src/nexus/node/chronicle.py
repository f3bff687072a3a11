"""What a node's database and log say together of reigns and configurations."""

from collections.abc import Iterator
from dataclasses import dataclass

from nexus.model.entry import is_own
from nexus.model.operation import Configuration, Operation, Reigned
from nexus.model.position import NO_OFFSET, EpochHistory, Offset
from nexus.node.logreading import records_from
from nexus.node.startup import Storage
from nexus.replication.members.electorate import ConfigurationEntry
from nexus.storage.schema import system
from nexus.storage.wal import WriteAheadLog


@dataclass(frozen=True, slots=True)
class Chronicle:
    """Up to the end of the log, whatever of it is applied."""

    history: EpochHistory
    configurations: tuple[ConfigurationEntry, ...]
    """Oldest first; the first is the database's, or who formed the cluster."""


def read_chronicle(storage: Storage) -> Chronicle:
    """Read the database, then what the log holds beyond it; blocks."""
    database, log, state = storage.database, storage.log, storage.catalog.state
    history, applied, stored = EpochHistory(), NO_OFFSET, None
    if database.stands:
        # A connection of its own: the writer's may be at work in another thread.
        with database.extra_reader() as reader:
            history = system.read_history(reader)
            applied = system.read_position(reader).offset
            stored = system.read_configuration(reader)
    found: list[ConfigurationEntry] = []
    if (base := state.base) is not None:
        history, applied = base.history, base.offset
        found.append(ConfigurationEntry(base.configured_at, base.configuration))
    if stored is not None:
        found.append(ConfigurationEntry(*stored))
    elif state.voters and base is None:
        formed = Configuration(state.cluster_id, state.voters)
        found.append(ConfigurationEntry(Offset(0), formed))
    for offset, operation in _beyond(log, applied):
        if isinstance(operation, Reigned):
            history = history.begun(operation.reign)
        elif isinstance(operation, Configuration):
            found.append(ConfigurationEntry(offset, operation))
    return Chronicle(history, tuple(found))


def _beyond(log: WriteAheadLog, applied: Offset) -> Iterator[tuple[Offset, Operation]]:
    """What the log holds that is not applied."""
    for record in records_from(log, Offset(applied + 1)):
        if is_own(record.payload):
            for operation in record.decoded().operations:
                yield record.offset, operation


def has_voters(storage: Storage) -> bool:
    """Whether this node is of a cluster that elects; blocks."""
    return bool(read_chronicle(storage).configurations)
