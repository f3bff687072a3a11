"""Whom the log names as voters: its latest configuration entry rules (hard-case 3)."""

from collections.abc import Iterable

import msgspec

from nexus.model.cluster import NodeId
from nexus.model.entry import Record, configuration_of
from nexus.model.operation import Configuration
from nexus.model.position import Offset


class ConfigurationEntry(msgspec.Struct, frozen=True):
    """A configuration entry, with its place in the log."""

    offset: Offset
    configuration: Configuration


class Electorate:
    """The configurations of one log, in force from their append on."""

    def __init__(self, configurations: Iterable[ConfigurationEntry]) -> None:
        """Oldest first; the first one is what the log (or the cluster) began with.

        The memory is bounded by `settled`.
        """
        self._known = list(configurations)

    @property
    def voters(self) -> tuple[NodeId, ...]:
        """Their node ids; empty before the first configuration."""
        return tuple(NodeId(node_id) for node_id, _ in self._latest())

    @property
    def ever_voted(self) -> frozenset[NodeId]:
        """Whom any configuration names that is still known."""
        return frozenset(
            NodeId(voter)
            for entry in self._known
            for voter, _ in entry.configuration.voters
        )

    @property
    def offset(self) -> Offset:
        """Of the configuration in force; 0 before the first."""
        return self._known[-1].offset if self._known else Offset(0)

    @property
    def auto_failover(self) -> bool:
        """False in maintenance: only operators begin elections."""
        return not self._known or self._known[-1].configuration.auto_failover

    @property
    def mode(self) -> str:
        """What acknowledgements mean, whoever reigns; empty: nobody has said."""
        return self._known[-1].configuration.mode if self._known else ""

    @property
    def sync_quorum(self) -> int | None:
        """Voters that must hold an entry in sync mode; None: nobody has said."""
        return self._known[-1].configuration.sync_quorum if self._known else None

    @property
    def configurations(self) -> tuple[ConfigurationEntry, ...]:
        """All that are known, oldest first."""
        return tuple(self._known)

    def address_of(self, node_id: NodeId) -> str:
        """Where a voter is reached; empty for a node that is none."""
        return dict(self._latest()).get(node_id, "")

    def addresses_without(self, node_id: NodeId) -> tuple[str, ...]:
        """Where the other voters are reached."""
        return tuple(address for voter, address in self._latest() if voter != node_id)

    def appended(self, records: Iterable[Record]) -> bool:
        """These are about to be stored; whether the voters are others now."""
        found = [
            ConfigurationEntry(record.offset, configuration)
            for record in records
            if (configuration := configuration_of(record.payload)) is not None
        ]
        for entry in found:
            self.configured(entry)
        return bool(found)

    def placed(self, offset: Offset, configuration: Configuration | None) -> None:
        """A master's own is about to be appended there; None: it could not be."""
        if configuration is None:
            self.truncated_after(Offset(offset - 1))
        else:
            self.configured(ConfigurationEntry(offset, configuration))

    def configured(self, entry: ConfigurationEntry) -> None:
        """The entry is about to be appended; known ones from there on are void."""
        kept = [one for one in self._known if one.offset < entry.offset]
        self._known = [*kept, entry]

    def settled(self, commit: Offset) -> None:
        """Up to `commit` nothing is undone: older ones need not be known.

        Save the one before the last: where less than a majority commits, the last may
        be undone. No other can be: the next one waits until a majority holds it.
        """
        while self._known[1:-1] and self._known[1].offset <= commit:
            del self._known[0]

    def truncated_after(self, last_kept: Offset) -> None:
        """The log was cut: what was configured after that is undone."""
        first = self._known[:1]
        kept = [one for one in self._known[1:] if one.offset <= last_kept]
        self._known = first + kept

    def replaced(self, configurations: Iterable[ConfigurationEntry]) -> None:
        """The log is another one: what its snapshot says holds (if it says so)."""
        self._known = list(configurations) or self._known

    def _latest(self) -> tuple[tuple[str, str], ...]:
        return self._known[-1].configuration.voters if self._known else ()
