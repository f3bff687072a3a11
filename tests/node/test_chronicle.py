"""Reigns and configurations are read from the database and the log beyond it."""

from pathlib import Path

from nexus.model.entry import Payload, Record, encode_payload
from nexus.model.operation import Configuration, Reigned
from nexus.model.position import Epoch, HistoryId, Offset, Reign
from nexus.node.chronicle import has_voters, read_chronicle
from nexus.node.startup import open_storage, redo
from nexus.replication.members.electorate import ConfigurationEntry
from node.builders import settings

REIGN = Reign(Epoch(1), HistoryId("h"), "a", Offset(1), 0, "failover")
FIRST = Configuration("c", (("a", "a:1"),))
SECOND = Configuration("c", (("a", "a:1"), ("b", "b:1")))


def test_what_is_applied_and_what_is_only_logged_are_told_together(
    tmp_path: Path,
) -> None:
    storage = open_storage(settings(tmp_path))
    try:
        assert not has_voters(storage)
        storage.catalog.update(cluster_id="c", voters=FIRST.voters)
        formed = ConfigurationEntry(Offset(0), FIRST)
        assert read_chronicle(storage).configurations == (formed,)

        first = encode_payload(Payload(1, "", b"", (Reigned(REIGN), FIRST)))
        storage.log.append([Record(Epoch(1), Offset(1), first)])
        storage.log.sync()
        redo(storage)
        second = encode_payload(Payload(1, "", b"", (SECOND,)))
        storage.log.append([Record(Epoch(1), Offset(2), second)])
        storage.log.sync()

        chronicle = read_chronicle(storage)
        assert chronicle.history.reigns == (REIGN,)
        assert chronicle.configurations == (
            ConfigurationEntry(Offset(1), FIRST),
            ConfigurationEntry(Offset(2), SECOND),
        )
        assert has_voters(storage)
    finally:
        storage.close()
