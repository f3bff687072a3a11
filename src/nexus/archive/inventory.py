"""What a listing of the archive says of one cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nexus.archive.names import ReignName, RunName, SnapshotName, parse
from nexus.errors import ArchiveError
from nexus.model.position import EpochHistory, Position


@dataclass(frozen=True, slots=True)
class Inventory:
    """The objects of one cluster; pure, made of their names."""

    cluster_id: str
    histories: frozenset[ReignName] = frozenset()
    """The reigns whose `history.json` is there."""
    runs: frozenset[RunName] = frozenset()
    snapshots: frozenset[SnapshotName] = frozenset()
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each object, by name."""

    @property
    def reigns(self) -> frozenset[ReignName]:
        """Every reign of which anything is there."""
        return (
            self.histories
            | {one.reign for one in self.runs}
            | {one.reign for one in self.snapshots}
        )

    def runs_of(self, history: EpochHistory) -> dict[ReignName, list[RunName]]:
        """The runs of a history's reigns, by first offset."""
        names = {
            self.name_of(reign.epoch, reign.history_id) for reign in history.reigns
        }
        found: dict[ReignName, list[RunName]] = {name: [] for name in names}
        for run in sorted(self.runs):
            if run.reign in found:
                found[run.reign].append(run)
        return found

    def snapshots_of(self, history: EpochHistory) -> list[SnapshotName]:
        """Those whose position is one of this history, oldest first."""
        return sorted(
            (
                one
                for one in self.snapshots
                if history.position_at(one.offset) == one.position
            ),
            key=lambda one: one.offset,
        )

    def name_of(self, epoch: int, history_id: str) -> ReignName:
        """A reign of this cluster."""
        return ReignName(self.cluster_id, epoch, history_id)  # type: ignore[arg-type]  # new types by value

    def without(self, *names: RunName | SnapshotName) -> "Inventory":
        """The same, had these objects not been found."""
        gone = frozenset(names)
        return Inventory(
            self.cluster_id,
            self.histories,
            self.runs - gone,
            self.snapshots - gone,
            self.sizes,
        )


def take_stock(listing: Iterable[tuple[str, int]]) -> dict[str, Inventory]:
    """What there is, by cluster; what is none of ours is passed over."""
    found: dict[str, dict[str, int]] = {}
    for text, size in listing:
        name = parse(text)
        if name is None:
            continue
        found.setdefault(name.cluster_id, {})[text] = size
    return {cluster: _made(cluster, sizes) for cluster, sizes in found.items()}


def _made(cluster_id: str, sizes: dict[str, int]) -> Inventory:
    names = [parse(text) for text in sizes]
    return Inventory(
        cluster_id,
        frozenset(name for name in names if isinstance(name, ReignName)),
        frozenset(name for name in names if isinstance(name, RunName)),
        frozenset(name for name in names if isinstance(name, SnapshotName)),
        sizes,
    )


def chosen_cluster(
    found: Mapping[str, Inventory], wanted: str | None, archive: str
) -> Inventory:
    """The cluster to restore; raises ArchiveError where that is not clear."""
    if not found:
        raise ArchiveError(
            f"the archive {archive} holds nothing of any cluster; check its URL (its "
            "last part is the folder in which the clusters' folders stand)"
        )
    known = ", ".join(sorted(found))
    if wanted is not None:
        if wanted not in found:
            raise ArchiveError(
                f"the archive holds nothing of cluster {wanted!r}, but of {known}"
            )
        return found[wanted]
    if len(found) > 1:
        raise ArchiveError(
            f"the archive holds several clusters: {known}; say which with --cluster"
        )
    return next(iter(found.values()))


def newest_reign(inventory: Inventory, wanted: str | None) -> ReignName:
    """The reign whose history is to be restored; ArchiveError where unclear.

    The highest epoch, unless its history id is `wanted` by name.
    """
    reigns = sorted(inventory.reigns)
    if wanted is not None:
        named = [one for one in reigns if one.history_id == wanted]
        if not named:
            known = ", ".join(one.history_id for one in reigns)
            raise ArchiveError(
                f"the archive holds no history {wanted!r} of cluster "
                f"{inventory.cluster_id}, but {known}"
            )
        return named[0]
    newest = [one for one in reigns if one.epoch == reigns[-1].epoch]
    if len(newest) > 1:
        both = " and ".join(one.history_id for one in newest)
        raise ArchiveError(
            f"two masters reigned in epoch {newest[0].epoch}, with the histories "
            f"{both}; say which to restore with --history"
        )
    return newest[0]


def side_histories(inventory: Inventory, history: EpochHistory) -> list[ReignName]:
    """Reigns that are not part of this history, oldest first: forks."""
    own = {inventory.name_of(one.epoch, one.history_id) for one in history.reigns}
    return sorted(inventory.reigns - own)


def is_newest(inventory: Inventory, position: Position) -> bool:
    """Whether no other master's reign of this epoch or a later one is there."""
    return all(
        one.epoch < position.epoch or one.history_id == position.history_id
        for one in inventory.reigns
    )
