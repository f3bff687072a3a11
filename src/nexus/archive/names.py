"""The names in an archive: what an object holds, told by its name alone."""

import re
from typing import Final

import msgspec
from typing_extensions import override

from nexus.errors import ArchiveError
from nexus.model.position import Epoch, HistoryId, Offset, Position, Reign

HISTORY: Final = "history.json"

_ID: Final = r"[0-9A-Za-z_-]{1,64}"
_NUMBER: Final = r"[0-9]{20}"
_CLUSTER: Final = re.compile(_ID)
_NAME: Final = re.compile(
    rf"(?P<cluster>{_ID})/(?P<epoch>{_NUMBER})-(?P<history>{_ID})/(?P<rest>.*)"
)
_RUN: Final = re.compile(rf"({_NUMBER})-({_NUMBER})-({_NUMBER})\.entries")
_SNAPSHOT: Final = re.compile(rf"({_NUMBER})-({_NUMBER})\.snapshot")


class ReignName(msgspec.Struct, frozen=True, order=True):
    """Whose entries: one master's time in one cluster."""

    cluster_id: str
    epoch: Epoch
    history_id: HistoryId

    @classmethod
    def of(cls, cluster_id: str, reign: Reign) -> "ReignName":
        """Its name; raises ArchiveError for ids that no object can have."""
        for text in (cluster_id, reign.history_id):
            if not _CLUSTER.fullmatch(text):
                raise ArchiveError(
                    f"{text!r} cannot be a folder's name in an archive; a node makes "
                    "its ids of letters and digits: was the catalog changed by hand?"
                )
        return cls(cluster_id, reign.epoch, reign.history_id)

    @property
    def folder(self) -> str:
        """Where its objects lie."""
        return f"{self.cluster_id}/{self.epoch:020d}-{self.history_id}"

    @property
    def history(self) -> str:
        """The object that tells every reign up to this one."""
        return f"{self.folder}/{HISTORY}"


class RunName(msgspec.Struct, frozen=True, order=True):
    """Some entries of one reign, without a gap."""

    reign: ReignName
    first: Offset
    last: Offset
    earliest_us: int
    """The least time of any of them."""

    @property
    def cluster_id(self) -> str:
        """Whose it is."""
        return self.reign.cluster_id

    @override
    def __str__(self) -> str:
        numbers = f"{self.first:020d}-{self.last:020d}-{self.earliest_us:020d}"
        return f"{self.reign.folder}/{numbers}.entries"


class SnapshotName(msgspec.Struct, frozen=True, order=True):
    """The database at an entry of one reign."""

    reign: ReignName
    offset: Offset
    time_us: int
    """When that entry was made, or the snapshot, whichever is known."""

    @property
    def cluster_id(self) -> str:
        """Whose it is."""
        return self.reign.cluster_id

    @property
    def position(self) -> Position:
        """Where the database stands."""
        return Position(self.reign.epoch, self.offset, self.reign.history_id)

    @override
    def __str__(self) -> str:
        numbers = f"{self.offset:020d}-{self.time_us:020d}"
        return f"{self.reign.folder}/{numbers}.snapshot"


Name = ReignName | RunName | SnapshotName
"""A reign's name stands for its `history.json`."""


def parse(text: str) -> Name | None:
    """What a listed object is; None for one that is none of ours."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    reign = ReignName(
        found["cluster"], Epoch(int(found["epoch"])), HistoryId(found["history"])
    )
    rest = found["rest"]
    if rest == HISTORY:
        return reign
    if run := _RUN.fullmatch(rest):
        first, last, earliest = map(int, run.groups())
        if 0 < first <= last:
            return RunName(reign, Offset(first), Offset(last), earliest)
    if snapshot := _SNAPSHOT.fullmatch(rest):
        offset, time_us = map(int, snapshot.groups())
        return SnapshotName(reign, Offset(offset), time_us)
    return None
