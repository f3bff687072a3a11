"""Notice that a voter's directory is a copy: what it lacks, it may have promised."""

from typing import Final

import structlog

from nexus.config import Config
from nexus.node.chronicle import read_chronicle
from nexus.node.startup import Storage
from nexus.storage.birth import birth_of

COPIED: Final = (
    "this data directory is a copy, or was restored from one: it may lack what this "
    "node has acknowledged since, and forget whom it has voted for. It neither votes "
    "nor stands until it has all that a master has. Where every voter was copied "
    "while all stood still, force the one with the highest durable offset"
)

log = structlog.get_logger(__name__)


def notice_copy(storage: Storage, config: Config) -> None:
    """A copy's catalog is younger than it says: such a voter is incomplete; blocks.

    What it has is right, only perhaps old: its master's log has the rest.
    """
    catalog, state = storage.catalog, storage.catalog.state
    born = birth_of(storage.directory.catalog)
    if not born or born == state.born:
        return
    if not state.born or state.incomplete or not _is_counted(storage, config):
        catalog.update(born=born)
        return
    catalog.update(born=born, incomplete=COPIED, refilled=True)
    log.warning("directory_copied", path=str(storage.directory.root), reason=COPIED)


def _is_counted(storage: Storage, config: Config) -> bool:
    """Whether others count on what this node has, and can bring it up to date."""
    if config.replication.coordinator == "etcd":
        return True
    known = read_chronicle(storage).configurations
    voters = known[-1].configuration.voter_ids if known else ()
    return len(voters) > 1 and storage.catalog.state.node_id in voters
